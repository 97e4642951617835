package validation

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file finds rules that compare two fields but not their values: validator compares
// the lengths of strings, compares nothing of structs, and fails if a field is null or
// the types differ.

var timeType = reflect.TypeFor[time.Time]()

// incomparable returns the mistake in a rule that compares a field of the type of with
// another field, or "" if there is none.
func (c *checker) incomparable(of reflect.Type, rule, name string) string {
	ordered := false
	switch rule {
	case "gtfield", "gtefield", "ltfield", "ltefield":
		ordered = true
	case "eqfield", "nefield":
	default:
		return ""
	}
	other, known := fieldOf(c.whole, name)
	if !known {
		return ""
	}
	otherType, null := nonNull(other.Type)
	const instead = "compare them in a method Validate"
	switch {
	case ordered && !isNumber(of) && !isTime(of):
		return fmt.Sprintf("orders numbers and times, and no %s; %s", of, instead)
	case !isNumber(of) && !isTime(of) && of.Kind() != reflect.String && of.Kind() != reflect.Bool:
		return fmt.Sprintf("does not look into %s; %s", english.A(of), instead)
	case of.Kind() != otherType.Kind() || isTime(of) != isTime(otherType):
		return fmt.Sprintf("does not compare %s with %s; give both one type", english.A(of), english.A(otherType))
	case ordered && null && !needed(other):
		return fmt.Sprintf("refuses every value where %s is absent or null; %s", name, instead)
	}
	return ""
}

// nonNull returns a type without pointers and Opts, and whether there were any.
func nonNull(t reflect.Type) (of reflect.Type, null bool) {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case plan.IsOpt(t):
			t = t.Field(plan.OptValue).Type
		default:
			return t, null
		}
		null = true
	}
}

// needed reports whether a field has the rule required or notempty, which refuse null.
func needed(field reflect.StructField) bool {
	first, _, _ := strings.Cut(field.Tag.Get("validate"), ",")
	return first == "required" || first == "notempty"
}

func isNumber(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
}

func isTime(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.ConvertibleTo(timeType)
}
