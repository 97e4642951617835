package backend_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Responses of a known length that are too short to be compressed do not depend on
// Accept-Encoding. They have their length all the same, and those of HEAD have that of GET.
func TestResponsesThatAreTooShortToCompress(t *testing.T) {
	t.Parallel()
	type text struct {
		N int `json:"n" validate:"max=5000"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("text", backend.Public, func(_ context.Context, in text) (string, error) {
		return strings.Repeat("x", in.N), nil
	}, backend.Route("GET /texts/{n}")))
	server := httptest.NewServer(backend.Stack(backend.StackConfig{})(logic.REST()))
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		path           string
		status, length int
		encoding, vary string // to GET
	}{
		"short":         {"/texts/5", 200, 7, "", ""},
		"just short":    {"/texts/1021", 200, 1023, "", ""},
		"long enough":   {"/texts/1022", 200, 1024, "gzip", "Accept-Encoding"},
		"long":          {"/texts/5000", 200, 5002, "gzip", "Accept-Encoding"},
		"short problem": {"/texts/5001", 422, -1, "", ""},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			for _, accept := range []string{"gzip", "identity"} {
				t.Run(name+" "+method+" "+accept, func(t *testing.T) {
					t.Parallel()
					req, err := http.NewRequestWithContext(t.Context(), method, server.URL+test.path, nil)
					require.NoError(t, err)
					req.Header.Set("Accept-Encoding", accept)
					resp, err := server.Client().Do(req)
					require.NoError(t, err)
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, test.status, resp.StatusCode)
					require.Equal(t, test.vary, strings.Join(resp.Header.Values("Vary"), ", "))
					if method == "GET" && accept == "gzip" && test.encoding != "" {
						require.Equal(t, test.encoding, resp.Header.Get("Content-Encoding"))
						return
					}
					require.Empty(t, resp.Header.Get("Content-Encoding"))
					require.Empty(t, resp.TransferEncoding)
					length := test.length
					if length < 0 {
						length = int(resp.ContentLength)
						require.Positive(t, length)
					}
					require.Equal(t, strconv.Itoa(length), resp.Header.Get("Content-Length"))
					if method == "GET" {
						require.Len(t, body, length)
					}
				})
			}
		}
	}
}
