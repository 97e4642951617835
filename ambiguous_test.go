package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// believing is an Authenticator that believes what it reads first.
type believing struct{}

func (believing) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	return backend.Caller{ID: backend.AccountID(r.Header.Get("Authorization"))}, nil
}

// another is a stack that gets no header, and calls h with the request's.
func another(stack backend.Middleware, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer := r.Clone(r.Context())
		outer.Header = http.Header{}
		stack(http.HandlerFunc(func(w http.ResponseWriter, inner *http.Request) {
			h.ServeHTTP(w, r.WithContext(inner.Context()))
		})).ServeHTTP(w, outer)
	})
}

// A proxy and a server that read different ones of two headers see two requests.
func TestRequestsThatSayTwoThingsAreRefused(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, believing{}, backend.LogicConfig{})
	logic.Add(backend.Mutation("echo", backend.Public, func(ctx context.Context, in struct {
		Raw string `json:"raw"`
	}) (backend.None, error) {
		return backend.None{}, nil
	}, backend.Route("POST /"), backend.OutsideTx()))
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := logic.Authenticate(r); err != nil {
			backend.WriteError(w, r, err)
			return
		}
		w.WriteHeader(204)
	})
	stack := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})
	handlers := map[string]http.Handler{"REST": logic.REST(), "REST in the stack": stack(logic.REST()), "another header in the stack": another(stack, logic.REST()), "page": page, "page in the stack": stack(page)}
	for name, test := range map[string]struct {
		head   http.Header
		status int
		inPage bool // Authenticate alone refuses it, too
	}{
		"one of each":            {http.Header{"Authorization": {"Bearer a"}, "Content-Language": {"en"}}, 204, true},
		"two identities":         {http.Header{"Authorization": {"Bearer a", "Bearer b"}}, 400, true},
		"one identity twice":     {http.Header{"Authorization": {"Bearer a", "Bearer a"}}, 400, true},
		"an empty identity":      {http.Header{"Authorization": {"", "Bearer a"}}, 400, true},
		"two types":              {http.Header{"Content-Type": {"application/json", "text/plain"}}, 400, false},
		"two codings":            {http.Header{"Content-Encoding": {"identity", "gzip"}}, 400, false},
		"two languages":          {http.Header{"Content-Language": {"en", "de"}}, 400, false},
		"two ranges":             {http.Header{"Content-Range": {"bytes 0-1/2", "bytes 0-0/2"}}, 400, false},
		"two digests":            {http.Header{"Content-Digest": {"sha-256=:YQ==:", "sha-256=:Yg==:"}}, 400, false},
		"two dispositions":       {http.Header{"Content-Disposition": {"inline", "attachment"}}, 400, false},
		"a language said twice":  {http.Header{"Content-Language": {"en", "en"}}, 204, true},
		"two of something else":  {http.Header{"Accept": {"application/json", "text/html"}, "Cookie": {"a=1", "b=2"}, "Sec-Fetch-Site": {"same-origin"}}, 204, true},
		"proxy's identity twice": {http.Header{"Proxy-Authorization": {"Basic a", "Basic b"}}, 400, false},
	} {
		for where, h := range handlers {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				server := mwServe(t, h)
				r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, nil)
				require.NoError(t, err)
				if body, err := json.Marshal(map[string]string{"raw": "a"}); err == nil {
					r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				}
				r.Header.Set("Content-Type", "application/json")
				for name, values := range test.head {
					r.Header[name] = values
				}
				resp, err := server.Client().Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				want := test.status
				if where == "page" && !test.inPage {
					want = 204
				}
				require.Equal(t, want, resp.StatusCode, string(body))
			})
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer secret-a", "Bearer secret-b"}
	page.ServeHTTP(w, r)
	require.Contains(t, w.Body.String(), "Authorization")
	require.NotContains(t, w.Body.String(), "secret")
}
