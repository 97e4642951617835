// Package stock has a type with the name of one in package clienttest.
package stock

// Size is how big a box is.
type Size struct {
	Width  float64 `json:"width" validate:"gt=0" doc:"In metres." example:"1.5"`
	Height float64 `json:"height" validate:"gt=0"`
}
