package pgconn

import (
	"bytes"
	"cmp"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/column"
)

// This file decodes the values of results. They are those of lib/pq. Types without a binary
// form here are sent as text by the server.

// columns describes the columns of a result.
type columns struct {
	names []string
	types []columnType
}

type columnType struct {
	oid    oid.Oid
	length int // of the type, in bytes, or negative
	mod    int // the modifier of the type
	binary bool
}

// readColumns reads a RowDescription. A portal's has the forms in which the values come; a
// statement's has not.
func readColumns(body []byte) (*columns, error) {
	f := fields{rest: body}
	n := f.int16()
	d := &columns{}
	if n > len(body)/19 { // each takes that many bytes at least
		return nil, malformed("a description of %d columns in %d bytes", n, len(body))
	}
	d.names, d.types = make([]string, n), make([]columnType, n)
	for i := range n {
		d.names[i] = string(f.text())
		f.take(6) // table and column
		d.types[i].oid = oid.Oid(uint32(f.int32()))
		d.types[i].length = int(int16(f.int16()))
		d.types[i].mod = int(f.int32())
		switch form := f.int16(); form {
		case 0, 1:
			d.types[i].binary = form == 1
		default:
			return nil, malformed("a column in the form %d", form)
		}
	}
	return d, f.done("RowDescription")
}

// forms decides for each column whether it comes as binary, and returns the part of a Bind
// that says so. utc says that the time zone of the session is UTC.
func (d *columns) forms(utc bool) []byte {
	if d == nil || len(d.types) == 0 {
		return textResults
	}
	all, none := true, true
	for i := range d.types {
		is := hasBinary(d.types[i].oid) && (utc || d.types[i].oid != oid.T_timestamptz)
		d.types[i].binary = is
		all, none = all && is, none && !is
	}
	switch {
	case none:
		return textResults
	case all:
		return []byte{0, 1, 0, 1}
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(len(d.types)))
	for i := range d.types {
		form := byte(0)
		if d.types[i].binary {
			form = 1
		}
		out = append(out, 0, form)
	}
	return out
}

// hasBinary reports whether values of a type are decoded from their binary form. Not those of
// real: lib/pq returns the float64 that is written as the text, and which digits that has is
// up to the server. A timestamptz is asked for as text in time zones other than UTC, since
// lib/pq uses the offset that the server knows for it.
func hasBinary(t oid.Oid) bool {
	switch t {
	case oid.T_int2, oid.T_int4, oid.T_int8, oid.T_float8, oid.T_bool, oid.T_bytea,
		oid.T_date, oid.T_timestamp, oid.T_timestamptz:
		return true
	}
	return false
}

// decodeRow decodes a DataRow. The values refer to its bytes, some of which it changes.
// location is that of the session.
func (d *columns) decodeRow(dest []column.Value, body []byte, location *time.Location) error {
	if len(body) < 2 || int(binary.BigEndian.Uint16(body)) != len(d.types) || len(dest) < len(d.types) {
		return malformed("a row of other columns than its description")
	}
	rest := body[2:]
	for i := range d.types {
		if len(rest) < 4 {
			return malformed("a row that ends in column %d", i)
		}
		n := int(int32(binary.BigEndian.Uint32(rest)))
		rest = rest[4:]
		if n == -1 {
			dest[i] = column.Value{}
			continue
		}
		if n < 0 || n > len(rest) {
			return malformed("a value of %d bytes, of which there are %d", n, len(rest))
		}
		if err := d.types[i].decode(&dest[i], rest[:n:n], location); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return malformed("%d bytes after a row", len(rest))
	}
	return nil
}

func (t *columnType) decode(dest *column.Value, value []byte, location *time.Location) error {
	if t.binary {
		return t.decodeBinary(dest, value, location)
	}
	return t.decodeText(dest, value, location)
}

