package validation_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

type day struct{ t time.Time }

func (d day) MarshalText() ([]byte, error)     { return []byte(d.t.Format(time.DateOnly)), nil }
func (d *day) UnmarshalText(text []byte) error { return d.t.UnmarshalText(text) }

type otherTime time.Time

func (o otherTime) MarshalText() ([]byte, error)     { return time.Time(o).MarshalText() }
func (o *otherTime) UnmarshalText(text []byte) error { return (*time.Time)(o).UnmarshalText(text) }

type cents int64

// What validator answers without comparing what the fields hold is a mistake:
// the rule would let everything pass, or nothing.
func TestRulesThatDoNotCompare(t *testing.T) {
	t.Parallel()
	type input struct {
		Day    day               `json:"day"`
		Text   string            `json:"text"`
		List   []string          `json:"list"`
		Small  int32             `json:"small"`
		Maybe  *int              `json:"maybe"`
		Opt    backend.Opt[int]  `json:"opt"`
		Sorted day               `json:"sorted" validate:"gtefield=Day"`
		Same   day               `json:"same" validate:"eqfield=Day"`
		Longer string            `json:"longer" validate:"gtefield=Text"`
		Repeat []string          `json:"repeat" validate:"eqfield=List"`
		Large  int64             `json:"large" validate:"gtfield=Small"`
		Either int64             `json:"either" validate:"eq=3|nefield=Small"`
		Most   *int              `json:"most" validate:"omitempty,gtefield=Maybe"`
		Least  int               `json:"least" validate:"ltfield=Opt"`
		Each   []string          `json:"each" validate:"max=3,dive,ltefield=Text"`
		Keys   map[string]string `json:"keys" validate:"max=3,dive,keys,gtfield=Text,endkeys"`
	}
	_, err := compile(reflect.TypeFor[input]())
	for _, want := range []string{
		"input.Sorted: the rule gtefield=Day orders numbers and times, and no validation_test.day; compare them in a method Validate",
		"input.Same: the rule eqfield=Day does not look into a validation_test.day; compare them in a method Validate",
		"input.Longer: the rule gtefield=Text orders numbers and times, and no string",
		"input.Repeat: the rule eqfield=List does not look into a []string",
		"input.Large: the rule gtfield=Small does not compare an int64 with an int32; give both one type",
		"input.Either: the rule nefield=Small does not compare",
		"input.Most: the rule gtefield=Maybe refuses every value where Maybe is absent or null; compare them in a method Validate",
		"input.Least: the rule ltfield=Opt refuses every value",
		"input.Each[]: the rule ltefield=Text orders numbers",
		"input.Keys: the rule gtfield=Text orders numbers",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 10, strings.Count(err.Error(), "the rule"))
}

func TestRulesThatCompare(t *testing.T) {
	t.Parallel()
	type input struct {
		Time   time.Time          `json:"time"`
		Text   string             `json:"text"`
		Live   bool               `json:"live"`
		Cents  cents              `json:"cents"`
		Needed *int               `json:"needed" validate:"required"`
		Maybe  *string            `json:"maybe"`
		After  time.Time          `json:"after" validate:"gtfield=Time"`
		Other  otherTime          `json:"other" validate:"omitempty,gtfield=Time"`
		Again  string             `json:"again" validate:"eqfield=Text"`
		Alike  string             `json:"alike" validate:"nefield=Maybe"`
		Both   bool               `json:"both" validate:"eqfield=Live"`
		More   backend.Opt[cents] `json:"more" validate:"omitempty,gtefield=Cents"`
		Least  int                `json:"least" validate:"gtfield=Needed"`
		Has    string             `json:"has" validate:"fieldcontains=Text"`
	}
	_, err := compile(reflect.TypeFor[input]())
	require.NoError(t, err)
}

func compile(typ reflect.Type) (*validation.Validator, error) {
	described, err := plan.NewCompiler(plan.In).Compile(typ)
	if err != nil {
		return nil, err
	}
	return validation.Compile(described)
}
