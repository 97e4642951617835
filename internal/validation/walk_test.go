package validation

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// found returns what is wrong with a value, a line for each.
func found(t *testing.T, value any) []string {
	t.Helper()
	v, err := compiled(t, reflect.TypeOf(value))
	require.NoError(t, err)
	lines := []string{}
	for _, field := range v.Validate(t.Context(), value) {
		lines = append(lines, field.Pointer+" "+field.Rule+": "+field.Message)
	}
	return lines
}

type boxed[T any] struct {
	In T `json:"in" validate:"required"`
}

type Label string

func TestPointersAreTheWires(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"/in required: must not be empty"}, found(t, boxed[author]{}), "the type's name has dots in it")
	require.Equal(t, []string{"/a required: must not be empty"}, found(t, struct {
		A string `json:"a" validate:"required"`
	}{}), "the type has no name")
	require.Equal(t, []string{"/a.b required: must not be empty", "/- required: must not be empty", "/a[0] required: must not be empty", "/Label min: must have at least 3 characters"}, found(t, struct {
		Dot string `json:"a.b" validate:"required"`
		//lint:ignore SA5008 it is what the test is about
		Dash  string `json:"-," validate:"required"`
		Brack string `json:"a[0]" validate:"required"`
		Label `validate:"min=3"`
	}{}))
	require.Equal(t, []string{"/by/]/0 min: must have at least 2 characters", "/by/a.b[c/0 min: must have at least 2 characters", "/by/x~1y~0/0 min: must have at least 2 characters"}, found(t, struct {
		By map[string][]string `json:"by" validate:"max=5,dive,max=5,dive,min=2"`
	}{map[string][]string{"a.b[c": {"a"}, "]": {"a"}, "x/y~": {"a"}}}))
}

func TestWalk(t *testing.T) {
	t.Parallel()
	type keyed struct {
		Title string            `json:"title"`
		Keys  map[string]author `json:"keys" validate:"max=5,dive,keys,min=2,endkeys"`
		Ne    []string          `json:"ne" validate:"max=5,dive,nefield=Title"`
	}
	type outer struct {
		keyed
		Zero     author       `json:"zero" validate:"omitempty"`
		Set      author       `json:"set" validate:"omitempty"`
		Only     author       `json:"only" validate:"structonly"`
		Skipped  author       `json:"skipped" validate:"-"`
		Needed   []*author    `json:"needed" validate:"max=5,dive,required"`
		Optional []*author    `json:"optional" validate:"max=5,dive,omitempty"`
		TooMany  []author     `json:"tooMany" validate:"max=1,dive"`
		Lists    *[][2]string `json:"lists" validate:"omitempty,max=5,dive,dive,max=1"`
		Plain    struct {
			Author **author `json:"-"`
			Inner  *author  `json:"inner"`
		} `json:"plain"`
	}
	bad := author{"bad"}
	in := outer{keyed: keyed{Title: "x", Keys: map[string]author{"a": bad, "bb": {}}, Ne: []string{"y", "x"}}, Set: bad, Only: bad, Skipped: bad,
		Needed: []*author{nil, {}, &bad}, Optional: []*author{nil, &bad}, TooMany: []author{bad, bad}, Lists: &[][2]string{{"a", "bb"}}}
	in.Plain.Inner = &bad
	require.Equal(t, []string{
		"/keys/a min: must have at least 2 characters",
		"/keys/a/mail email: must be an e-mail address",
		"/ne/1 nefield: must not be the same as title",
		"/set/mail email: must be an e-mail address",
		"/needed/0 required: must not be null",
		"/needed/2/mail email: must be an e-mail address",
		"/optional/1/mail email: must be an e-mail address",
		"/tooMany max: may have at most 1 item",
		"/lists/0/1 max: may have at most 1 character",
		"/plain/inner/mail email: must be an e-mail address",
	}, found(t, in))
}

// Elements are looked at until enough is found, and not to the last one.
func TestMemoryIsBounded(t *testing.T) { // alone, since it counts what all allocate
	type item struct {
		N int `json:"n" validate:"min=1"`
	}
	type input struct {
		List  []int  `json:"list" validate:"max=1000000,dive,min=1"`
		Items []item `json:"items" validate:"max=1000000,dive"`
	}
	v, err := compiled(t, reflect.TypeFor[input]())
	require.NoError(t, err)
	for _, in := range []*input{{List: make([]int, 1<<19)}, {Items: make([]item, 1<<19)}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.Len(t, v.Validate(t.Context(), in), 50)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
}

func TestRulesBehindOthers(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"behind one that breaks": struct {
			A string `validate:"min=5,max=x"`
		}{},
		"elements of a map": struct {
			A map[string]string `validate:"max=5,dive,min=5,max=x"`
		}{},
		"keys": struct {
			A map[string]string `validate:"max=5,dive,keys,min=5,max=x,endkeys"`
		}{},
		"elements of an array": struct {
			A [2]string `validate:"dive,min=5,max=x"`
		}{},
		"the second of several": struct {
			A string `validate:"min=0|max=x"`
		}{},
		"unknown, behind one that breaks": struct {
			A []string `validate:"max=5,dive,min=5,nonsense"`
		}{},
		"a value that is no number": struct {
			A string `validate:"required_if=B x"`
			B int
		}{},
	} {
		_, err := compiled(t, reflect.TypeOf(value))
		require.ErrorContains(t, err, "its validate tags", name)
	}
	_, err := compiled(t, reflect.TypeOf(struct {
		A []string `validate:"max=5,dive,keys,min=5,endkeys"`
	}{}))
	require.ErrorContains(t, err, "A: the rule keys is for maps, and this is a []string")
}

