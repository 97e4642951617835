// Package schematest has tests only: that what descriptions say of inputs and
// outputs is what is accepted and written, as a validator of JSON Schema sees it
// that is not ours. It is a module of its own because of that validator.
package schematest
