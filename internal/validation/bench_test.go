package validation

import (
	"reflect"
	"testing"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

func BenchmarkValidate(b *testing.B) {
	type create struct {
		Title string   `json:"title" validate:"required,max=200"`
		Text  string   `json:"text" validate:"max=10000"`
		Tags  []string `json:"tags,omitempty" validate:"max=10,dive,max=30"`
	}
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[create]())
	if err != nil {
		b.Fatal(err)
	}
	v, err := Compile(described)
	if err != nil {
		b.Fatal(err)
	}
	in := &create{"a title", "a text", []string{"a", "b", "c"}}
	b.ReportAllocs()
	for b.Loop() {
		if v.Validate(b.Context(), in) != nil {
			b.Fatal("it is right")
		}
	}
}
