// Package bind converts the Go values of a query's arguments to the few types that
// every database driver accepts. It does so in the same way for every engine: times are
// in UTC, text is checked, lists are expanded, and other structured values become JSON.
package bind

import (
	"bytes"
	"database/sql/driver"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/number"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/stamp"
)

// ErrText is the error of text that not every engine can store. It, [ErrRange] and
// [ErrLong] are mistakes of the input; every other error of this package is one of the program.
var ErrText = errors.New("text is not valid UTF-8 or holds a NUL byte")

// ErrRange is the error of a number or time that not every engine can store. SQLite
// would store NaN as NULL, and a year of five digits in a form that it cannot read.
var ErrRange = errors.New("the value is one that not every engine can store")

// ErrLong is the error of a list with more values than the engine takes in one query.
var ErrLong = errors.New("the list is too long")

// Args returns the engine's text of q for args, and the arguments for its
// driver, which it appends to values.
func Args(q *sqltext.Query, args []any, values []driver.NamedValue) (string, []driver.NamedValue, error) {
	if len(args) != q.Params() {
		return "", nil, fmt.Errorf("the query has %s (?) and was given %s", english.Count(q.Params(), "parameter"), english.Count(len(args), "argument"))
	}
	values = slices.Grow(values, len(args))
	var lengths []int // made when the first list turns up
	var guarded guard
	for i, arg := range args {
		begin := len(values)
		list := reflect.Value{}
		if q.Plain(i) {
			list = asList(arg)
		}
		var err error
		switch {
		case !list.IsValid():
			var value driver.Value
			if value, err = stored(q, arg); err == nil {
				values = appendValue(values, value)
			}
		case !q.List(i) || list.Kind() == reflect.Map:
			err = noList(list)
		default:
			if lengths == nil {
				lengths = ones(len(args))
			}
			lengths[i] = list.Len()
			values, err = appendList(q, values, list)
		}
		if err != nil {
			return "", nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		if q.Guards() {
			values = guarded.add(q, i, begin, values)
		}
	}
	if n := len(values); n > q.MaxParams() {
		err := fmt.Errorf("%d arguments, of which the engine takes %d", n, q.MaxParams())
		if lengths != nil && len(args) <= q.MaxParams() {
			err = fmt.Errorf("%w: %w", ErrLong, err)
		}
		return "", nil, err
	}
	if guarded.counts != nil {
		return q.TextGuarded(lengths, guarded.counts), values, nil
	}
	return q.Text(lengths), values, nil
}

// noList returns the error for a list in the place of a single value. Its JSON would be
// compared as text: NOT IN would match every row.
func noList(list reflect.Value) error {
	_, err := Value(list.Interface())
	switch {
	case err != nil && !errors.Is(err, ErrText) && !errors.Is(err, ErrRange):
		return err // it is a mistake anywhere
	case list.Kind() == reflect.Map:
		return fmt.Errorf("%s cannot be compared; pass a slice to IN (?) or NOT IN (?), or JSON as a json.RawMessage", english.A(list.Type()))
	}
	return fmt.Errorf("%s is no single value; write IN (?) or NOT IN (?) with this ? alone in the parentheses, or pass JSON as a json.RawMessage", english.A(list.Type()))
}

func ones(n int) []int {
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = sqltext.One
	}
	return lengths
}

func appendValue(values []driver.NamedValue, value driver.Value) []driver.NamedValue {
	return append(values, driver.NamedValue{Ordinal: len(values) + 1, Value: value})
}

// appendList appends the values of a list: as one array literal, or one by one
// and padded by repeating the last.
func appendList(q *sqltext.Query, values []driver.NamedValue, list reflect.Value) ([]driver.NamedValue, error) {
	if q.ListAsArray() {
		literal, err := arrayLiteral(q, list)
		return appendValue(values, literal), err
	}
	n := list.Len()
	values = slices.Grow(values, sqltext.Padded(n))
	for i := range n {
		item, err := listItem(q, list, i)
		if err != nil {
			return nil, err
		}
		values = appendValue(values, item)
	}
	for range sqltext.Padded(n) - n {
		values = appendValue(values, values[len(values)-1].Value)
	}
	return values, nil
}

