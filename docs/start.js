"use strict";

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
