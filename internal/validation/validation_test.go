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
	Authors []author          `json:"authors" validate:"max=9,dive"`
	By      map[string]string `json:"by" validate:"lt=9,dive,required"`
	Again   string            `json:"again" validate:"eqfield=Title"`
	Day     string            `json:"day" validate:"omitempty,datetime=2006-01-02"`
	Month   string            `json:"month" validate:"omitempty,datetime=2006-01"`
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
		"/title required: must not be empty",
		"/count lt: must be less than 10",
		"/tags max: may have at most 2 items",
		"/author/mail email: must be an e-mail address",
		"/authors/1/mail email: must be an e-mail address",
		"/by/a~1b required: must not be empty",
		"/again eqfield: must be the same as title",
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
	require.Equal(t, &Constraints{Required: true, MinLength: new(int64(1)), MaxLength: new(int64(5))}, got["title"])
	require.Equal(t, &Constraints{Format: "date"}, got["day"])
	require.Equal(t, &Constraints{}, got["month"])
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
		Authors [][]*author `json:"authors" validate:"max=3,dive,max=3,dive"`
	}
	v, err := compiled(t, reflect.TypeFor[right]())
	require.NoError(t, err)
	require.Len(t, v.Validate(t.Context(), right{[][]*author{{{"x"}}}}), 1)
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	type input struct {
		By map[string][]int `json:"by" validate:"max=10,dive,max=1000,dive,min=1"`
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
		List []string `json:"list" validate:"omitempty,max=9,dive,omitempty,max=x"`
	}
	_, err := compiled(t, reflect.TypeFor[input]())
	require.ErrorContains(t, err, "its validate tags")
	_, err = compiled(t, reflect.TypeFor[struct {
		List []string `json:"list" validate:"omitempty,max=9,dive,omitempty,max=x"`
	}]())
	require.ErrorContains(t, err, "its validate tags")
}

// A list without an end would be checked to its end, whatever a request has.
func TestListsWithoutAnEnd(t *testing.T) {
	t.Parallel()
	type inner struct {
		Names []string `json:"names" validate:"min=1,dive,max=5"`
	}
	type input struct {
		List   []string            `json:"list" validate:"dive,max=5"`
		Map    map[string]string   `json:"map" validate:"dive,keys,max=3,endkeys,max=5"`
		Lists  [][]string          `json:"lists" validate:"max=3,dive,min=1,dive,max=5"`
		Maps   map[string][]string `json:"maps" validate:"omitempty,max=3,dive,dive,max=5"`
		Ptr    *[]string           `json:"ptr" validate:"omitempty,dive,max=5"`
		Either []string            `json:"either" validate:"max=3|eq=7,dive,max=5"`
		Inner  []inner             `json:"inner" validate:"max=3,dive"`
	}
	_, err := compiled(t, reflect.TypeFor[input]())
	for _, field := range []string{"input.List", "input.Map", "input.Lists[]", "input.Maps{}", "input.Ptr", "input.Either", "inner.Names"} {
		require.ErrorContains(t, err, "validation."+field+": say how many it may have, such as `validate:\"max=100,dive\"`")
	}
	require.Equal(t, 7, strings.Count(err.Error(), "say how many"))

	type right struct {
		Max    []string          `json:"max" validate:"max=3,dive,max=5"`
		Len    []string          `json:"len" validate:"omitempty,len=3,dive,max=5"`
		Lt     map[string]string `json:"lt" validate:"lt=3,dive,keys,max=3,endkeys,max=5"`
		Lte    *[]string         `json:"lte" validate:"omitempty,lte=3,dive,max=5"`
		Eq     []string          `json:"eq" validate:"eq=3,dive,max=5"`
		Array  [3]string         `json:"array" validate:"dive,max=5"`
		NoDive []string          `json:"noDive" validate:"min=1"`
	}
	_, err = compiled(t, reflect.TypeFor[right]())
	require.NoError(t, err)
}

func TestDiveIntoWhatIsNoList(t *testing.T) {
	t.Parallel()
	_, err := compiled(t, reflect.TypeFor[struct {
		Data []byte              `json:"data" validate:"max=5,dive,min=1"`
		Deep map[string][]string `json:"deep" validate:"max=5,dive,max=5,dive,dive,max=5"`
	}]())
	require.ErrorContains(t, err, "Data: the rule dive is for lists and maps, and this is a []uint8")
	require.ErrorContains(t, err, "Deep{}[]: the rule dive is for lists and maps, and this is a string")
}
