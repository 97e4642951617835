"use strict";

// Swagger UI has dark colours for pages with this class, and sets it nowhere.
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

const place = document.getElementById("swagger-ui");
const ui = SwaggerUIBundle({
	domNode: place,
	url: place.dataset.description,
	deepLinking: true,
	validatorUrl: null, // the description is nobody else's business
	onComplete() {
		document.title = ui.specSelectors.info().get("title") || document.title;
	},
});
