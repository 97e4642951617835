package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHello(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(routes())
	defer server.Close()
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/hello/world":   {http.StatusOK, "Hello, world!\n"},
		"/hello/a%2Fb":   {http.StatusOK, "Hello, a/b!\n"},
		"/hello/":        {http.StatusNotFound, ""},
		"/hello/%3Cb%3E": {http.StatusOK, "Hello, <b>!\n"},
	} {
		response, err := http.Get(server.URL + path)
		require.NoError(t, err, path)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err, path)
		require.Equal(t, want.status, response.StatusCode, path)
		if want.body != "" {
			require.Equal(t, want.body, string(body), path)
			require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"), path)
		}
	}
}
