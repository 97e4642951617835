package number_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/number"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "000": "0", "0.000e9999999999999": "0", "12": "12", "012": "12", " 12\n": "12", "+12": "12", "12.": "12", "12.0": "12", "1.2e1": "12", "1200E-2": "12", ".12e+2": "12", "0.012e3": "12", "-7": "-7",
		"9223372036854775807": "9223372036854775807", "-9223372036854775808": "-9223372036854775808", "922337203685477580.7e1": "9223372036854775807", "1e18": "1000000000000000000",
		"9223372036854775808": "1e30", "-9223372036854775809": "-1e30", "1e19": "1e30", "1e999999999999999999999": "1e30", "-12345678901234567890123": "-1e30",
		"0.5": "0.5", "-.5": "-0.5", "1e-999999999999": "0.5", "0." + strings.Repeat("0", 99) + "1": "0.5", "12.000000000000000000000001": "12.5", "-12.7": "-12.5", "9223372036854775806.5": "9223372036854775806.5", "1.25e1": "12.5",
	} {
		n, ok := number.Parse(text)
		require.True(t, ok, text)
		require.Equal(t, want, n.Text, text)
		require.Equal(t, !strings.ContainsAny(want, ".e"), n.Exact, text)
	}
	for _, text := range []string{"", " ", ".", "-", "+", "e5", ".e5", "-.", "abc", "12abc", "1e", "1e+", "--1", "+-1", "1_0", "0x10", "NaN", "Infinity", "１２", "1 2", "12\u00a0", "1.2.3", "12\x00"} {
		_, ok := number.Parse(text)
		require.False(t, ok, text)
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"12abc": {"12", "abc"}, " 12 abc": {"12", " abc"}, "1e5x": {"100000", "x"}, "12e": {"12", "e"}, "12e+x": {"12", "e+x"}, "1.x": {"1", "x"}, "0x10": {"0", "x10"}, "-7-": {"-7", "-"}, "12.5y": {"12.5", "y"}, "7": {"7", ""},
	} {
		n, rest, ok := number.Prefix(text)
		require.True(t, ok, text)
		require.Equal(t, want, [2]string{n.Text, rest}, text)
	}
}

func TestInteger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		bits int
		want int64
		ok   bool
	}{
		{"12", 16, 12, true}, {"5000000000", 32, 5_000_000_000, true}, {"1e30", 32, 1<<63 - 1, true}, {"-1e30", 16, -1 << 63, true}, {"1e30", 64, 0, false}, {"0.5", 32, 0, false},
	} {
		n, _ := number.Parse(test.text)
		got, ok := n.Integer(test.bits)
		require.Equal(t, test.ok, ok, test.text)
		require.Equal(t, test.want, got, test.text)
	}
}

// Text compares with integers as the exact number does, as math/big reads it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"12", "-0.5", "1e19", "9223372036854775807.5", "0.0012e3", "922337203685477580.7e1", "x"} {
		f.Add(text, int64(12))
	}
	f.Fuzz(func(t *testing.T, text string, other int64) {
		n, ok := number.Parse(text)
		if !ok || len(text) > 60 {
			return
		}
		_, power, _ := strings.Cut(strings.ToLower(text), "e")
		if len(strings.TrimLeft(strings.TrimSpace(power), "+-0")) > 3 {
			return // too large for math/big
		}
		exact, ok := new(big.Rat).SetString(strings.Trim(text, " \t\n\v\f\r"))
		require.True(t, ok, "%q", text)
		near, _ := new(big.Rat).SetString(n.Text)
		for _, k := range []int64{other, n.Whole - 1, n.Whole, n.Whole + 1, 1<<63 - 1, -1 << 63, 0} {
			require.Equal(t, exact.Cmp(new(big.Rat).SetInt64(k)), near.Cmp(new(big.Rat).SetInt64(k)), "%q and %d", text, k)
		}
		require.Equal(t, exact.IsInt() && exact.Num().IsInt64(), n.Exact, "%q", text)
	})
}