// listItem returns item i of a list as a value.
func listItem(q *sqltext.Query, list reflect.Value, i int) (driver.Value, error) {
	switch list.Type().Elem() { // the usual lists, with one box for each item
	case intType, int64Type:
		return list.Index(i).Int(), nil
	}
	item := list.Index(i).Interface()
	if inner := asList(item); inner.IsValid() {
		return nil, fmt.Errorf("item %d: %w", i, noList(inner))
	}
	value, err := stored(q, item)
	if err != nil {
		return nil, fmt.Errorf("item %d: %w", i, err)
	}
	return value, nil
}

// guard collects the guards of a query, see [sqltext.Query.TextGuarded].
type guard struct {
	starts []int // offsets in the values of those of each argument
	counts []int // nil if there are none
}

// add appends the guards of the comparison that argument i ends, whose values begin at
// offset begin.
func (g *guard) add(q *sqltext.Query, i, begin int, values []driver.NamedValue) []driver.NamedValue {
	g.starts = append(g.starts, begin)
	first, ok := q.Equal(i)
	if !ok {
		return values
	}
	texts := guards(values[g.starts[first]:])
	if len(texts) == 0 {
		return values
	}
	if g.counts == nil {
		g.counts = make([]int, q.Params())
	}
	g.counts[i] = len(texts)
	for _, text := range texts {
		values = appendValue(values, text)
	}
	return values
}

