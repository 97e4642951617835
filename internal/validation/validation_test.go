package validation

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

type author struct {
	Mail string `json:"mail" validate:"omitempty,email"`
}

type base struct {
	Kind string `json:"kind" validate:"oneof=a b"`
}

type note struct {
	base
	Title   string            `json:"title" validate:"required,max=5"`
	Count   int               `json:"count" validate:"min=0,lt=10"`
	Tags    []string          `json:"tags" validate:"max=2,unique,dive,max=3"`
	Author  *author           `json:"author"`
	Authors []author          `json:"authors" validate:"dive"`
	By      map[string]string `json:"by" validate:"dive,required"`
	Again   string            `json:"again" validate:"eqfield=Title"`
	Plain   bool
}

func compiled(t *testing.T, typ reflect.Type) (*Validator, error) {
	described, err := plan.NewCompiler(plan.In).Compile(typ)
	require.NoError(t, err)
	return Compile(described)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	v, err := compiled(t, reflect.TypeFor[note]())
	require.NoError(t, err)
	good := note{base: base{"a"}, Title: "äöüßé", Tags: []string{"a", "b"}, Author: &author{"a@b.example"}, Again: "äöüßé"}
	require.Empty(t, v.Validate(t.Context(), &good))

	bad := note{base: base{"hunter2"}, Title: "", Count: 10, Tags: []string{"hunter2", "hunter2", "a"}, Author: &author{"hunter2"},
		Authors: []author{{}, {"hunter2"}}, By: map[string]string{"a/b": ""}, Again: "hunter2"}
	var got []string
	for _, field := range v.Validate(t.Context(), &bad) {
		got = append(got, field.Pointer+" "+field.Rule+": "+field.Message)
		require.NotContains(t, field.Message, "hunter2")
	}
	require.Equal(t, strings.Join([]string{
		"/kind oneof: must be one of a, b",
		"/title required: is missing",
		"/count lt: must be less than 10",
		"/tags max: may have at most 2 items",
		"/author/mail email: must be an e-mail address",
		"/authors/1/mail email: must be an e-mail address",
		"/by/a~1b required: is missing",
		"/again eqfield: must be the same as Title",
	}, "\n"), strings.Join(got, "\n"))

	fields := v.Validate(t.Context(), note{base: base{"a"}, Title: "a", Again: "a", Tags: []string{"long!", "b"}})
	require.Equal(t, []FieldError{{"/tags/0", "max", "may have at most 3 characters"}}, fields)
}

func TestNothingToCheck(t *testing.T) {
	t.Parallel()
	type plain struct{ A []struct{ B string } }
	v, err := compiled(t, reflect.TypeFor[plain]())
	require.NoError(t, err)
	require.Nil(t, v.validate)
	require.Nil(t, v.Validate(t.Context(), &plain{}))
}

func TestTagsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	type inner struct {
		A string `validate:"nonsense"`
	}
	type outer struct {
		Inner []inner
		B     int `validate:"min="`
	}
	_, err := compiled(t, reflect.TypeFor[outer]())
	require.ErrorContains(t, err, "nonsense")
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[note]())
	require.NoError(t, err)
	got := map[string]*Constraints{}
	for _, field := range described.Fields {
		got[field.Name] = ConstraintsOf(field)
	}
	require.Equal(t, &Constraints{Enum: []string{"a", "b"}}, got["kind"])
	require.Equal(t, &Constraints{MinLength: new(int64(1)), MaxLength: new(int64(5))}, got["title"])
	require.Equal(t, &Constraints{Minimum: new(0.0), ExclusiveMaximum: new(10.0)}, got["count"])
	require.Equal(t, &Constraints{MaxItems: new(int64(2)), Unique: true, Items: &Constraints{MaxLength: new(int64(3))}}, got["tags"])
}

// Tags that validator would never look at are a mistake, not a rule.
func TestTagsWithoutDive(t *testing.T) {
	t.Parallel()
	type list struct {
		Authors [][]*author `json:"authors" validate:"max=3,dive"`
	}
	_, err := compiled(t, reflect.TypeFor[list]())
	require.ErrorContains(t, err, "list.Authors: the validate tags in validation.author are looked at only with the rule dive")
	type byName struct {
		Authors map[string]author `json:"authors"`
	}
	_, err = compiled(t, reflect.TypeFor[byName]())
	require.ErrorContains(t, err, "byName.Authors")
	type endless []endless
	_, err = compiled(t, reflect.TypeFor[struct {
		A endless
		B int `validate:"min=1"`
	}]())
	require.NoError(t, err)
	type right struct {
		Authors [][]*author `json:"authors" validate:"max=3,dive,dive"`
	}
	v, err := compiled(t, reflect.TypeFor[right]())
	require.NoError(t, err)
	require.Len(t, v.Validate(t.Context(), right{[][]*author{{{"x"}}}}), 1)
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	type input struct {
		By map[string][]int `json:"by" validate:"dive,dive,min=1"`
	}
	v, err := compiled(t, reflect.TypeFor[input]())
	require.NoError(t, err)
	fields := v.Validate(t.Context(), input{map[string][]int{strings.Repeat("x", 100_000): make([]int, 1000)}})
	require.Len(t, fields, 50)
	for _, field := range fields {
		require.Less(t, len(field.Pointer), 100)
	}
	fields = v.Validate(t.Context(), input{map[string][]int{strings.Repeat("x.", 100_000): {0}}})
	require.Less(t, len(fields[0].Pointer), 2000)
}

// Rules that do not fit the type are found at the start, and not when the first
// client sends a value.
func TestRulesThatDoNotFit(t *testing.T) {
	t.Parallel()
	type input struct {
		On   *bool    `json:"on" validate:"omitempty,min=1"`
		List []string `json:"list" validate:"omitempty,dive,omitempty,max=x"`
	}
	_, err := compiled(t, reflect.TypeFor[input]())
	require.ErrorContains(t, err, "its validate tags")
	_, err = compiled(t, reflect.TypeFor[struct {
		List []string `json:"list" validate:"omitempty,dive,omitempty,max=x"`
	}]())
	require.ErrorContains(t, err, "its validate tags")
}
