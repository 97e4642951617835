package bind

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/seed-215b9b7c/backend/internal/english"
)

var (
	errorType    = reflect.TypeFor[error]()
	jsonType     = reflect.TypeFor[json.Marshaler]()
	namedArgType = reflect.TypeFor[sql.NamedArg]()
	outType      = reflect.TypeFor[sql.Out]()
	lockerType   = reflect.TypeFor[sync.Locker]()
)

// known has what verdictOf found of each type.
var known sync.Map // reflect.Type to verdict

// verdict is what a type says about the JSON of its values.
type verdict struct {
	err     error // why no value of the type can be stored
	dynamic bool  // its values hold interfaces, whose contents must be looked at
}

// isData returns an error if the JSON of a value does not contain the value, so that it
// cannot be read back. Encoding/json writes {} for a struct without exported fields,
// such as most errors and a bytes.Buffer.
func isData(v reflect.Value) error {
	found := verdictOf(v.Type())
	if found.err != nil || !found.dynamic {
		return found.err
	}
	return look(v)
}

// look checks the contents of interfaces within v. A value that contains itself ends
// with the error that encoding/json would return for it.
func look(v reflect.Value) error {
	const deepest = 1000 // as encoding/json
	var walk func(v reflect.Value, depth int) error
	walk = func(v reflect.Value, depth int) error {
		if depth > deepest {
			return errors.New("a value that is nested more than 1000 levels deep cannot be stored")
		}
		if v.Kind() == reflect.Interface {
			if v.IsNil() {
				return nil
			}
			v = v.Elem()
		}
		found := verdictOf(v.Type())
		if found.err != nil || !found.dynamic {
			return found.err
		}
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				return walk(v.Elem(), depth+1)
			}
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				if err := walk(v.Index(i), depth+1); err != nil {
					return err
				}
			}
		case reflect.Map:
			for entries := v.MapRange(); entries.Next(); {
				if err := walk(entries.Value(), depth+1); err != nil {
					return err
				}
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if !inJSON(v.Type().Field(i)) {
					continue
				}
				if err := walk(v.Field(i), depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk(v, 0)
}

func verdictOf(t reflect.Type) verdict {
	if found, ok := known.Load(t); ok {
		return found.(verdict)
	}
	found := judge(t, map[reflect.Type]bool{})
	known.Store(t, found)
	return found
}

// judge looks at a type and at the types in it. seen has those that contain it.
func judge(t reflect.Type, seen map[reflect.Type]bool) verdict {
	if seen[t] {
		return verdict{}
	}
	seen[t] = true
	switch {
	case t == namedArgType || t == outType:
		return verdict{err: fmt.Errorf("%s cannot be stored: arguments have no names here; write a ? for each, and pass its value", english.A(t))}
	case converts(t):
		return verdict{}
	case t.Implements(errorType) && (t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer):
		return verdict{err: fmt.Errorf("%s is an error, which cannot be stored; pass the text of its method Error", english.A(t))}
	}
	switch t.Kind() {
	case reflect.Interface:
		return verdict{dynamic: true}
	case reflect.Array:
		return judge(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Map:
		inner := judge(t.Elem(), seen)
		return verdict{dynamic: inner.dynamic || inner.err != nil} // nil and empty ones can be stored
	case reflect.Struct:
		return judgeFields(t, seen)
	}
	return verdict{}
}

func judgeFields(t reflect.Type, seen map[reflect.Type]bool) verdict {
	found, visible := verdict{}, t.NumField() == 0
	for i := range t.NumField() {
		field := t.Field(i)
		if !inJSON(field) {
			continue
		}
		visible = true
		inner := judge(field.Type, seen)
		if inner.err != nil {
			return inner
		}
		found.dynamic = found.dynamic || inner.dynamic
	}
	if !visible {
		return verdict{err: fmt.Errorf("%s has no exported fields: its JSON is {}, from which it cannot be read again; pass what it contains, or give the type a method Value", english.A(t))}
	}
	return found
}

// inJSON reports whether encoding/json may write a field, or fields of it. A mutex is no
// part of the value.
func inJSON(field reflect.StructField) bool {
	if field.Tag.Get("json") == "-" || reflect.PointerTo(field.Type).Implements(lockerType) {
		return false
	}
	t := field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return field.IsExported() || field.Anonymous && t.Kind() == reflect.Struct
}

// converts reports whether a type, or the pointer to it, writes itself as JSON.
func converts(t reflect.Type) bool {
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		if t.Kind() != reflect.Interface && (t.Implements(jsonType) || t.Implements(marshalerType)) {
			return true
		}
	}
	return false
}
