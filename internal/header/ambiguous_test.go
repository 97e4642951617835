package header_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

func TestAmbiguous(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		head http.Header
		want string
	}{
		{nil, ""},
		{http.Header{"Authorization": {"a"}, "Content-Type": {"a"}, "Content-Length": nil}, ""},
		{http.Header{"Authorization": {"a", "a"}}, "Authorization"},
		{http.Header{"Proxy-Authorization": {"a", "b"}}, "Proxy-Authorization"},
		{http.Header{"Content-Type": {"a", "a"}}, ""},
		{http.Header{"Content-Type": {"a", "a", "b"}}, "Content-Type"},
		{http.Header{"Content-Whatever": {"a", ""}}, "Content-Whatever"},
		{http.Header{"Content-Type": {"a", "b"}, "Content-Encoding": {"a", "b"}, "Authorization": {"a", "b"}}, "Authorization"},
		{http.Header{"Accept": {"a", "b"}, "Contents": {"a", "b"}, "Cookie": {"a", "b"}}, ""},
	} {
		require.Equal(t, test.want, header.Ambiguous(test.head), "%v", test.head)
	}
}

func TestAmbiguousAllocatesNothing(t *testing.T) {
	head := http.Header{"Authorization": {"a"}, "Content-Type": {"a", "a"}, "Accept": {"a", "b"}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if header.Ambiguous(head) != "" {
			t.Fail()
		}
	}))
}
