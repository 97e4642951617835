package pgconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/lib/pq"
	"github.com/lib/pq/oid"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
)

// text returns a message with a body.
func text(kind byte, body string) []byte {
	m := append([]byte{kind}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(m[1:], uint32(len(body)+4))
	return append(m, body...)
}

func TestReader(t *testing.T) {
	t.Parallel()
	want := [][]byte{text('1', ""), text('D', "abc"), text('D', strings.Repeat("x", 3*readSize)), text('C', "SELECT 1\x00"), text('D', strings.Repeat("y", readSize-5)), text('D', strings.Repeat("z", keepSize)), text('Z', "I")}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader,
	} {
		r := reader{src: wrap(bytes.NewReader(join(want...)))}
		for i, message := range want {
			for range 2 {
				kind, body, err := r.next()
				require.NoError(t, err, name)
				require.Equal(t, message[0], kind, name)
				require.Equal(t, message[5:], append([]byte{}, body...), name)
				if i%2 == 0 {
					break
				}
				r.back()
			}
			if i%2 == 1 {
				_, _, err := r.next()
				require.NoError(t, err)
			}
		}
		require.Greater(t, len(r.buf), keepSize)
		r.rest()
		require.Empty(t, r.buf, "a large buffer is given up")
		_, _, err := r.next()
		require.Equal(t, io.EOF, err)
	}
}

func TestReaderOfWrongMessages(t *testing.T) {
	t.Parallel()
	huge := append([]byte{'D'}, 0x3f, 0xff, 0xff, 0xff)
	for name, test := range map[string]struct {
		sent     []byte
		protocol bool
	}{
		"nothing":                {nil, false},
		"header cut off":         {[]byte{'D', 0, 0}, false},
		"body cut off":           {text('D', "abc")[:6], false},
		"no length":              {[]byte{'D', 0, 0, 0, 3, 1}, true},
		"negative length":        {[]byte{'D', 0xff, 0xff, 0xff, 0xff}, true},
		"huge and cut off":       {append(huge, make([]byte, 100)...), false},
		"huge and cut off late":  {append(huge, make([]byte, 3*readSize)...), false},
		"too long":               {[]byte{'D', 0x7f, 0xff, 0xff, 0xff}, true},
		"huge error and cut off": {append([]byte{'E', 0x3f, 0xff, 0xff, 0xff}, make([]byte, 100)...), false},
	} {
		r := reader{src: bytes.NewReader(test.sent)}
		_, _, err := r.next()
		require.Error(t, err, name)
		_, protocol := errors.AsType[*protocolError](err)
		require.Equal(t, test.protocol, protocol, "%s: %v", name, err)
		require.LessOrEqual(t, len(r.buf), 2*max(readSize, len(test.sent)), name, "the length is not trusted")
	}
	_, _, err := (&reader{src: stuck{}}).next()
	require.Equal(t, io.ErrNoProgress, err)
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// Long errors are read to their end in little memory.
func TestLongErrors(t *testing.T) {
	t.Parallel()
	fields := "SERROR\x00C22P02\x00M" + strings.Repeat("é", 10<<20) + "\x00Dshort\x00W" + strings.Repeat("w", 100_000) + "\x00"
	sent := join(text('E', fields+"\x00"), text('N', fields+"\x00"), text('E', strings.Repeat("Mx\x00", 500_000)+"\x00"), text('E', "SERROR\x00M"+strings.Repeat("m", maxError-20)+"\x00\x00"), text('Z', "I"))
	r := reader{src: iotest.HalfReader(bytes.NewReader(sent))}
	kind, body, err := r.next()
	require.NoError(t, err)
	require.Equal(t, byte('E'), kind)
	require.True(t, r.cut)
	e, err := readError(body, "")
	require.NoError(t, err)
	require.Equal(t, &pq.Error{Severity: "ERROR", Code: "22P02", Message: strings.Repeat("é", maxErrorField/2-1), Detail: "short", Where: strings.Repeat("w", maxErrorField-1)}, e)
	require.True(t, utf8.ValidString(e.Message))
	kind, _, err = r.next()
	require.NoError(t, err)
	require.Equal(t, byte('N'), kind)
	_, body, err = r.next()
	require.NoError(t, err)
	require.Less(t, len(body), 2*maxError)
	require.LessOrEqual(t, len(r.buf), readSize)
	_, body, err = r.next()
	require.NoError(t, err)
	require.False(t, r.cut, "this one is kept as it is")
	e, err = readError(body, "")
	require.NoError(t, err)
	require.Len(t, e.Message, maxError-20)
	kind, body, err = r.next()
	require.NoError(t, err)
	require.Equal(t, "ZI", string(kind)+string(body))
}

// The messages are those of an independent parser, however they arrive.
func FuzzReader(f *testing.F) {
	f.Add(join(text('D', "abc"), text('E', "Mx\x00\x00"), text('Z', "I")), 1)
	f.Add(append(text('E', strings.Repeat("x", maxError+1)), 1, 2, 3), 3)
	f.Add([]byte{'D', 0x3f, 0xff, 0xff, 0xff, 1}, 2)
	f.Fuzz(func(t *testing.T, sent []byte, step int) {
		r := reader{src: &steps{sent, 1 + int(uint(step)%1000)}}
		rest := sent
		for {
			kind, body, err := r.next()
			if len(rest) < 5 || int64(binary.BigEndian.Uint32(rest[1:]))+1 > int64(len(rest)) || binary.BigEndian.Uint32(rest[1:]) < 4 {
				require.Error(t, err)
				return
			}
			n := int(binary.BigEndian.Uint32(rest[1:])) + 1
			require.NoError(t, err)
			require.Equal(t, rest[0], kind)
			if !r.cut {
				require.Equal(t, string(rest[5:n]), string(body))
			}
			rest = rest[n:]
		}
	})
}

// steps returns its bytes in steps.
type steps struct {
	rest []byte
	n    int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.n, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

// Whatever the bodies of messages are, reading them neither panics nor takes much memory.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("SERROR\x00C42601\x00Msyntax\x00P1\x00\x00"))
	f.Add([]byte("INSERT 0 5\x00"))
	f.Add([]byte("\x00\x01id\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00"))
	f.Add([]byte("\x00\x01\x00\x00\x00\x17"))
	f.Add([]byte("\xff\xff"))
	f.Add([]byte("TimeZone\x00Europe/Berlin\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if e, err := readError(body, "SELECT"); err == nil {
			require.NotEmpty(t, e.Error())
		}
		if done, err := readTag(body); err == nil {
			require.True(t, done.any)
		}
		if d, err := readColumns(body); err == nil {
			require.Equal(t, len(d.names), len(d.types))
			require.Equal(t, int(binary.BigEndian.Uint16(body)), len(d.types))
			require.NotEmpty(t, d.forms(true))
		}
		if params, err := readParams(body); err == nil {
			require.Len(t, body, 2+4*len(params))
		}
		c := &Conn{location: time.UTC}
		c.setParameter(body)
		if c.setReady(body) == nil {
			require.Contains(t, "ITE", string(body))
		}
		_ = whole(body)
	})
}

