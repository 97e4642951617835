package apitoken_test

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/apitoken"
)

// Made with zlib.crc32 and hashlib of Python.
func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, prefix, token, hash string }{
		{"plain", "app", "app_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd09QejG", "f85021333c9cdb544ee4f0a39af4b9412dd7431ac0b6ad7b2d3f041709ebd848"},
		{"underscore", "my_app2", "my_app2_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz2v9hG8", "94fc77fc4391d820880a9eb888fee8ee4978d0b571e4ced3a0ea7e05dc83b6e7"},
		{"one letter", "a", "a_00000000000000000000000000000000000000001oNTXb", "3801ceb012c2c63c8cfa530554420c4749018e7cb54745cfc908b50f32fbd444"},
		{"small checksum", "a", "a_000000000000000000000000000000000000014400G6I1", "6d5b484370ac20aa99daf742f9afdf39d82325b278469e34fca16d7a261a45cd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			hash, ok := apitoken.Parse(test.prefix, test.token)
			require.True(t, ok)
			require.Equal(t, test.hash, hash)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good = "app_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd09QejG"
	for _, test := range []struct{ name, prefix, token string }{
		{"empty", "app", ""},
		{"empty prefix", "", good},
		{"only the prefix", "app", "app"},
		{"another prefix", "apq", good},
		{"a shorter prefix", "ap", good},
		{"a longer prefix", "app_0", good},
		{"prefix in upper case", "app", "APP" + good[3:]},
		{"invalid prefix", "APP", apitoken.New("APP")},
		{"too short", "app", good[:len(good)-1]},
		{"too long", "app", good + "0"},
		{"space before", "app", " " + good},
		{"space after", "app", good + "\n"},
		{"not base62", "app", strings.Replace(good, "0", "-", 1)},
		{"not base62, with the right checksum", "app", "app_----------------------------------------291K0K"},
		{"not ASCII", "app", strings.Replace(good, "01", "ä", 1)},
		{"NUL", "app", strings.Replace(good, "0", "\x00", 1)},
		{"checksum of another token", "app", good[:len(good)-6] + "2v9hG8"},
		{"two characters swapped", "app", strings.Replace(good, "12", "21", 1)},
		{"another case", "app", strings.ToLower(good)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			hash, ok := apitoken.Parse(test.prefix, test.token)
			require.False(t, ok)
			require.Empty(t, hash)
		})
	}
}

// A character that is replaced is always found: a CRC-32 finds all errors of up to 32 bits in a row.
func TestParseFindsEachTypo(t *testing.T) {
	t.Parallel()
	token := apitoken.New("app")
	for i := range len(token) {
		for c := range 256 {
			if byte(c) == token[i] {
				continue
			}
			typed := token[:i] + string([]byte{byte(c)}) + token[i+1:]
			_, ok := apitoken.Parse("app", typed)
			require.False(t, ok, typed)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	counts := map[rune]int{}
	for range 2000 {
		token := apitoken.New("my_app")
		require.Regexp(t, `^my_app_[0-9A-Za-z]{46}$`, token)
		require.False(t, seen[token])
		seen[token] = true
		_, ok := apitoken.Parse("my_app", token)
		require.True(t, ok)
		for _, c := range token[7:47] {
			counts[c]++
		}
	}
	// Chi-squared with 61 degrees of freedom: more than 140 has a probability below 1 in 10^7.
	// Without the rejection of bytes it would be about 900.
	require.Len(t, counts, 62)
	const expected = 2000 * 40 / 62.0
	chi := 0.0
	for _, n := range counts {
		chi += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	require.Less(t, chi, 140.0)
}

func TestValidPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"a", "app", "my_app", "a1", "a__b", "abcdefghijklmnop"} {
		require.True(t, apitoken.ValidPrefix(prefix), prefix)
	}
	for _, prefix := range []string{"", "_", "a_", "_a", "1a", "A", "aB", "a-b", "a b", "ä", "aä", "a\x00", "abcdefghijklmnopq"} {
		require.False(t, apitoken.ValidPrefix(prefix), prefix)
	}
}

// FuzzParse computes the checksum with math/big, whose digits are in another order of cases.
func FuzzParse(f *testing.F) {
	f.Add("app", "app_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd09QejG")
	f.Add("my_app2", "my_app2_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz2v9hG8")
	f.Add("", "_")
	f.Fuzz(func(t *testing.T, prefix, token string) {
		hash, ok := apitoken.Parse(prefix, token)
		if !ok {
			require.Empty(t, hash)
			return
		}
		require.True(t, apitoken.ValidPrefix(prefix))
		require.Regexp(t, "^"+prefix+"_[0-9A-Za-z]{46}$", token)
		require.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte(token))), hash)
		swapCase := strings.Map(func(r rune) rune {
			if r >= 'a' {
				return r - 'a' + 'A'
			} else if r >= 'A' {
				return r - 'A' + 'a'
			}
			return r
		}, token[len(token)-6:])
		sum, valid := new(big.Int).SetString(swapCase, 62)
		require.True(t, valid)
		require.Equal(t, uint64(crc32.ChecksumIEEE([]byte(token[:len(token)-6]))), sum.Uint64())
	})
}
