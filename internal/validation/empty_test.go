package validation_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// saidOf returns what is wrong with a value, a line for each.
func saidOf(t *testing.T, value any) (lines []string) {
	t.Helper()
	for _, field := range compiled(t, reflect.TypeOf(value)).Validate(t.Context(), value) {
		lines = append(lines, field.Pointer+" "+field.Rule+": "+field.Message)
	}
	return lines
}

// The decoder says what is missing; what is here was sent, or is null.
func TestWhatIsEmpty(t *testing.T) {
	t.Parallel()
	type input struct {
		Text     string              `json:"text" validate:"required"`
		Count    int                 `json:"count" validate:"required"`
		Ratio    float64             `json:"ratio" validate:"required"`
		Agreed   bool                `json:"agreed" validate:"required"`
		At       time.Time           `json:"at" validate:"required"`
		List     []string            `json:"list" validate:"required"`
		Pointer  *string             `json:"pointer" validate:"required"`
		Opt      backend.Opt[int]    `json:"opt" validate:"required"`
		If       string              `json:"if" validate:"required_without=Pointer"`
		Full     string              `json:"full" validate:"notempty"`
		FullList []int               `json:"fullList" validate:"notempty,max=3"`
		FullMap  map[string]int      `json:"fullMap" validate:"notempty"`
		FullPtr  *string             `json:"fullPtr" validate:"notempty,max=3"`
		FullOpt  backend.Opt[string] `json:"fullOpt" validate:"notempty,max=3"`

		OrOpt  backend.Opt[string] `json:"orOpt" validate:"omitempty,notempty,max=3"`
		OrList []string            `json:"orList" validate:"omitempty,notempty,max=3,dive,email"`
		OrSlow backend.Opt[string] `json:"orSlow" validate:"omitempty,notempty,email"`
	}
	require.Equal(t, []string{
		"/text required: must not be empty", "/count required: must not be 0", "/ratio required: must not be 0", "/agreed required: must be true",
		"/at required: must not be empty", "/list required: is missing", "/pointer required: must not be null", "/opt required: must not be null",
		"/if required_without: is missing or empty", "/full notempty: must not be empty", "/fullList notempty: must not be empty", "/fullMap notempty: must not be empty",
		"/fullPtr notempty: must not be null", "/fullOpt notempty: must not be null",
	}, saidOf(t, input{}))
	good := input{Text: "a", Count: 1, Ratio: 1, Agreed: true, At: time.Unix(1, 0), List: []string{}, Pointer: new(""), Opt: backend.Some(0),
		Full: "a", FullList: []int{0}, FullMap: map[string]int{"": 0}, FullPtr: new("a"), FullOpt: backend.Some("a")}
	require.Empty(t, saidOf(t, good))
	good.FullPtr, good.FullOpt = new(""), backend.Some("")
	require.Equal(t, []string{"/fullPtr notempty: must not be empty", "/fullOpt notempty: must not be empty"}, saidOf(t, good))
	good.FullPtr, good.FullOpt = new("a"), backend.Some("a")
	good.OrOpt, good.OrList, good.OrSlow = backend.Some(""), []string{}, backend.Some("")
	require.Equal(t, []string{"/orOpt notempty: must not be empty", "/orList notempty: must not be empty", "/orSlow notempty: must not be empty"}, saidOf(t, good))
	good.OrOpt, good.OrList, good.OrSlow = backend.Opt[string]{Present: true, Null: true}, nil, backend.Opt[string]{Present: true, Null: true}
	require.Equal(t, []string{"/orOpt notempty: must not be null", "/orSlow notempty: must not be null"}, saidOf(t, good))
	good.OrOpt, good.OrList, good.OrSlow = backend.Some("a"), []string{"a@example.com"}, backend.Some("a@example.com")
	require.Empty(t, saidOf(t, good))
	good.FullPtr, good.FullOpt = new("long"), backend.Some("long")
	require.Equal(t, []string{"/fullPtr max: may have at most 3 characters", "/fullOpt max: may have at most 3 characters"}, saidOf(t, good))
}

