package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// Statement 51: a caller who is known and refused, and wrong credentials, are warnings
// under the names that OWASP's logging vocabulary has for them. A request without
// credentials is no incident, whatever door it comes through.
func TestRefusedCallersAreLogged(t *testing.T) {
	t.Parallel()
	type record struct{ Level, Msg, Operation, Account string }
	missing := []record{{Level: "INFO", Msg: "not signed in", Operation: "op"}}
	for name, test := range map[string]struct {
		access       backend.Access
		allow        error
		token        string
		status       int
		want         []record
		authenticate bool // the refusal is the Authenticator's, which Call does not ask
	}{
		"nobody":                {access: backend.SignedIn, status: 401, want: missing},
		"nobody, role":          {access: backend.Role("admin"), status: 401, want: missing},
		"nobody, fresh":         {access: backend.Fresh(time.Hour), status: 401, want: missing},
		"nobody, any":           {access: backend.AnyOf(backend.Role("a"), backend.Scope("b")), status: 401, want: missing},
		"nobody, allow":         {access: backend.Public, allow: &backend.Error{Code: backend.Unauthenticated}, status: 401, want: missing},
		"nobody, forbidden":     {access: backend.Public, allow: &backend.Error{Code: backend.Forbidden}, status: 403, want: []record{{"WARN", "authz_fail", "op", ""}}},
		"ann, role":             {access: backend.Role("admin"), token: "ann", status: 403, want: []record{{"WARN", "authz_fail", "op", "ann"}}},
		"ann, fresh":            {access: backend.Fresh(time.Hour), token: "ann", status: 401, want: []record{{"WARN", "authz_fail", "op", "ann"}}},
		"ann":                   {access: backend.SignedIn, token: "ann", status: 200},
		"wrong token":           {access: backend.SignedIn, token: "wrong", status: 401, want: []record{{Level: "WARN", Msg: "authn_login_fail"}}, authenticate: true},
		"wrong token, public":   {access: backend.Public, token: "wrong", status: 401, want: []record{{Level: "WARN", Msg: "authn_login_fail"}}, authenticate: true},
		"authenticator is down": {access: backend.SignedIn, token: "down", status: 503, authenticate: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			logic := backend.NewLogic(nil, downable{}, backend.LogicConfig{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
			logic.Add(backend.Query("op", test.access, func(context.Context, backend.None) (string, error) { return "done", nil },
				backend.Route("GET /op"), backend.Allow(func(context.Context, backend.None) error { return test.allow })))
			records := func() (all []record) {
				for decoder := json.NewDecoder(&log); decoder.More(); {
					var r record
					require.NoError(t, decoder.Decode(&r))
					all = append(all, r)
				}
				return all
			}
			rest, toy := httptest.NewRequest("GET", "/op", nil), httptest.NewRequest("POST", "/op", strings.NewReader("{}"))
			for _, r := range []*struct {
				door    string
				request func() int
			}{
				{"rest", func() int {
					w := httptest.NewRecorder()
					logic.REST().ServeHTTP(w, rest)
					return w.Code
				}},
				{"custom", func() int {
					w := httptest.NewRecorder()
					toydoor.New(logic).ServeHTTP(w, toy)
					return w.Code
				}},
				{"Call", func() int {
					if test.authenticate {
						ctx, err := logic.Authenticate(rest)
						require.False(t, backend.CallerFrom(ctx).SignedIn())
						return backend.CodeOf(err).Status()
					}
					_, err := backend.Call[string](backend.WithCaller(t.Context(), backend.Caller{ID: backend.AccountID(test.token)}), logic, "op", backend.None{})
					if err != nil {
						return backend.CodeOf(err).Status()
					}
					return 200
				}},
			} {
				if test.token != "" {
					rest.Header.Set("Authorization", "Bearer "+test.token)
					toy.Header.Set("Authorization", "Bearer "+test.token)
				}
				require.Equal(t, test.status, r.request(), r.door)
				require.Equal(t, test.want, records(), r.door)
			}
		})
	}
}

// downable is a bearer that is down when the token says so.
type downable struct{ bearer }

func (d downable) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	if r.Header.Get("Authorization") == "Bearer down" {
		return backend.Caller{}, backend.Errorf(backend.Unavailable, "Down.")
	}
	return d.bearer.Authenticate(ctx, r)
}
