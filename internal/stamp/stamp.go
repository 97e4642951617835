// Package stamp finds the time in a value whose type is made from [time.Time]. Arguments
// of queries and rows treat such a type as the time itself.
package stamp

import (
	"math"
	"reflect"
	"time"
)

// Type is the type time.Time.
var Type = reflect.TypeFor[time.Time]()

// Text returns a time as it is stored in SQLite, whose times are text and are compared as
// text. It is the form of SQLite's own CURRENT_TIMESTAMP, in UTC, with a fraction of a
// second that ends in no zero. In this form the text sorts as the times do.
func Text(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999") }

// Parse returns the time of a text such as [Text] returns, also with a T between day and
// hour, or with a Z at the end. It allocates nothing. It reports whether the text is one;
// others may be times in another form.
func Parse(text []byte) (time.Time, bool) {
	n := len(text)
	if n > 0 && text[n-1] == 'Z' {
		n--
	}
	if n < 19 || text[4] != '-' || text[7] != '-' || text[10] != ' ' && text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return time.Time{}, false
	}
	nanos := 0
	if n > 19 {
		if text[19] != '.' || n == 20 || n > 29 {
			return time.Time{}, false
		}
		nanos = digits(text[20:n])
		for range 29 - n {
			nanos *= 10
		}
	}
	year, month, day := digits(text[:4]), digits(text[5:7]), digits(text[8:10])
	hour, minute, second := digits(text[11:13]), digits(text[14:16]), digits(text[17:19])
	if min(year, month, day, hour, minute, second, nanos) < 0 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return at, at.Day() == day && month > 0
}

// digits returns a number of up to 9 digits, or a negative one if the text is none.
func digits(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return math.MinInt32
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// Is reports whether t is time.Time, a type made from it, as in
// type Deadline time.Time, or a struct whose only field is an embedded time.
func Is(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && (t.ConvertibleTo(Type) || embeds(t))
}

func embeds(t reflect.Type) bool {
	return t.NumField() == 1 && t.Field(0).Anonymous && t.Field(0).IsExported() && Is(t.Field(0).Type)
}

// Of returns the time of a value, if [Is] holds for its type.
func Of(v reflect.Value) (time.Time, bool) {
	if v.Kind() != reflect.Struct {
		return time.Time{}, false
	}
	switch t := v.Type(); {
	case t.ConvertibleTo(Type):
		return v.Convert(Type).Interface().(time.Time), true
	case embeds(t):
		return Of(v.Field(0))
	}
	return time.Time{}, false
}

// Within returns the time of a value as [Of] does, or the time that a struct with other
// fields embeds.
func Within(v reflect.Value) (time.Time, bool) {
	if t, ok := Of(v); ok || v.Kind() != reflect.Struct {
		return t, ok
	}
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.Anonymous && field.IsExported() {
			if t, ok := Within(v.Field(i)); ok {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// Set stores a time in a value that can be set, and for whose type [Is] holds.
func Set(v reflect.Value, t time.Time) {
	switch {
	case v.Type() == Type:
		*v.Addr().Interface().(*time.Time) = t // no copy into an interface
	case v.Type().ConvertibleTo(Type):
		v.Set(reflect.ValueOf(t).Convert(v.Type()))
	default:
		Set(v.Field(0), t)
	}
}
