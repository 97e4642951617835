package backend

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

func FuzzRequestID(f *testing.F) {
	f.Add("abc")
	f.Add("a\r\nb")
	safe := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	f.Fuzz(func(t *testing.T, s string) {
		got := requestID([]string{s})
		require.Regexp(t, safe, got)
		require.Equal(t, header.ValidRequestID(s), got == s)
	})
}
