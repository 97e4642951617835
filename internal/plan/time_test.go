package plan

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grammar is that of RFC 3339, section 5.6, and the ranges of section 5.7 but for
// leap seconds and the length of months.
var grammar = regexp.MustCompile(`^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

// FuzzParseTime: what is read follows the grammar, means what it means to the time
// package, can be stored and can be written again.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2006-01-02T15:04:05Z", "2006-01-02T15:04:05.123456789123+01:30", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00+00:01", "0000-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z", "2024-02-29T00:00:00-00:00", "2023-02-29T00:00:00Z",
		"2006-01-02T1:04:05Z", "2006-01-02T15:04:05,5Z", "2006-01-02T15:04:05+24:00", "2006-01-02T15:04:05+23:60", "2006-01-02T15:04:60Z", "2006-01-02t15:04:05z", "2006-01-02T15:04:05", "2006-01-02T15:04:05.Z", "2006-01-02T1:04:05,5+24:00", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTime(text)
		want, wantErr := time.Parse(time.RFC3339, text)
		year := want.UTC().Year()
		fits := 1 <= year && year <= 9999 && !want.After(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
		require.Equal(t, wantErr == nil && grammar.MatchString(text) && fits, err == nil, text)
		if err != nil {
			return
		}
		require.Equal(t, want, got)
		_, err = got.MarshalText()
		require.NoError(t, err, text)
	})
}
