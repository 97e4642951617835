package webauthn

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return data
}

// pair is a member of an encoded map, whose order the test decides.
type pair struct{ key, value any }

// encodeCBOR encodes what decodeCBOR returns, and maps as []pair.
func encodeCBOR(item any) []byte {
	switch item := item.(type) {
	case int64:
		if item < 0 {
			return appendHead(nil, 1, uint64(-1-item))
		}
		return appendHead(nil, 0, uint64(item))
	case []byte:
		return append(appendHead(nil, 2, uint64(len(item))), item...)
	case string:
		return append(appendHead(nil, 3, uint64(len(item))), item...)
	case []any:
		data := appendHead(nil, 4, uint64(len(item)))
		for _, element := range item {
			data = append(data, encodeCBOR(element)...)
		}
		return data
	case []pair:
		data := appendHead(nil, 5, uint64(len(item)))
		for _, p := range item {
			data = append(append(data, encodeCBOR(p.key)...), encodeCBOR(p.value)...)
		}
		return data
	case cborMap:
		var pairs []pair
		for key, value := range item {
			pairs = append(pairs, pair{key, value})
		}
		return encodeCBOR(pairs)
	case bool:
		if item {
			return []byte{0xf5}
		}
		return []byte{0xf4}
	}
	return []byte{0xf6}
}

func appendHead(data []byte, major byte, argument uint64) []byte {
	switch {
	case argument < 24:
		return append(data, major<<5|byte(argument))
	case argument <= math.MaxUint8:
		return append(data, major<<5|24, byte(argument))
	case argument <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(data, major<<5|25), uint16(argument))
	case argument <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(data, major<<5|26), uint32(argument))
	}
	return binary.BigEndian.AppendUint64(append(data, major<<5|27), argument)
}

// The examples of RFC 8949, appendix A that have the supported forms.
func TestCBORExamples(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"00": int64(0), "01": int64(1), "0a": int64(10), "17": int64(23), "1818": int64(24), "1819": int64(25), "1864": int64(100),
		"1903e8": int64(1000), "1a000f4240": int64(1000000), "1b000000e8d4a51000": int64(1000000000000),
		"20": int64(-1), "29": int64(-10), "3863": int64(-100), "3903e7": int64(-1000),
		"f4": false, "f5": true, "f6": nil,
		"40": []byte{}, "4401020304": []byte{1, 2, 3, 4},
		"60": "", "6161": "a", "6449455446": "IETF", "62225c": `"\`, "62c3bc": "ü", "63e6b0b4": "水", "64f0908591": "𐅑",
		"80": []any{}, "83010203": []any{int64(1), int64(2), int64(3)},
		"8301820203820405": []any{int64(1), []any{int64(2), int64(3)}, []any{int64(4), int64(5)}},
		"98190102030405060708090a0b0c0d0e0f101112131415161718181819": func() any {
			var list []any
			for i := range int64(25) {
				list = append(list, i+1)
			}
			return list
		}(),
		"a0": cborMap{}, "a201020304": cborMap{int64(1): int64(2), int64(3): int64(4)},
		"a26161016162820203":             cborMap{"a": int64(1), "b": []any{int64(2), int64(3)}},
		"826161a161626163":               []any{"a", cborMap{"b": "c"}},
		"1b7fffffffffffffff":             int64(math.MaxInt64),
		"3b7fffffffffffffff":             int64(math.MinInt64),
		"1800":                           int64(0), // not the shortest form
		strings.Repeat("81", 8) + "00":   []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{int64(0)}}}}}}}},
		strings.Repeat("a100", 7) + "a0": cborMap{int64(0): cborMap{int64(0): cborMap{int64(0): cborMap{int64(0): cborMap{int64(0): cborMap{int64(0): cborMap{int64(0): cborMap{}}}}}}}},
	} {
		item, rest, err := decodeCBOR(append(unhex(t, text), 0xff, 0x00))
		require.NoError(t, err, text)
		require.Equal(t, want, item, text)
		require.Equal(t, []byte{0xff, 0x00}, rest, text)
	}
}

func TestCBORRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, data, want string }{
		{"nothing", "", "are left"},
		{"argument that is cut", "19 01", "are left"},
		{"byte string that is cut", "44 010203", "are left"},
		{"text that is cut", "62 61", "are left"},
		{"byte string of 2⁶⁴-1 bytes", "5b ffffffffffffffff", "are left"},
		{"array of 2⁶⁴-1 elements", "9b ffffffffffffffff 00", "elements are announced"},
		{"array of more elements than bytes", "83 0101", "elements are announced"},
		{"array whose element is cut", "82 0118", "are left"},
		{"map of 2⁶⁴-1 pairs", "bb ffffffffffffffff 00", "pairs are announced"},
		{"map of more pairs than bytes", "a2 010203", "pairs are announced"},
		{"map without its last value", "a2 0102 1803", "are left"},
		{"unsigned integer of 64 bits", "1b 8000000000000000", "64 bits"},
		{"negative integer of 65 bits", "3b 8000000000000000", "64 bits"},
		{"text that is not UTF-8", "61 ff", "UTF-8"},
		{"duplicate integer", "a2 0102 0103", "twice"},
		{"duplicate integer in two forms", "a2 0102 180103", "twice"},
		{"duplicate text", "a2 616102 616103", "twice"},
		{"key that is a byte string", "a1 41 61 01", "key of a map"},
		{"key that is an array", "a1 80 01", "key of a map"},
		{"key that is a map", "a1 a0 01", "key of a map"},
		{"key that is null", "a1 f6 01", "key of a map"},
		{"9 levels", strings.Repeat("81", 9) + "00", "8 levels"},
		{"9 levels of maps", strings.Repeat("a100", 9) + "00", "8 levels"},
		{"indefinite byte string", "5f 42 0102 ff", "0x5f"},
		{"indefinite text", "7f 6161 ff", "0x7f"},
		{"indefinite array", "9f ff", "0x9f"},
		{"indefinite map", "bf ff", "0xbf"},
		{"break", "ff", "0xff"},
		{"reserved length", "1c", "0x1c"},
		{"tag", "c0 6161", "major type 6"},
		{"half float", "f9 3c00", "0xf9"},
		{"float", "fa 47c35000", "0xfa"},
		{"double", "fb 3ff199999999999a", "0xfb"},
		{"undefined", "f7", "simple value 23"},
		{"simple value 16", "f0", "simple value 16"},
		{"simple value 255", "f8ff", "0xf8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := decodeCBOR(unhex(t, row.data))
			require.ErrorContains(t, err, row.want)
			require.IsType(t, &Error{}, err)
		})
	}
}

func FuzzCBOR(f *testing.F) {
	for _, seed := range []string{"a26161016162820203", "9bffffffffffffffff00", "8301820203820405", "3903e7f4f5f6", "64f0908591", "bf61610161629f0203ffff"} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		item, rest, err := decodeCBOR(data)
		if err != nil {
			require.IsType(t, &Error{}, err)
			return
		}
		require.Equal(t, data[len(data)-len(rest):], append([]byte{}, rest...))
		again, rest, err := decodeCBOR(encodeCBOR(item))
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, item, again)
	})
}