// guards returns the texts of integers that MySQL takes to be equal to one of the values
// only because that begins with the number, as 12abc does, or with none, which MySQL reads
// as 0. Integers that are among the values themselves are not guarded against.
func guards(values []driver.NamedValue) (texts []string) {
	for _, v := range values {
		if n, whole := leading(v.Value); n.Exact && !whole {
			texts = append(texts, n.Text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, v := range values {
		if n, whole := leading(v.Value); whole {
			wanted[n.Text] = true
		}
	}
	slices.Sort(texts)
	texts = slices.DeleteFunc(slices.Compact(texts), func(text string) bool { return wanted[text] })
	for len(texts) < sqltext.Padded(len(texts)) {
		texts = append(texts, texts[0])
	}
	return texts
}

// leading returns the number that MySQL reads from a value, and whether the value is that
// number. What is no text, or NULL, is not guarded.
func leading(value driver.Value) (n number.Number, whole bool) {
	var text string
	switch v := value.(type) {
	case int64:
		return number.Of(v), true
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return number.Number{}, false
	}
	n, rest, ok := number.Prefix(text)
	if !ok {
		return number.Of(0), false
	}
	return n, number.IsSpace(rest)
}

// stored returns the [Value] of arg as the engine of q stores it. SQLite makes a float64 of
// a json.Number in most columns, so one that a float64 cannot hold is an [ErrRange].
func stored(q *sqltext.Query, arg any) (driver.Value, error) {
	value, err := Value(arg)
	if err != nil || !q.Loose() {
		return value, err
	}
	switch v := value.(type) {
	case time.Time:
		return stamp.Text(v), nil
	case string:
		if _, plain := arg.(string); !plain && content(reflect.ValueOf(arg)).Type() == numberType && !isExact(v) {
			return nil, fmt.Errorf("%w: a json.Number that is neither an int64 nor a float64; SQLite keeps its digits in a column of the type TEXT, if it is passed as a string", ErrRange)
		}
	}
	return value, nil
}

// asList returns the slice, array or map that arg is or has in it, or the zero Value if
// arg is a single value. Bytes, and types that convert themselves, are single values.
func asList(arg any) reflect.Value {
	switch arg.(type) { // the usual types, without reflection
	case nil, string, int, int64, bool, float64, time.Time, []byte, json.RawMessage:
		return reflect.Value{}
	}
	v := content(reflect.ValueOf(arg))
	switch v.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		if pointer := reflect.PointerTo(v.Type()); pointer.Implements(valuerType) || pointer.Implements(marshalerType) {
			return reflect.Value{}
		}
		if v.Kind() == reflect.Map || v.Type().Elem().Kind() != reflect.Uint8 {
			return v
		}
	}
	return reflect.Value{}
}

// content returns what a value holds: what it points to, or what is in an optional
// value. It returns other values, nil pointers and empty optional values as they are.
func content(v reflect.Value) reflect.Value {
	for {
		switch {
		case (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil():
			v = v.Elem()
		case v.Kind() == reflect.Struct && isNull(v.Type()) && v.FieldByName("Valid").Bool(),
			v.Kind() == reflect.Struct && isOpt(v.Type()) && v.FieldByName("Present").Bool() && !v.FieldByName("Null").Bool():
			v = v.FieldByName("V")
		default:
			return v
		}
	}
}

// arrayLiteral writes a list as text of a PostgreSQL array. The server reads it as an array
// of the type that the query compares it with.
func arrayLiteral(q *sqltext.Query, list reflect.Value) (string, error) {
	n := list.Len()
	text := append(make([]byte, 0, 2+12*n), '{')
	for i := range n {
		if i > 0 {
			text = append(text, ',')
		}
		switch list.Type().Elem() { // the usual lists, without a box for each item
		case intType, int64Type:
			text = strconv.AppendInt(text, list.Index(i).Int(), 10)
			continue
		case stringType:
			item := list.Index(i).String()
			if err := checkText(item); err != nil {
				return "", fmt.Errorf("item %d: %w", i, err)
			}
			text = appendQuoted(text, item)
			continue
		}
		item, err := listItem(q, list, i)
		if err != nil {
			return "", err
		}
		text = appendItem(text, item)
	}
	return string(append(text, '}')), nil
}

// appendItem appends an item of an array.
func appendItem(text []byte, item driver.Value) []byte {
	switch item := item.(type) {
	case nil:
		return append(text, "NULL"...)
	case int64:
		return strconv.AppendInt(text, item, 10)
	case float64:
		return strconv.AppendFloat(text, item, 'g', -1, 64)
	case bool:
		return strconv.AppendBool(text, item)
	case time.Time:
		return item.AppendFormat(text, `"2006-01-02 15:04:05.999999Z07:00"`)
	case []byte:
		return append(hex.AppendEncode(append(text, `"\\x`...), item), '"')
	case string:
		return appendQuoted(text, item)
	}
	return text
}

func appendQuoted(text []byte, item string) []byte {
	text = append(text, '"')
	for i := range len(item) {
		if item[i] == '"' || item[i] == '\\' {
			text = append(text, '\\')
		}
		text = append(text, item[i])
	}
	return append(text, '"')
}

// Value returns arg as nil, int64, float64, bool, []byte, string or time.Time.
//
//   - A time becomes UTC and is cut to microseconds, which is what every
//     engine can store. So does a type made from time.Time, and one that embeds it,
//     see [stamp.Of].
//   - A string must be valid UTF-8 without NUL, or the error is [ErrText].
//   - NaN, a time outside of the years 1 to 9999 and an integer over int64's
//     largest are [ErrRange].
//   - A driver.Valuer or encoding.TextMarshaler converts itself.
//   - A pointer is what it points to; nil is NULL.
//   - An array of bytes, such as a hash, is bytes.
//   - Any other struct, map, slice or array becomes its JSON text.
//   - A value whose JSON does not contain it, such as an error or a bytes.Buffer,
//     is an error.
func Value(arg any) (driver.Value, error) {
	switch v := arg.(type) { // the usual types, without reflection
	case nil:
		return nil, nil
	case string:
		if err := checkText(v); err != nil {
			return nil, err
		}
		return arg, nil // not v, which would be copied
	case int64, bool:
		return v, nil
	case float64:
		if err := checkFloat(v); err != nil {
			return nil, err
		}
		return arg, nil
	case int:
		return int64(v), nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return arg, nil
	case time.Time:
		return moment(v)
	case *time.Time: // it is an encoding.TextMarshaler, which writes another form
		if v == nil {
			return nil, nil
		}
		return moment(*v)
	case json.RawMessage:
		if v == nil {
			return nil, nil
		}
		return jsonText(string(v))
	case driver.Valuer:
		return fromValuer(v)
	case encoding.TextMarshaler:
		return fromMarshaler(v)
	}
	return fromKind(reflect.ValueOf(arg))
}

func fromMarshaler(m encoding.TextMarshaler) (driver.Value, error) {
	v := reflect.ValueOf(m)
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		v = v.Elem()
	}
	marshaled, err := m.MarshalText()
	if t, embedded := stamp.Within(v); embedded {
		// A type that embeds a time has its MarshalText, or one of its own.
		if plain, failed := t.MarshalText(); failed != nil || err == nil && bytes.Equal(marshaled, plain) {
			if !stamp.Is(v.Type()) {
				return nil, fmt.Errorf("%s embeds a time, and its other fields would be lost; pass the fields one by one, or give the type a method Value", english.A(v.Type()))
			}
			return moment(t)
		}
	}
	if err != nil {
		return nil, err
	}
	return text(string(marshaled))
}

func fromKind(v reflect.Value) (driver.Value, error) {
	if pointer := reflect.PointerTo(v.Type()); v.Kind() != reflect.Pointer && (pointer.Implements(valuerType) || pointer.Implements(marshalerType)) {
		// The conversion is a method of the pointer, such as that of big.Int,
		// whose JSON without it is {}.
		copied := reflect.New(v.Type())
		copied.Elem().Set(v)
		return Value(copied.Interface())
	}
	if t, ok := stamp.Of(v); ok {
		return moment(t)
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		if err := verdictOf(v.Type()).err; err != nil {
			return nil, err
		}
		return Value(v.Elem().Interface())
	}
	if err := isData(v); err != nil {
		return nil, err
	}
	switch v.Kind() {
	case reflect.String:
		return text(v.String())
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%w: an integer over 9223372036854775807", ErrRange)
		}
		return int64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return float(v.Float())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return Value(v.Bytes())
		}
		return fromJSON(v)
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytesOf(v), nil
		}
		return fromJSON(v)
	case reflect.Struct, reflect.Map:
		return fromJSON(v)
	}
	return nil, fmt.Errorf("%s cannot be stored", english.A(v.Type()))
}

