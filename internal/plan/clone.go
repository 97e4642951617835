package plan

import "reflect"

// Refers reports whether values of the type share memory with their copies: the type
// is, or holds, a slice, a map or a pointer. A type with MarshalText counts as a value,
// whatever it consists of.
func (t *Type) Refers() (refers bool) {
	t.Walk(func(t *Type) {
		switch t.Kind {
		case Bytes, Raw, Slice, Map, Pointer:
			refers = true
		}
	})
	return refers
}

// Clone copies v, a value of the type, into the settable value into, so that the
// two share no memory that [Type.Refers] counts. Fields of structs that the plan
// does not have are copied by assignment. Clone copies the first thousand levels of
// values that are deeper or that contain themselves.
func (t *Type) Clone(into, v reflect.Value) { t.clone(into, v, 0) }

// maxCloneDepth is larger than the depth of any value that a door decodes.
const maxCloneDepth = 1000

func (t *Type) clone(into, v reflect.Value, depth int) {
	into.Set(v)
	if depth++; depth > maxCloneDepth {
		return
	}
	switch t.Kind {
	case Bytes, Raw:
		if !v.IsNil() {
			into.SetBytes(append(make([]byte, 0, v.Len()), v.Bytes()...))
		}
	case Slice:
		if v.IsNil() {
			return
		}
		into.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		t.cloneElements(into, v, depth)
	case Array:
		t.cloneElements(into, v, depth)
	case Map:
		if v.IsNil() {
			return
		}
		into.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for entries := v.MapRange(); entries.Next(); {
			element := reflect.New(v.Type().Elem()).Elem()
			t.Elem.clone(element, entries.Value(), depth)
			into.SetMapIndex(entries.Key(), element)
		}
	case Pointer:
		if v.IsNil() {
			return
		}
		into.Set(reflect.New(v.Type().Elem()))
		t.Elem.clone(into.Elem(), v.Elem(), depth)
	case Opt:
		t.Elem.clone(into.Field(OptValue), v.Field(OptValue), depth)
	case Struct:
		for _, field := range t.Fields {
			field.Type.clone(into.FieldByIndex(field.Index), v.FieldByIndex(field.Index), depth)
		}
	}
}

func (t *Type) cloneElements(into, v reflect.Value, depth int) {
	for i := range v.Len() {
		t.Elem.clone(into.Index(i), v.Index(i), depth)
	}
}
