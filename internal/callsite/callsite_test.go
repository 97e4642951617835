package callsite_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/callsite"
)

func register() (inside, outside string) { return callsite.Caller(0), callsite.Caller(1) } // line 12

func TestCaller(t *testing.T) {
	t.Parallel()
	inside, outside := register() // line 16
	require.Regexp(t, regexp.MustCompile(`/callsite_test\.go:12$`), inside)
	require.Regexp(t, regexp.MustCompile(`/callsite_test\.go:16$`), outside)
	require.Equal(t, "unknown", callsite.Caller(1000))
}