func TestEitherOfSeveralRulesInWords(t *testing.T) {
	t.Parallel()
	type input struct {
		Password string   `json:"password" validate:"len=0|min=8"`
		Size     int      `json:"size" validate:"eq=3|min=10"`
		Items    []int    `json:"items" validate:"len=1|min=3,max=9"`
		Home     string   `json:"home" validate:"email|url"`
		Bound    int      `json:"bound" validate:"max=-1|min=5"`
		Same     int      `json:"same" validate:"eqfield=Size|eq=7"`
		Bar      string   `json:"bar" validate:"eq=ab|startswith=0x2C"`
		Few      []string `json:"few" validate:"max=2|min=4,max=9,dive,len=0|min=3"`
		Kind     string   `json:"kind" validate:"len=0|isbn"`
	}
	require.Equal(t, []string{
		"/password len=0|min=8: must be empty or have at least 8 characters",
		"/size eq=3|min=10: must be 3 or be at least 10",
		"/items len=1|min=3: must have exactly 1 item or have at least 3 items",
		"/home email|url: must be an e-mail address or be a URL",
		"/bound max=-1|min=5: must be at most -1 or be at least 5",
		"/same eqfield=Size|eq=7: must be the same as size or be 7",
		"/bar eq=ab|startswith=,: must be ab or begin with ,",
		"/few max=2|min=4: may have at most 2 items or must have at least 4 items",
		"/kind len=0|isbn: breaks the rule len=0|isbn",
	}, saidOf(t, input{"a", 4, []int{1, 2}, "a", 0, 5, "c", []string{"a", "b", "c"}, "a"}))
	require.Equal(t, []string{"/few/0 len=0|min=3: must be empty or have at least 3 characters"},
		saidOf(t, input{"", 3, []int{1}, "a@example.com", 5, 7, "ab", []string{"a"}, ""}))
}

func TestNotEmptyIsForTextAndLists(t *testing.T) {
	t.Parallel()
	type input struct {
		A int               `json:"a" validate:"notempty"`
		B backend.Opt[bool] `json:"b" validate:"omitempty,notempty"`
		C time.Time         `json:"c" validate:"notempty"`
		D json.RawMessage   `json:"d" validate:"notempty"`
		E []int             `json:"e" validate:"max=3,dive,notempty"`
		F [2]int            `json:"f" validate:"notempty"`
	}
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[input]())
	require.NoError(t, err)
	_, err = validation.Compile(described)
	for field, of := range map[string]string{"A": "an int", "B": "a bool", "C": "a time.Time", "D": "a json.RawMessage", "E[]": "an int", "F": "a [2]int"} {
		require.ErrorContains(t, err, "input."+field+": its validate tags: the rule notempty does not fit: notempty is for strings, lists and maps, and this is "+of)
	}
}

func TestNotNull(t *testing.T) {
	t.Parallel()
	type input struct {
		Salary backend.Opt[int]    `json:"salary" validate:"omitempty,notnull,min=0,max=9"`
		Open   backend.Opt[bool]   `json:"open" validate:"omitempty,notnull"`
		Name   backend.Opt[string] `json:"name" validate:"omitempty,notnull,max=3"`
		Note   backend.Opt[string] `json:"note" validate:"omitempty,max=3"`
	}
	require.Empty(t, saidOf(t, input{}))
	require.Empty(t, saidOf(t, input{backend.Some(0), backend.Some(false), backend.Some(""), backend.Opt[string]{Present: true, Null: true}}))
	require.Equal(t, []string{"/salary notnull: must not be null", "/open notnull: must not be null", "/name notnull: must not be null"},
		saidOf(t, input{backend.Opt[int]{Present: true, Null: true}, backend.Opt[bool]{Present: true, Null: true}, backend.Opt[string]{Present: true, Null: true}, backend.Opt[string]{}}))
	require.Equal(t, []string{"/salary min: must be at least 0", "/name max: may have at most 3 characters"}, saidOf(t, input{Salary: backend.Some(-1), Name: backend.Some("abcd")}))

	for _, of := range []reflect.Type{reflect.TypeFor[struct {
		A int `json:"a" validate:"notnull"`
	}](), reflect.TypeFor[struct {
		A backend.Opt[int] `json:"a" validate:"notnull"`
	}](), reflect.TypeFor[struct {
		A *int `json:"a" validate:"omitempty,notnull"`
	}]()} {
		described, err := plan.NewCompiler(plan.In).Compile(of)
		require.NoError(t, err)
		_, err = validation.Compile(described)
		require.ErrorContains(t, err, `notnull is for an Opt that may be absent: write validate:"omitempty,notnull"`)
	}
}

func TestUnknownRulesAreNamed(t *testing.T) {
	t.Parallel()
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[struct {
		A string `json:"a" validate:"presence"`
	}]())
	require.NoError(t, err)
	_, err = validation.Compile(described)
	require.ErrorContains(t, err, "there is no rule presence; the rules are those of github.com/go-playground/validator")
}