func TestRulesAboutOtherFields(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name  string
		Again string `validate:"eqfield=Title"`
	}
	type input struct {
		inner
		Title string   `json:"title"`
		Eq    string   `validate:"eqfield=title"`
		Ne    []string `validate:"max=5,dive,nefield=Inner.Missing"`
		If    string   `validate:"required_if=Title 'a b' Kind c"`
		With  string   `validate:"omitempty,excluded_with=Title Other"`
		Inner *inner
	}
	_, err := compiled(t, reflect.TypeFor[input]())
	for _, want := range []string{
		"input.inner.Again: the rule eqfield=Title is about a field Title, and validation.inner has none; say its name in Go",
		"input.Eq: the rule eqfield=title is about a field title",
		"input.Ne[]: the rule nefield=Inner.Missing is about a field Inner.Missing",
		"input.If: the rule required_if=Title 'a b' Kind c is about a field Kind",
		"input.With: the rule excluded_with=Title Other is about a field Other",
	} {
		require.ErrorContains(t, err, want)
	}
	type base struct{ Kind string }
	type right struct {
		base
		Title string `json:"title" validate:"nefield=Kind"`
		If    string `json:"if" validate:"required_if=Title 'a b' Inner.Name c"`
		With  string `json:"with" validate:"excluded_with=List[0].Name Inner"`
		Inner *struct{ Name string }
		List  []struct{ Name string }
	}
	require.Equal(t, []string{"/title nefield: must not be the same as Kind"}, found(t, right{base: base{"x"}, Title: "x"}))
	require.Equal(t, []string{"/if required_if: is missing or empty"}, found(t, right{Title: "a b", Inner: &struct{ Name string }{"c"}}))
}

// What the client reads names fields as the client does.
func TestOtherFieldsHaveTheirNameOnTheWire(t *testing.T) {
	t.Parallel()
	type base struct {
		Password string   `json:"password"`
		Again    string   `json:"password_again" validate:"eqfield=Password"`
		Not      []string `json:"not" validate:"max=3,dive,nefield=Password"`
	}
	type input struct {
		base
		From int    `json:"from"`
		To   int    `json:"to" validate:"gtfield=From"`
		Deep []base `json:"deep" validate:"max=3,dive"`
	}
	require.Equal(t, []string{
		"/password_again eqfield: must be the same as password", "/not/0 nefield: must not be the same as password", "/to gtfield: must be greater than from",
		"/deep/0/password_again eqfield: must be the same as password",
	}, found(t, input{base: base{"a", "b", []string{"a"}}, Deep: []base{{"a", "b", nil}}}))
}

// What may be null must not break a rule by being null, but for required.
func TestRulesThatNullBreaks(t *testing.T) {
	t.Parallel()
	type input struct {
		Max  *string   `validate:"max=5"`
		List []*string `validate:"max=5,dive,max=5"`
	}
	_, err := compiled(t, reflect.TypeFor[input]())
	require.ErrorContains(t, err, "input.Max: null breaks the rule max; begin with omitempty")
	require.ErrorContains(t, err, "input.List[]: null breaks the rule max")
	type right struct {
		Omit     *string   `validate:"omitempty,max=5"`
		Required *string   `validate:"required,max=5"`
		If       *string   `validate:"required_if=Kind a,omitempty,max=5"`
		List     []*string `validate:"max=5,dive,omitempty,max=5"`
		Kind     string
	}
	require.Equal(t, []string{"/Required required: must not be null"}, found(t, right{List: []*string{nil}}))
}

func TestChoices(t *testing.T) {
	t.Parallel()
	type input struct {
		A string  `json:"a" validate:"oneof='in stock' sold 'a0x2Cb'"`
		B string  `json:"b" validate:"datetime=2006-01-02 15:04"`
		C int     `json:"c" validate:"max=0x10"`
		D *string `json:"d" validate:"required"`
	}
	require.Equal(t, []string{
		"/a oneof: must be one of in stock, sold, a,b", "/b datetime: must be a time like 2006-01-02 15:04",
		"/c max: must be at most 0x10", "/d required: must not be null",
	}, found(t, input{A: "in", C: 17}))
	require.Empty(t, found(t, input{A: "a,b", B: "2026-01-02 15:04", C: 16, D: new("")}))
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[input]())
	require.NoError(t, err)
	require.Equal(t, &Constraints{Enum: []string{"in stock", "sold", "a,b"}}, ConstraintsOf(described.Fields[0]))
	require.Equal(t, &Constraints{Maximum: new(16.0)}, ConstraintsOf(described.Fields[2]))
	require.Equal(t, &Constraints{Required: true}, ConstraintsOf(described.Fields[3]), "null is all that required refuses of a pointer")
}