func fromValuer(v driver.Valuer) (driver.Value, error) {
	if isNilPointer(v) { // a value method would panic
		return nil, nil
	}
	if null := reflect.ValueOf(v); isNull(null.Type()) {
		// Its own Value method converts fewer types.
		if !null.FieldByName("Valid").Bool() {
			return nil, nil
		}
		return Value(null.FieldByName("V").Interface())
	}
	value, err := v.Value()
	if err != nil {
		return nil, err
	}
	if _, again := value.(driver.Valuer); again {
		return nil, fmt.Errorf("the Value method of %T returned another driver.Valuer, %s", v, english.AType(value))
	}
	if raw, ok := value.([]byte); ok && isOwnJSON(v, raw) {
		return jsonText(string(raw))
	}
	return Value(value)
}

// isNull reports whether t is a [database/sql.Null].
func isNull(t reflect.Type) bool {
	return t.PkgPath() == "database/sql" && strings.HasPrefix(t.Name(), "Null[")
}

// isOpt reports whether t is the Opt of this module's root package, which this package
// cannot import.
func isOpt(t reflect.Type) bool {
	return strings.HasPrefix(t.Name(), "Opt[") && strings.HasPrefix(sqltextPath, t.PkgPath()+"/internal/")
}

var sqltextPath = reflect.TypeFor[sqltext.Query]().PkgPath()

