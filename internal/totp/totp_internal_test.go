package totp

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 6238, appendix B: the rows of SHA-1, with eight digits.
func TestRFC6238(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seconds int64
		want    string
	}{
		{59, "94287082"},
		{1111111109, "07081804"},
		{1111111111, "14050471"},
		{1234567890, "89005924"},
		{2000000000, "69279037"},
		{20000000000, "65353130"},
	} {
		t.Run(strconv.FormatInt(test.seconds, 10), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, code([]byte("12345678901234567890"), test.seconds/30, 8))
		})
	}
}