func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	lines := found(t, struct {
		By map[string]int `json:"by" validate:"max=5,dive,min=1"`
	}{map[string]int{strings.Repeat("ä.", 1000): 0}})
	require.Equal(t, []string{"/by/" + strings.Repeat("ä.", 25) + "… min: must be at least 1"}, lines)
}

// A field that another hides is no field: it would always be zero.
func TestHiddenFieldsAreNotChecked(t *testing.T) {
	t.Parallel()
	type base struct {
		Name string `json:"name" validate:"required"`
	}
	type open struct{ base }
	type input struct {
		base
		Name string `json:"name" validate:"max=5"`
		Open *open  `json:"open"`
	}
	require.Empty(t, found(t, input{}))
	require.Equal(t, []string{"/name max: may have at most 5 characters", "/open/name required: must not be empty"}, found(t, input{Name: "too long", Open: &open{}}))
}

// omitzero passes over a pointer to the zero value, and omitempty only over nil:
// validator says so.
func TestOmittedStructs(t *testing.T) {
	t.Parallel()
	type inner struct {
		Name string `json:"name" validate:"required"`
	}
	type input struct {
		Empty    inner   `json:"empty" validate:"omitempty"`
		EmptyPtr *inner  `json:"emptyPtr" validate:"omitempty"`
		Zero     inner   `json:"zero" validate:"omitzero"`
		ZeroPtr  *inner  `json:"zeroPtr" validate:"omitzero"`
		Nil      *inner  `json:"nil" validate:"omitnil"`
		List     []inner `json:"list" validate:"omitzero,min=1,max=2,dive"`
	}
	in := input{EmptyPtr: new(inner), ZeroPtr: new(inner), Nil: new(inner), List: []inner{}}
	require.Equal(t, []string{"/emptyPtr/name required: must not be empty", "/nil/name required: must not be empty"}, found(t, in))
	theirs, ok := errors.AsType[validator.ValidationErrors](validator.New(validator.WithRequiredStructEnabled()).Struct(in))
	require.True(t, ok)
	require.Len(t, theirs, 2)
	require.Equal(t, "input.EmptyPtr.Name", theirs[0].StructNamespace())
	require.Equal(t, "input.Nil.Name", theirs[1].StructNamespace())
}

// The schema does not refuse what omitempty and omitzero pass over.
func TestConstraintsAdmitWhatIsOmitted(t *testing.T) {
	t.Parallel()
	type input struct {
		Text   string         `json:"text" validate:"omitempty,min=3,max=9"`
		Mail   string         `json:"mail" validate:"omitempty,email"`
		Choice string         `json:"choice" validate:"omitempty,oneof=a b"`
		Number int            `json:"number" validate:"omitempty,oneof=1 2,min=1,max=5"`
		Ratio  float64        `json:"ratio" validate:"omitzero,gt=0,lt=1"`
		Below  float64        `json:"below" validate:"omitempty,gte=-5,lt=0"`
		List   []string       `json:"list" validate:"omitzero,min=2,max=3,dive,omitempty,min=2"`
		By     map[string]int `json:"by" validate:"omitempty,len=1"`
		Zero   *string        `json:"zero" validate:"omitzero,min=3"`
		Ptr    *string        `json:"ptr" validate:"omitempty,min=3"`
		Keys   map[string]int `json:"keys" validate:"max=2,dive,keys,omitempty,min=2,endkeys,min=1"`
	}
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[input]())
	require.NoError(t, err)
	n := func(n int64) *int64 { return &n }
	want := map[string]*Constraints{
		"text": {MaxLength: n(9)}, "mail": {Format: "email"}, "choice": {Enum: []string{"a", "b", ""}}, "number": {Enum: []string{"1", "2", "0"}, Maximum: new(5.0)},
		"ratio": {ExclusiveMaximum: new(1.0)}, "below": {Minimum: new(-5.0)}, "list": {MaxItems: n(3), Items: &Constraints{}}, "by": {MinItems: n(1), MaxItems: n(1)},
		"zero": {}, "ptr": {MinLength: n(3)}, "keys": {MaxItems: n(2), Items: &Constraints{Minimum: new(1.0)}},
	}
	for _, field := range described.Fields {
		require.Equal(t, want[field.Name], ConstraintsOf(field), field.Name)
	}
	require.Empty(t, found(t, input{List: []string{}, By: map[string]int{"": 0}, Zero: new(""), Keys: map[string]int{"": 1}}))
}