var (
	valuerType    = reflect.TypeFor[driver.Valuer]()
	marshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	numberType    = reflect.TypeFor[json.Number]()
	intType       = reflect.TypeFor[int]()
	int64Type     = reflect.TypeFor[int64]()
	stringType    = reflect.TypeFor[string]()
)

func float(f float64) (driver.Value, error) {
	if err := checkFloat(f); err != nil {
		return nil, err
	}
	return f, nil
}

func checkFloat(f float64) error {
	if math.IsNaN(f) {
		return fmt.Errorf("%w: NaN", ErrRange)
	}
	return nil
}

// last is the latest time that every engine can store.
var last = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

func moment(t time.Time) (driver.Value, error) {
	t = t.UTC()
	if t.Year() < 1 || t.After(last) {
		return nil, fmt.Errorf("%w: a time outside of the years 1 to 9999, in UTC", ErrRange)
	}
	return t.Truncate(time.Microsecond), nil
}

// bytesOf copies an array of bytes, such as a hash, which cannot be sliced
// where it is.
func bytesOf(v reflect.Value) []byte {
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return b
}

func fromJSON(v reflect.Value) (driver.Value, error) {
	if (v.Kind() == reflect.Map || v.Kind() == reflect.Slice) && v.IsNil() {
		return nil, nil
	}
	// Without HTML escapes: the text goes to a column, not to a page.
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if v.Kind() == reflect.Struct || v.Kind() == reflect.Array {
		// A method MarshalJSON of the pointer is used only if there is a pointer.
		copied := reflect.New(v.Type())
		copied.Elem().Set(v)
		v = copied
	}
	if err := encoder.Encode(v.Interface()); err != nil {
		return nil, err
	}
	return jsonText(strings.TrimSuffix(b.String(), "\n"))
}

// isOwnJSON reports whether the bytes that v returns as its value are its JSON. Then they
// are text: MySQL takes no bytes for JSON, and SQLite's JSON functions are made for text.
func isOwnJSON(v driver.Valuer, value []byte) bool {
	m, ok := v.(json.Marshaler)
	if !ok || len(value) == 0 {
		return false
	}
	marshaled, err := m.MarshalJSON()
	return err == nil && bytes.Equal(marshaled, value)
}

// jsonText returns a JSON document as text. SQLite's type JSON is numeric: it stores a
// document that is only a number as an integer or a float64, and MySQL does so, too. Other
// numbers are an [ErrRange]. Numbers within arrays and objects stay text.
func jsonText(document string) (driver.Value, error) {
	number := strings.TrimSpace(document)
	if number != "" && (number[0] == '-' || number[0] >= '0' && number[0] <= '9') && !isExact(number) {
		return nil, fmt.Errorf("%w: a JSON number that is neither an int64 nor a float64; put it into an array, an object or a JSON string", ErrRange)
	}
	return text(document)
}

// isExact reports whether a JSON number has the value of an int64, or the digits of a
// float64. It is true for what is no number.
func isExact(number string) bool {
	if _, err := strconv.ParseInt(number, 10, 64); err == nil {
		return true
	}
	f, err := strconv.ParseFloat(number, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return true
	}
	digits, exponent := decimal(number)
	nearest, scale := decimal(strconv.FormatFloat(f, 'e', -1, 64))
	return err == nil && digits == nearest && (exponent == scale || digits == "")
}

// decimal splits a number into its digits, without zeros at their ends, and the power of
// ten of the last one. The sign is that of the number in any case.
func decimal(number string) (digits string, exponent int) {
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(number, "-")), "e")
	exponent, _ = strconv.Atoi(power) // of a number that ParseFloat has read
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	return short, exponent + len(digits) - len(short)
}

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

func text(s string) (driver.Value, error) {
	if err := checkText(s); err != nil {
		return nil, err
	}
	return s, nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return ErrText
	}
	return nil
}
