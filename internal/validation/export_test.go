package validation

import (
	"context"
	"reflect"
)

// Holds reports whether a struct is quickly known to keep its rules.
func (v *Validator) Holds(value reflect.Value) bool { return v.root.holds(value) }

// Check is Validate of a struct that has an address, without looking first
// whether all is well. Slowly, validator looks at everything.
func (v *Validator) Check(ctx context.Context, value reflect.Value, slowly bool) []FieldError {
	r := run{ctx: ctx, validate: v.validate, names: v.names, slowly: slowly}
	v.root.check(&r, value)
	return r.found
}

// IsUsualEmail reports whether an address is accepted without asking validator.
func IsUsualEmail(text string) bool { return isUsualEmail(text) }
