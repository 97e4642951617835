package plan

import "reflect"

// Base returns the type without pointers and Opts.
func (t *Type) Base() *Type {
	for t.Kind == Pointer || t.Kind == Opt {
		t = t.Elem
	}
	return t
}

// Walk calls f once for t and for each type within it, at any depth.
func (t *Type) Walk(f func(*Type)) { t.walk(map[*Type]bool{}, f) }

func (t *Type) walk(seen map[*Type]bool, f func(*Type)) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	f(t)
	t.Elem.walk(seen, f)
	for _, field := range t.Fields {
		field.Type.walk(seen, f)
	}
}

// Unreadable returns the types within an output that have MarshalText or MarshalJSON but
// not the method that reads the result.
func (t *Type) Unreadable() (types []reflect.Type) {
	t.Walk(func(t *Type) {
		p := reflect.PointerTo(t.Go)
		if t.Kind == Text && !p.Implements(textUnmarshaler) || t.Kind == Custom && !p.Implements(jsonUnmarshaler) {
			types = append(types, t.Go)
		}
	})
	return types
}
