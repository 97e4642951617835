"use strict";

// Swagger UI has dark colours for pages with this class, and sets it nowhere.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

// within puts a component of Swagger UI into an element.
const within = (tag, attributes) => (Component, { React }) => (props) =>
	React.createElement(tag, attributes, React.createElement(Component, props));

// What Swagger UI lacks for people who use a screen reader or the keyboard.
const accessible = ({ React }) => ({
	wrapComponents: {
		// A link within the button of an operation, which leads where the button does.
		DeepLink: () => ({ text }) => React.createElement("span", null, text),
		// The headings of the tags are of the level below this one.
		operations: (Operations) => (props) => React.createElement(React.Fragment, null,
			React.createElement("h2", { className: "unseen" }, "Operations"), React.createElement(Operations, props)),
		// The tables of responses are landmarks, and all without a name.
		responses: (Responses) => (props) => React.createElement("div", {
			ref: (place) => place?.querySelector(".responses-table")?.setAttribute("aria-label", `Responses of ${props.method} ${props.path}`),
		}, React.createElement(Responses, props)),
		InfoContainer: within("section", { "aria-label": "About" }),
		ServersContainer: within("section", { "aria-label": "Server" }),
		AuthorizeBtnContainer: within("section", { "aria-label": "Authorization" }),
	},
});

const place = document.getElementById("swagger-ui");
const ui = SwaggerUIBundle({
	domNode: place,
	url: place.dataset.description,
	deepLinking: true,
	plugins: [accessible],
	validatorUrl: null, // the description is nobody else's business
	onComplete() {
		document.title = ui.specSelectors.info().get("title") || document.title;
		document.getElementById("servers")?.setAttribute("aria-label", "Server");
	},
});
