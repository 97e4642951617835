package backend

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/fingerprint"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file stores the answers that are given again under a key of [Idempotent],
// and reads them.

// checkReplay notes types with which inputs cannot be compared, or answers not
// be read again.
func checkReplay(o *Operation) {
	for _, t := range fingerprint.Incomparable(o.inPlan) {
		o.fault("Idempotent: inputs with a %s cannot be compared; give it MarshalText", t)
	}
	o.outPlan.Walk(func(t *plan.Type) {
		if !readable(t) {
			o.fault("Idempotent: a stored answer with a %s cannot be read again; give it the method that reads what it writes", t.Go)
		}
	})
}

// readable reports whether what a type writes can be read again.
func readable(t *plan.Type) bool {
	p := reflect.PointerTo(t.Go)
	return (t.Kind != plan.Text || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())) &&
		(t.Kind != plan.Custom || p.Implements(reflect.TypeFor[json.Unmarshaler]()))
}

// store keeps the answer in the transaction of ctx: its JSON, and after it what
// that does not show.
func (k *keyed) store(ctx context.Context, out any) error {
	value := reflect.ValueOf(out).Elem()
	text, err := k.op.written().Append(nil, value)
	if err != nil {
		return err
	}
	if hidden := k.unseen.of(nil, k.op.outPlan, value); len(hidden) > 0 {
		more, err := json.Marshal(hidden)
		if err != nil {
			return err
		}
		text = append(append(text, '\n'), more...)
	}
	_, err = k.db.Exec(ctx, "UPDATE backend_idempotency_keys SET output = ? WHERE id = ?", text, k.id)
	return err
}

// replay returns the stored answer as a *Out.
func (k *keyed) replay() (any, error) {
	out := reflect.New(k.op.out)
	from := json.NewDecoder(bytes.NewReader(k.answer))
	err := from.Decode(out.Interface())
	if hidden := k.unseen.of(nil, k.op.outPlan, out.Elem()); err == nil && len(hidden) > 0 {
		err = readEach(from, hidden)
	}
	if err != nil {
		return nil, fmt.Errorf("the stored answer of %s cannot be read: %w", k.op.name, err)
	}
	return out.Interface(), nil
}

// readEach reads a list into what the pointers point to.
func readEach(from *json.Decoder, pointers []any) error {
	var texts []json.RawMessage
	if err := from.Decode(&texts); err != nil {
		return err
	}
	if len(texts) != len(pointers) {
		return fmt.Errorf("%d values for %d fields", len(texts), len(pointers))
	}
	for i, text := range texts {
		if err := json.Unmarshal(text, pointers[i]); err != nil {
			return err
		}
	}
	return nil
}

// unseen are the fields of types that JSON does not show, json:"-", and that an
// answer needs all the same when it is given again: relations and methods ETag
// look at them. Of others nothing is stored; they may be secrets.
type unseen map[*plan.Type][][]int

// unseenIn returns the fields of what an operation returns. A method ETag may look
// at anything within.
func (l *Logic) unseenIn(op *registered) unseen {
	u, tagged := unseen{}, hasTag(op.outPlan.Base().Go)
	op.outPlan.Walk(func(t *plan.Type) {
		related := func(r *related) bool { return r.parent == t.Go }
		if t.Kind != plan.Struct || !tagged && !slices.ContainsFunc(l.relations, related) {
			return
		}
		if fields := hiddenFields(t.Go); len(fields) > 0 {
			u[t] = fields
		}
	})
	return u
}

// hiddenFields returns the indexes of the fields of a struct with json:"-" that
// JSON could show and be read from.
func hiddenFields(t reflect.Type) (fields [][]int) {
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Tag.Get("json") != "-" || throughPointer(t, f.Index) {
			continue
		}
		compiled, err := plan.NewCompiler(plan.Out).Compile(f.Type)
		fits := err == nil
		compiled.Walk(func(t *plan.Type) { fits = fits && readable(t) })
		if fits {
			fields = append(fields, f.Index)
		}
	}
	return fields
}

// throughPointer reports whether a field belongs to a struct that t embeds by a
// pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// of appends pointers to the fields in v. Values of maps are reached if they are
// pointers.
func (u unseen) of(found []any, t *plan.Type, v reflect.Value) []any {
	if len(u) == 0 {
		return nil
	}
	switch t.Kind {
	case plan.Struct:
		for _, index := range u[t] {
			found = append(found, v.FieldByIndex(index).Addr().Interface())
		}
		for _, field := range t.Fields {
			found = u.of(found, field.Type, v.FieldByIndex(field.Index))
		}
	case plan.Pointer:
		if !v.IsNil() {
			found = u.of(found, t.Elem, v.Elem())
		}
	case plan.Opt:
		if v.Field(plan.OptPresent).Bool() && !v.Field(plan.OptNull).Bool() {
			found = u.of(found, t.Elem, v.Field(plan.OptValue))
		}
	case plan.Slice, plan.Array:
		for i := range v.Len() {
			found = u.of(found, t.Elem, v.Index(i))
		}
	case plan.Map:
		if t.Elem.Kind != plan.Pointer {
			break
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			found = u.of(found, t.Elem, v.MapIndex(key))
		}
	}
	return found
}