func (t *columnType) decodeBinary(dest *column.Value, value []byte, location *time.Location) error {
	if want := t.binarySize(); want >= 0 && len(value) != want {
		return malformed("a value of type %d of %d bytes", t.oid, len(value))
	}
	switch t.oid {
	case oid.T_int8:
		*dest = column.Value{Kind: column.Int, Int: int64(binary.BigEndian.Uint64(value))}
	case oid.T_int4:
		*dest = column.Value{Kind: column.Int, Int: int64(int32(binary.BigEndian.Uint32(value)))}
	case oid.T_int2:
		*dest = column.Value{Kind: column.Int, Int: int64(int16(binary.BigEndian.Uint16(value)))}
	case oid.T_float8:
		*dest = column.Value{Kind: column.Float, Float: math.Float64frombits(binary.BigEndian.Uint64(value))}
	case oid.T_bool:
		*dest = column.Value{Kind: column.Bool, Int: int64(min(value[0], 1))}
	case oid.T_bytea:
		*dest = column.Value{Kind: column.Blob, Bytes: value}
	case oid.T_date:
		setDate(dest, int32(binary.BigEndian.Uint32(value)))
	case oid.T_timestamp:
		setTimestamp(dest, int64(binary.BigEndian.Uint64(value)), zoneless)
	case oid.T_timestamptz:
		setTimestamp(dest, int64(binary.BigEndian.Uint64(value)), location)
	default:
		return malformed("a binary value of type %d, which was not asked for", t.oid)
	}
	return nil
}

// binarySize returns how long the binary form is, or -1 if values have different lengths.
func (t *columnType) binarySize() int {
	switch t.oid {
	case oid.T_bool:
		return 1
	case oid.T_int2:
		return 2
	case oid.T_int4, oid.T_date:
		return 4
	case oid.T_int8, oid.T_float8, oid.T_timestamp, oid.T_timestamptz:
		return 8
	}
	return -1
}

const (
	// epoch is 2000-01-01, from which PostgreSQL counts, in microseconds since 1970, and
	// epochDay the same in days.
	epoch    = 946684800 * 1000000
	epochDay = epoch / dayMicros

	dayMicros = 24 * 60 * 60 * 1000000

	// yearOne is the first moment of the year 1, in microseconds since 1970.
	yearOne = -62135596800 * 1000000
)

// zoneless is the location of times without a time zone, as lib/pq has it.
var zoneless = func() *time.Location {
	t, err := pq.ParseTimestamp(nil, "2000-01-01 00:00:00")
	if err != nil {
		return time.FixedZone("", 0)
	}
	return t.Location()
}()

var infinities = [...][]byte{[]byte("-infinity"), []byte("infinity")}

func setDate(dest *column.Value, days int32) {
	switch days {
	case math.MinInt32, math.MaxInt32:
		*dest = infinite(days > 0)
		return
	}
	day := int64(days) + epochDay
	if day < yearOne/dayMicros || day > math.MaxInt64/dayMicros {
		*dest = column.Value{Kind: column.Boxed, Boxed: time.Unix(day*(dayMicros/1000000), 0).In(zoneless)}
		return
	}
	*dest = column.Value{Kind: column.Time, Int: day * dayMicros}
}

// setTimestamp stores microseconds since 2000. Times before the year 1 are boxed, since a
// time in the year 0 may be a TIME to others, and times after the year 294246, since their
// microseconds since 1970 have no int64.
func setTimestamp(dest *column.Value, micros int64, location *time.Location) {
	switch {
	case micros == math.MinInt64 || micros == math.MaxInt64:
		*dest = infinite(micros > 0)
	case micros < yearOne-epoch || micros > math.MaxInt64-epoch || location == nil:
		seconds, rest := micros/1000000, micros%1000000
		*dest = column.Value{Kind: column.Boxed, Boxed: time.Unix(seconds+epoch/1000000, rest*1000).In(cmp.Or(location, zoneless))}
	default:
		*dest = column.Value{Kind: column.Time, Int: micros + epoch}
	}
}

