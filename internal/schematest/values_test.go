package schematest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// This file makes values of types, JSON documents of them, and documents that
// are not quite what they should be.

var words = []string{
	"", "a", "b", "bb", "abc", "ab", "éé", "ééé", "😀", "😀😀", "😀😀😀", "12", "-1.5", "red", "light blue", "green", "a,b", "c|d", "a.b", "axb", "(b)", "[x]", "i", "ii",
	"1", "2", "007", "-0", "0xAf", "+4915112345678", "a@b.example", "2026-02-03T04:05:06Z", "192.0.2.1", "AAEC", "AAE=", "AAF=", "null", "true", "A", "a\n", "RED",
}

var times = []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC), time.Date(2026, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))}

// fill puts random values into v, of which many keep usual rules.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch into := v.Addr().Interface().(type) {
	case *time.Time:
		*into = pick(r, times)
		return
	case *netip.Addr:
		*into = pick(r, []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")})
		return
	case *json.RawMessage:
		*into = pick(r, []json.RawMessage{nil, json.RawMessage("null"), json.RawMessage(`{"a":[1]}`), json.RawMessage("1")})
		return
	case *shy:
		into.text = pick(r, words)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.String:
		v.SetString(pick(r, words))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		least := int64(-1) << (v.Type().Bits() - 1)
		v.SetInt(pick(r, []int64{0, 1, 1, 2, 2, 3, 4, 5, -1, least, -(least + 1)}))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(pick(r, []uint64{0, 1, 1, 2, 3, 4, 5, math.MaxUint64 >> (64 - v.Type().Bits())}))
	case reflect.Float32:
		v.SetFloat(pick(r, []float64{0, 0.1, 0.3, 1, 2, -1, 3.5, 1e-7, math.MaxFloat32, math.Copysign(0, -1)}))
	case reflect.Float64:
		v.SetFloat(pick(r, []float64{0, 0.1, 0.3, 1, 2, -1, 3.5, 1e21, 1e-7, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)}))
	default:
		fillParts(r, v, depth)
	}
}

func fillParts(r *rand.Rand, v reflect.Value, depth int) {
	few := pick(r, []int{0, 1, 1, 2, 2, 3})
	if depth > 4 {
		few = 0
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.SetZero()
		if few > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), few, few))
		if r.IntN(6) == 0 {
			v.SetZero()
		}
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if r.IntN(6) == 0 {
			v.SetZero()
			return
		}
		for range few {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key, depth+1)
			fill(r, elem, depth+1)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(r, v.Field(i), depth+1)
			} else if v.Type().Field(i).Anonymous {
				fillParts(r, v.Field(i), depth)
			}
		}
		if strings.HasPrefix(v.Type().Name(), "Opt[") && v.Type().PkgPath() == reflect.TypeFor[backend.ID]().PkgPath() {
			tidy(v)
		}
	}
}

// tidy makes an Opt one of those that there can be.
func tidy(opt reflect.Value) {
	value, present, null := opt.Field(0), opt.Field(1), opt.Field(2)
	null.SetBool(null.Bool() && present.Bool())
	if null.Bool() || !present.Bool() {
		value.SetZero()
	}
}

// spelled is a JSON value as it is written.
type spelled = json.RawMessage

// strange are values that may not fit where they are put.
var strange = []string{
	`null`, `true`, `0`, `-0`, `0.0`, `1.0`, `1e0`, `1e2`, `10e-1`, `1.5`, `-1`, `-1.0`, `256`, `128`, `-129`, `65536`, `2147483648`, `-2147483649`, `4294967295`, `4294967296`,
	`9007199254740992`, `9007199254740993`, `9007199254740994`, `-9007199254740993`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`,
	`18446744073709551615`, `18446744073709551616`, `1e400`, `-1e400`, `1e-400`, `3.5e38`, `0.1`, `0.10000000000000000001`, `0.1000000001`, `3.5000000000000000001`,
	`[]`, `{}`, `[null]`, `{"":null}`, `{"a":1}`, `[[]]`, `[1,1]`, `[1,1.0]`, `[0,-0]`, `["a","a"]`, `["a","\u0061"]`, `"\u0000"`, `"a\u0000"`, `"\ud83d\ude00"`, `"1"`, `"01"`, `"-0"`, `"\"a\""`, `"\"abc\""`, `"1.0"`, `" 1"`, `"null"`,
	`"2026-02-03T04:05:06z"`, `"2026-02-03 04:05:06Z"`, `"2026-02-03T04:05:06+01:00"`, `"2026-02-30T04:05:06Z"`, `"2026-02-03T04:05:60Z"`, `"2026-02-03"`, `"2026-02-03T04:05:06,5Z"`, `"2026-02-03T4:05:06Z"`,
	`"AAEC"`, `"AAE"`, `"AAE="`, `"AAF="`, `"AA-_"`, `"AA+/"`, `"AAEC\n"`, `"AA=="`, `"A"`,
	`["2026-02-03T04:05:06+01:00","2026-02-03T04:05:06+01:00"]`, `[{"at":1},{"at":1}]`, `[{"name":"a"},{"name":"a","count":0}]`, `[{"name":"a"},{"name":"a"}]`,
}

// text writes a document.
func text(document any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// read reads a document that keeps the spelling of numbers.
func read(document []byte) (value any) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	return value
}

// mutated returns the document with one thing changed somewhere.
func mutated(r *rand.Rand, document any) any {
	switch value := document.(type) {
	case map[string]any:
		return mutatedObject(r, value)
	case []any:
		if len(value) > 0 && r.IntN(3) > 0 {
			value = slices.Clone(value)
			at := r.IntN(len(value))
			switch r.IntN(4) {
			case 0:
				return append(value, value[at])
			case 1:
				return slices.Delete(value, at, at+1)
			}
			value[at] = mutated(r, value[at])
			return value
		}
		if r.IntN(3) == 0 {
			return append(slices.Clone(value), spelled(pick(r, strange)))
		}
	case json.Number:
		return otherNumber(r, value)
	case string:
		return otherString(r, value)
	}
	return spelled(pick(r, strange))
}

func mutatedObject(r *rand.Rand, object map[string]any) any {
	object = maps.Clone(object)
	names := slices.Sorted(maps.Keys(object))
	if len(names) == 0 || r.IntN(12) == 0 {
		object[pick(r, append(words, "name", "next", "count"))] = spelled(pick(r, strange))
		return object
	}
	name := pick(r, names)
	switch r.IntN(12) {
	case 0, 1:
		delete(object, name)
	case 2:
		object[name] = nil
	case 3:
		object[strings.ToUpper(name)] = object[name]
	case 4:
		return spelled(pick(r, strange))
	default:
		object[name] = mutated(r, object[name])
	}
	return object
}

func otherNumber(r *rand.Rand, n json.Number) any {
	if whole, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		text := strconv.FormatInt(whole, 10)
		return pick(r, []any{
			json.Number(strconv.FormatInt(whole+1, 10)), json.Number(strconv.FormatInt(whole-1, 10)), json.Number(text + ".0"), json.Number(text + "e0"),
			json.Number(text + ".5"), text, spelled(pick(r, strange)), spelled(pick(r, strange)),
		})
	}
	return spelled(pick(r, strange))
}

func otherString(r *rand.Rand, s string) any {
	runes := []rune(s)
	return pick(r, []any{s + "a", s + "é", s + "😀", string(runes[:max(len(runes)-1, 0)]), "", strings.ToUpper(s), pick(r, words), pick(r, words), pick(r, words), spelled(pick(r, strange))})
}
