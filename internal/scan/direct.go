package scan

import (
	"reflect"
	"time"
	"unsafe"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/stamp"
)

// direct stores the value of a column in a field of one certain type, without reflection. It
// reports whether it has. It leaves every value to the setter that needs a conversion, or is
// an error. The setter and it store the same.
type direct func(field unsafe.Pointer, src *column.Value) bool

// directFor returns the direct setter for fields of type t, or nil.
func directFor(t reflect.Type) direct {
	pointer := reflect.PointerTo(t)
	switch {
	case t == stamp.Type:
		return directTime
	case t == rawType, pointer.Implements(scannerType), pointer.Implements(unmarshalerType):
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		return directString
	case reflect.Bool:
		return directBool
	case reflect.Int:
		return directInt[int]
	case reflect.Int8:
		return directInt[int8]
	case reflect.Int16:
		return directInt[int16]
	case reflect.Int32:
		return directInt[int32]
	case reflect.Int64:
		return directInt[int64]
	case reflect.Uint:
		return directInt[uint]
	case reflect.Uint8:
		return directInt[uint8]
	case reflect.Uint16:
		return directInt[uint16]
	case reflect.Uint32:
		return directInt[uint32]
	case reflect.Uint64:
		return directInt[uint64]
	case reflect.Float32:
		return directFloat[float32]
	case reflect.Float64:
		return directFloat[float64]
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return directBytes
		}
	}
	return nil
}

func directString(field unsafe.Pointer, src *column.Value) bool {
	ok := src.Kind == column.Text || src.Kind == column.Blob
	if ok {
		*(*string)(field) = string(src.Bytes)
	}
	return ok
}

func directBool(field unsafe.Pointer, src *column.Value) bool {
	ok := src.Kind == column.Bool || src.Kind == column.Int && uint64(src.Int) <= 1
	if ok {
		*(*bool)(field) = src.Int != 0
	}
	return ok
}

func directInt[T int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64](field unsafe.Pointer, src *column.Value) bool {
	n := T(src.Int)
	ok := src.Kind == column.Int && int64(n) == src.Int && (n < 0) == (src.Int < 0)
	if ok {
		*(*T)(field) = n
	}
	return ok
}

func directFloat[T float32 | float64](field unsafe.Pointer, src *column.Value) bool {
	ok := src.Kind == column.Float
	if ok {
		*(*T)(field) = T(src.Float)
	}
	return ok
}

func directBytes(field unsafe.Pointer, src *column.Value) bool {
	ok := src.Kind == column.Text || src.Kind == column.Blob
	if ok {
		*(*[]byte)(field) = append(make([]byte, 0, len(src.Bytes)), src.Bytes...) // empty, not nil
	}
	return ok
}

func directTime(field unsafe.Pointer, src *column.Value) bool {
	at, ok := asTime(src)
	if ok {
		*(*time.Time)(field) = at
	}
	return ok
}

// asTime returns the time of a column in the usual forms.
func asTime(src *column.Value) (time.Time, bool) {
	switch src.Kind {
	case column.Time:
		return time.UnixMicro(src.Int).UTC(), true
	case column.Text, column.Blob:
		return stamp.Parse(src.Bytes)
	}
	return time.Time{}, false
}