// infinite returns an infinite time. The bytes are a copy: the caller may change them.
func infinite(positive bool) column.Value {
	i := 0
	if positive {
		i = 1
	}
	return column.Value{Kind: column.Blob, Bytes: append([]byte(nil), infinities[i]...)}
}

func (t *columnType) decodeText(dest *column.Value, value []byte, location *time.Location) error {
	switch t.oid {
	case oid.T_char, oid.T_bpchar, oid.T_varchar, oid.T_text:
		*dest = column.Value{Kind: column.Text, Bytes: value}
	case oid.T_bytea:
		decoded, err := decodeBytea(value)
		if err != nil {
			return err
		}
		*dest = column.Value{Kind: column.Blob, Bytes: decoded}
	case oid.T_timestamptz:
		text, ok := bytes.CutSuffix(value, []byte("+00"))
		if ok && location == time.UTC && len(text) > len(time.DateOnly) && setUsual(dest, text) {
			return nil
		}
		return setParsed(dest, string(value), true, location)
	case oid.T_timestamp, oid.T_date:
		if setUsual(dest, value) {
			return nil
		}
		return setParsed(dest, string(value), false, nil)
	case oid.T_time, oid.T_timetz:
		at, err := parseClock(string(value), t.oid == oid.T_timetz)
		if err != nil {
			return err
		}
		*dest = column.Value{Kind: column.Boxed, Boxed: at}
	case oid.T_bool:
		if len(value) == 0 {
			return errors.New("a boolean without text")
		}
		*dest = column.Value{Kind: column.Bool}
		if value[0] == 't' {
			dest.Int = 1
		}
	case oid.T_int8, oid.T_int4, oid.T_int2:
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return err
		}
		*dest = column.Value{Kind: column.Int, Int: n}
	case oid.T_float4, oid.T_float8:
		n, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return err
		}
		*dest = column.Value{Kind: column.Float, Float: n}
	default:
		*dest = column.Value{Kind: column.Blob, Bytes: value}
	}
	return nil
}

// setUsual stores a date, or a timestamp without its offset, of the years 1 to 9999. It takes
// no memory, unlike setParsed. It reports whether the text has that form.
func setUsual(dest *column.Value, text []byte) bool {
	const form = "0000-00-00 00:00:00.000000"
	if len(text) > len(form) || len(text) != 10 && len(text) < 19 || len(text) == 20 {
		return false
	}
	var numbers [7]int // year, month, day, hour, minute, second, microsecond
	n := 0
	for i, c := range text {
		switch {
		case form[i] != '0' && c == form[i]:
			n++
		case form[i] == '0' && '0' <= c && c <= '9':
			numbers[n] = numbers[n]*10 + int(c-'0')
		default:
			return false
		}
	}
	for range len(form) - len(text) {
		numbers[6] *= 10 // of the digits that are missing
	}
	if numbers[0] == 0 {
		return false
	}
	at := time.Date(numbers[0], time.Month(numbers[1]), numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]*1000, time.UTC)
	*dest = column.Value{Kind: column.Time, Int: at.UnixMicro()}
	return at.Year() > 0 && at.Year() <= 9999
}

// setParsed stores the text of a timestamp or a date. zoned says that it is a timestamptz. Its
// location, that of the session, may not be known.
func setParsed(dest *column.Value, text string, zoned bool, location *time.Location) error {
	switch text {
	case "-infinity", "infinity":
		*dest = infinite(text[0] != '-')
		return nil
	}
	at, err := pq.ParseTimestamp(location, text)
	if err != nil {
		return err
	}
	if at.Year() < 1 || at.Year() > 9999 || at.Nanosecond()%1000 != 0 || !(zoned && location == time.UTC && at.Location() == time.UTC) && !(!zoned && at.Location() == zoneless) {
		*dest = column.Value{Kind: column.Boxed, Boxed: at}
		return nil
	}
	*dest = column.Value{Kind: column.Time, Int: at.UnixMicro()}
	return nil
}