// types are those that have a decoder of their own, and one that has none.
var decoded = []oid.Oid{
	oid.T_int2, oid.T_int4, oid.T_int8, oid.T_float4, oid.T_float8, oid.T_bool, oid.T_bytea, oid.T_date, oid.T_timestamp, oid.T_timestamptz,
	oid.T_time, oid.T_timetz, oid.T_text, oid.T_varchar, oid.T_bpchar, oid.T_char, oid.T_uuid, oid.T_numeric,
}

func FuzzDecode(f *testing.F) {
	for _, value := range []string{"", "1", "-9223372036854775808", "t", "\\x00ff", "a\\000\\\\", "\\", "infinity", "-infinity", "2024-07-01 12:13:14.5+02", "0044-03-15 BC", "24:00:00", "12:13:14+05:30:15", "NaN", "1e400",
		"\x00", "\x00\x01", "\x7f\xff\xff\xff", "\x80\x00\x00\x00", "\x7f\xff\xff\xff\xff\xff\xff\xff", "\x80\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01"} {
		f.Add([]byte(value), true)
		f.Add([]byte(value), false)
	}
	f.Fuzz(func(t *testing.T, value []byte, utc bool) {
		var location *time.Location
		if utc {
			location = time.UTC
		}
		for _, of := range decoded {
			for _, binary := range []bool{false, true} {
				kind := columnType{oid: of, binary: binary}
				got := column.Value{Kind: 255}
				if kind.decode(&got, bytes.Clone(value), location) != nil {
					continue
				}
				require.LessOrEqual(t, got.Kind, column.Boxed)
				if boxed := kind.box(&got, location); got.Kind == column.Time {
					require.Equal(t, got.Int, boxed.(time.Time).UnixMicro())
				}
			}
		}
	})
}

// Timestamps that are parsed here have the value that lib/pq parses.
func FuzzTimestamps(f *testing.F) {
	for _, text := range []string{"2024-07-01 12:13:14.123456+00", "2024-07-01 12:13:14.5+00", "2024-07-01 12:13:14", "2024-07-01", "2024-07-01+00", "0001-01-01", "0000-01-01", "9999-12-31 23:59:59.999999", "9999-12-31 24:00:00", "2024-02-30 25:61:61.1", "2024-07-01 12:13:14.", "2024-07-01 12:13"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, zoned := range []bool{false, true} {
			kind, location := columnType{oid: oid.T_timestamp}, (*time.Location)(nil)
			if zoned {
				kind, location = columnType{oid: oid.T_timestamptz}, time.UTC
			}
			var got column.Value
			err := kind.decode(&got, []byte(text), location)
			want, wantErr := pq.ParseTimestamp(location, text)
			if strings.HasSuffix(text, "infinity") {
				continue
			}
			require.Equal(t, wantErr == nil, err == nil, "%v", err)
			if err == nil {
				require.Equal(t, want, kind.box(&got, location))
			}
		}
	})
}

// Rows that do not match their description are refused.
func FuzzRows(f *testing.F) {
	d := &columns{names: make([]string, 3), types: []columnType{{oid: oid.T_int4, binary: true}, {oid: oid.T_text}, {oid: oid.T_timestamptz, binary: true}}}
	f.Add([]byte("\x00\x03\x00\x00\x00\x04\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Add([]byte("\x00\x03\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x01a\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x03\x7f\xff\xff\xff"))
	f.Add([]byte("\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		dest := make([]column.Value, 3)
		if d.decodeRow(dest, body, time.UTC) != nil {
			return
		}
		used := 2 + 4*3
		for i, size := range []int{4, len(dest[1].Bytes), 8} {
			if dest[i].Kind != column.Null {
				used += size
			}
		}
		require.Len(t, body, used)
	})
}

// Arguments that are times are written as lib/pq does.
func TestTimesAreThoseOfLibPQ(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Date(2024, 2, 29, 1, 2, 3, 456789123, time.UTC), time.Date(2024, 2, 29, 1, 2, 3, 0, time.FixedZone("", 5*3600+1800)),
		time.Date(1800, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3208)), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-43, 3, 15, 0, 0, 0, 0, time.FixedZone("", -3600)),
		time.Date(12345, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", -61)),
	} {
		require.Equal(t, string(pq.FormatTimestamp(at)), string(appendTime(nil, at)))
	}
}