// decodeBytea decodes the text of a bytea, in place if it has the form of hexadecimal digits.
func decodeBytea(text []byte) ([]byte, error) {
	if len(text) >= 2 && text[0] == '\\' && text[1] == 'x' {
		n, err := hex.Decode(text[2:], text[2:])
		if err != nil {
			return nil, err
		}
		return text[2 : 2+n], nil
	}
	result := make([]byte, 0, len(text))
	for len(text) > 0 {
		switch {
		case text[0] != '\\':
			result, text = append(result, text[0]), text[1:]
		case len(text) >= 2 && text[1] == '\\':
			result, text = append(result, '\\'), text[2:]
		case len(text) < 4:
			return nil, errors.New("the text of a bytea ends in an escape")
		default:
			b, err := strconv.ParseUint(string(text[1:4]), 8, 8)
			if err != nil {
				return nil, fmt.Errorf("the text of a bytea has a wrong escape: %w", err)
			}
			result, text = append(result, byte(b)), text[4:]
		}
	}
	return result, nil
}

// parseClock parses a TIME or a TIMETZ as lib/pq does: as a time of the year 0, at whose end,
// 24:00, is the second day.
func parseClock(text string, zone bool) (time.Time, error) {
	layout := "15:04:05"
	if zone {
		layout = "15:04:05-07"
		switch c := strings.Count(text, ":"); {
		case c > 3:
			layout = "15:04:05-07:00:00"
		case c > 2:
			layout = "15:04:05-07:00"
		}
	}
	rest, midnight := strings.CutPrefix(text, "24:00:00")
	if midnight {
		text = "00:00:00" + rest
	}
	at, err := time.Parse(layout, text)
	if midnight {
		at = at.Add(24 * time.Hour)
	}
	return at, err
}

// box returns a value as lib/pq does. Of times, the Value has no location.
func (t *columnType) box(value *column.Value, location *time.Location) driver.Value {
	if value.Kind != column.Time {
		return value.Driver()
	}
	if t.oid != oid.T_timestamptz {
		location = zoneless
	}
	return time.UnixMicro(value.Int).In(location)
}

// scanType returns a Go type for values of the type, as lib/pq does.
func (t *columnType) scanType() reflect.Type {
	switch t.oid {
	case oid.T_int8:
		return reflect.TypeFor[int64]()
	case oid.T_int4:
		return reflect.TypeFor[int32]()
	case oid.T_int2:
		return reflect.TypeFor[int16]()
	case oid.T_float8:
		return reflect.TypeFor[float64]()
	case oid.T_float4:
		return reflect.TypeFor[float32]()
	case oid.T_varchar, oid.T_text, oid.T_varbit, oid.T_bit:
		return reflect.TypeFor[string]()
	case oid.T_bool:
		return reflect.TypeFor[bool]()
	case oid.T_date, oid.T_time, oid.T_timetz, oid.T_timestamp, oid.T_timestamptz:
		return reflect.TypeFor[time.Time]()
	case oid.T_bytea:
		return reflect.TypeFor[[]byte]()
	}
	return reflect.TypeFor[any]()
}

// size returns the length of a type of variable length.
func (t *columnType) size() (int64, bool) {
	switch t.oid {
	case oid.T_text, oid.T_bytea:
		return math.MaxInt64, true
	case oid.T_varchar, oid.T_bpchar:
		return int64(t.mod - 4), true
	case oid.T_varbit, oid.T_bit:
		return int64(t.mod), true
	}
	return 0, false
}

// precision returns the precision and scale of a numeric.
func (t *columnType) precision() (precision, scale int64, ok bool) {
	switch t.oid {
	case oid.T_numeric, oid.T__numeric:
		mod := t.mod - 4
		return int64(mod >> 16 & 0xffff), int64(mod & 0xffff), true
	}
	return 0, 0, false
}
