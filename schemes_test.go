package backend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// named is a bearer that names its schemes.
type named struct {
	bearer
	schemes []backend.SecurityScheme
}

func (n named) SecuritySchemes() []backend.SecurityScheme { return n.schemes }

// The schemes of the Authenticator are those of the description (OpenAPI 3.1.0, section
// 4.8.27) and of 401 responses (RFC 9110, section 11.6.1), whatever door they come from.
func TestSecuritySchemes(t *testing.T) {
	t.Parallel()
	const url = "https://id.example/.well-known/openid-configuration"
	for name, test := range map[string]struct {
		schemes   []backend.SecurityScheme
		described string
		security  string
		missing   []string // WWW-Authenticate without credentials
		wrong     []string // and with a bearer token that is not valid, if that differs
	}{
		"none": {nil, `null`, `null`, []string{"Bearer"}, nil},
		"bearer": {[]backend.SecurityScheme{{Name: "token", HTTP: "Bearer", Format: "JWT", Realm: `a "b" \c`, Description: "A token."}},
			`{"token":{"type":"http","scheme":"bearer","bearerFormat":"JWT","description":"A token."}}`, `[{"token":[]}]`,
			[]string{`Bearer realm="a \"b\" \\c"`}, []string{`Bearer realm="a \"b\" \\c", error="invalid_token"`}},
		"basic": {[]backend.SecurityScheme{{Name: "basic", HTTP: "basic", Realm: "notes"}},
			`{"basic":{"type":"http","scheme":"basic"}}`, `[{"basic":[]}]`, []string{`Basic realm="notes", charset="UTF-8"`}, nil},
		"other": {[]backend.SecurityScheme{{Name: "dpop", HTTP: "DPoP"}}, `{"dpop":{"type":"http","scheme":"dpop"}}`, `[{"dpop":[]}]`, []string{"DPoP"}, nil},
		"keys": {[]backend.SecurityScheme{{Name: "h", Header: "X-Api-Key"}, {Name: "c", Cookie: "__Host-sid"}, {Name: "q", Query: "key"}},
			`{"h":{"type":"apiKey","in":"header","name":"X-Api-Key"},"c":{"type":"apiKey","in":"cookie","name":"__Host-sid"},"q":{"type":"apiKey","in":"query","name":"key"}}`,
			`[{"h":[]},{"c":[]},{"q":[]}]`, []string{"APIKey"}, nil},
		"bearer and cookie": {[]backend.SecurityScheme{{Name: "token", HTTP: "bearer"}, {Name: "session", Cookie: "sid"}},
			`{"token":{"type":"http","scheme":"bearer"},"session":{"type":"apiKey","in":"cookie","name":"sid"}}`, `[{"token":[]},{"session":[]}]`,
			[]string{"Bearer", "APIKey"}, []string{`Bearer error="invalid_token"`, "APIKey"}},
		"tokens of providers": {[]backend.SecurityScheme{{Name: "oidc", OpenIDConnect: url}, {Name: "oauth", OAuth2: map[string]backend.OAuth2Flow{
			"authorizationCode": {AuthorizationURL: "https://id.example/a", TokenURL: "https://id.example/t", RefreshURL: "https://id.example/r", Scopes: map[string]string{"notes": "Read notes"}},
			"clientCredentials": {TokenURL: "https://id.example/t"}}}},
			`{"oidc":{"type":"openIdConnect","openIdConnectUrl":"` + url + `"},"oauth":{"type":"oauth2","flows":{
				"authorizationCode":{"authorizationUrl":"https://id.example/a","tokenUrl":"https://id.example/t","refreshUrl":"https://id.example/r","scopes":{"notes":"Read notes"}},
				"clientCredentials":{"tokenUrl":"https://id.example/t","scopes":{}}}}}`, `[{"oidc":[]},{"oauth":[]}]`,
			[]string{"Bearer"}, []string{`Bearer error="invalid_token"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logic := backend.NewLogic(nil, named{schemes: test.schemes}, backend.LogicConfig{})
			logic.Add(
				backend.Query("closed", backend.SignedIn, describedNothing, backend.Route("GET /closed")),
				backend.Query("admin", backend.Role("admin"), describedNothing, backend.Route("GET /admin")),
				backend.Query("open", backend.Public, func(context.Context, backend.None) (string, error) {
					return "", backend.Errorf(backend.Unauthenticated, "Wrong password.")
				}, backend.Route("GET /open")),
			)
			rest, toy := logic.REST(), toydoor.New(logic)
			w := httptest.NewRecorder()
			rest.OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			var document struct {
				Components struct{ SecuritySchemes json.RawMessage }
				Paths      map[string]map[string]struct{ Security json.RawMessage }
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
			orNull := func(text json.RawMessage) string {
				if text == nil {
					return "null"
				}
				return string(text)
			}
			require.JSONEq(t, test.described, orNull(document.Components.SecuritySchemes))
			require.JSONEq(t, test.security, orNull(document.Paths["/closed"]["get"].Security))
			require.JSONEq(t, `[]`, string(document.Paths["/open"]["get"].Security))

			page := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
				ctx, err := logic.Authenticate(r)
				if err == nil {
					_, err = backend.Call[backend.None](ctx, logic, "closed", backend.None{})
				}
				require.Error(t, err)
				return fmt.Errorf("page: %w", err)
			})
			wrong := test.wrong
			if wrong == nil {
				wrong = test.missing
			}
			for _, path := range []string{"/closed", "/open"} {
				for token, want := range map[string][]string{"": test.missing, "bearer wrong": wrong, "Bearer wrong": wrong, "Other x": test.missing} {
					for door, method := range map[http.Handler]string{rest: "GET", toy: "POST", &page: "GET"} {
						r := httptest.NewRequest(method, path, strings.NewReader("{}"))
						if token != "" {
							r.Header.Set("Authorization", token)
						}
						w := httptest.NewRecorder()
						door.ServeHTTP(w, r)
						require.Equal(t, 401, w.Code)
						require.Equal(t, want, w.Header()["Www-Authenticate"], "%T %s %q", door, path, token)
					}
				}
			}
			for token, status := range map[string]int{"Bearer ann": 403, "Bearer ann:admin": 204} {
				r := httptest.NewRequest("GET", "/admin", nil)
				r.Header.Set("Authorization", token)
				w := httptest.NewRecorder()
				rest.ServeHTTP(w, r)
				require.Equal(t, status, w.Code)
				require.NotContains(t, w.Header(), "Www-Authenticate")
			}
		})
	}
}

// A scheme that is not valid stops the start, and says what to write.
func TestSecuritySchemesThatAreNotValid(t *testing.T) {
	t.Parallel()
	flow := func(name string, flow backend.OAuth2Flow) backend.SecurityScheme {
		return backend.SecurityScheme{Name: "a", OAuth2: map[string]backend.OAuth2Flow{name: flow}}
	}
	for want, scheme := range map[string]backend.SecurityScheme{
		"Name must have letters":                {Name: "a b", HTTP: "bearer"},
		`scheme "": the Name must`:              {HTTP: "bearer"},
		"set exactly one of HTTP, Header":       {Name: "a"},
		"set exactly one":                       {Name: "a", HTTP: "bearer", Cookie: "sid"},
		`HTTP: "Bearer x" is no scheme`:         {Name: "a", HTTP: "Bearer x"},
		`Header: "X Key" is no name`:            {Name: "a", Header: "X Key"},
		"for authorization use HTTP or Cookie":  {Name: "a", Header: "authorization"},
		`Cookie: "a;b" is no name`:              {Name: "a", Cookie: "a;b"},
		`OpenIDConnect: "id.example" is no URL`: {Name: "a", OpenIDConnect: "id.example"},
		"Format is only for HTTP":               {Name: "a", Cookie: "a", Format: "JWT"},
		"Realm must be printable ASCII":         {Name: "a", HTTP: "bearer", Realm: "a\r\nb"},
		`HTTP "basic" needs a Realm`:            {Name: "a", HTTP: "Basic"},
		`flow "code": there is no such flow`:    flow("code", backend.OAuth2Flow{}),
		`AuthorizationURL: "" is no URL`:        flow("implicit", backend.OAuth2Flow{}),
		`TokenURL: "javascript:x" is no URL`:    flow("password", backend.OAuth2Flow{TokenURL: "javascript:x"}),
		"TokenURL: this flow has none":          flow("implicit", backend.OAuth2Flow{AuthorizationURL: "https://a.example", TokenURL: "https://a.example"}),
		`RefreshURL: "x" is no URL`:             flow("password", backend.OAuth2Flow{TokenURL: "https://a.example", RefreshURL: "x"}),
	} {
		text := panicText(func() { backend.NewLogic(nil, named{schemes: []backend.SecurityScheme{scheme}}, backend.LogicConfig{}) })
		require.Contains(t, text, "backend: NewLogic: security scheme ")
		require.Contains(t, text, want)
	}
	text := panicText(func() {
		backend.NewLogic(nil, named{schemes: []backend.SecurityScheme{{Name: "a", HTTP: "bearer"}, {Name: "a", Cookie: "b"}, {Name: "c"}}}, backend.LogicConfig{})
	})
	require.Contains(t, text, `security scheme "a": its name is that of another scheme`)
	require.Contains(t, text, `security scheme "c": set exactly one`, "all mistakes at once")

	logic := backend.NewLogic(nil, named{schemes: []backend.SecurityScheme{{Name: "a", HTTP: "bearer"}}}, backend.LogicConfig{})
	for _, config := range []backend.OpenAPIConfig{{Bearer: true}, {Cookie: "sid"}} {
		require.Contains(t, panicText(func() { logic.REST().OpenAPI(config) }), "leave OpenAPIConfig.Bearer and Cookie out")
	}
}

// scoped authenticates a bearer token, or a cookie, as an account with the scopes and, after
// a colon, the roles in it.
type scoped struct{ schemes []backend.SecurityScheme }

func (s scoped) SecuritySchemes() []backend.SecurityScheme { return s.schemes }

func (scoped) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if cookie, err := r.Cookie("session"); err == nil {
		token, found = cookie.Value, true
	}
	if !found {
		return backend.Caller{}, nil
	}
	scopes, roles, _ := strings.Cut(token, ":")
	return backend.Caller{ID: "1", Scopes: strings.Split(scopes, ","), Roles: []string{roles}}, nil
}

// Scopes are in the description (OpenAPI 3.1.0, section 4.8.30), and in the challenge of a
// token that lacks them (RFC 6750, section 3.1).
func TestScopes(t *testing.T) {
	t.Parallel()
	schemes := []backend.SecurityScheme{
		{Name: "oauth", OAuth2: map[string]backend.OAuth2Flow{"clientCredentials": {TokenURL: "https://id.example/t"}}},
		{Name: "oidc", OpenIDConnect: "https://id.example/.well-known/openid-configuration"},
		{Name: "session", Cookie: "session"},
	}
	read, write, admin := backend.Scope("read"), backend.Scope("write"), backend.Role("admin")
	many := make([]backend.Access, 10)
	for i := range many {
		many[i] = backend.AnyOf(backend.Scope(fmt.Sprint("a", i)), backend.Scope(fmt.Sprint("b", i)))
	}
	for name, test := range map[string]struct {
		access    backend.Access
		described string            // the scopes of each alternative
		lacking   map[string]string // credentials → scope of the challenge of the 403
	}{
		"a scope":             {read, `[["read"]]`, map[string]string{"x": "read", "x:admin": "read"}},
		"a role":              {admin, `[[]]`, map[string]string{"read": ""}},
		"all":                 {backend.AllOf(backend.SignedIn, read, write, read), `[["read","write"]]`, map[string]string{"x": "read write", "read": "read write"}},
		"any":                 {backend.AnyOf(read, write), `[["read"],["write"]]`, map[string]string{"x": "read"}},
		"a role or a scope":   {backend.AnyOf(admin, write), `[[],["write"]]`, map[string]string{"read": "write"}},
		"a role and a scope":  {backend.AllOf(admin, write), `[["write"]]`, map[string]string{"read": "", "write": "", "x:admin": "write"}},
		"all of any":          {backend.AllOf(backend.AnyOf(read, write), backend.AnyOf(read, admin)), `[["read"],["write","read"],["write"]]`, map[string]string{"x": "read", "write": "read"}},
		"no token of OAuth":   {backend.Scope(`say "hi"`), `[["say \"hi\""]]`, map[string]string{"read": ""}},
		"a rule of its own":   {backend.AllOf(read, backend.AccessFunc("never", func(context.Context, backend.Caller) error { return &backend.Error{Code: backend.Forbidden} })), `[["read"]]`, map[string]string{"x": "", "read": ""}},
		"hidden by not found": {backend.AllOf(backend.AccessFunc("hidden", func(context.Context, backend.Caller) error { return &backend.Error{Code: backend.NotFound} }), read), `[["read"]]`, nil},
		"too many sets":       {backend.AllOf(many...), ``, map[string]string{"x": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logic := backend.NewLogic(nil, scoped{schemes}, backend.LogicConfig{})
			logic.Add(backend.Query("f", test.access, describedNothing, backend.Route("GET /f")))
			rest, toy := logic.REST(), toydoor.New(logic)
			w := httptest.NewRecorder()
			rest.OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			var document struct {
				Paths map[string]map[string]struct{ Security []map[string][]string }
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
			described := map[string][][]string{}
			for _, way := range document.Paths["/f"]["get"].Security {
				for scheme, scopes := range way {
					described[scheme] = append(described[scheme], scopes)
				}
			}
			require.Equal(t, [][]string{{}}, described["session"], "cookies have no scopes")
			require.Equal(t, described["oauth"], described["oidc"])
			if test.described == "" {
				require.LessOrEqual(t, len(described["oauth"]), 64)
			} else {
				text, err := json.Marshal(described["oauth"])
				require.NoError(t, err)
				require.JSONEq(t, test.described, string(text))
			}
			for token, scope := range test.lacking {
				for method, door := range map[string]http.Handler{"GET": rest, "POST": toy} {
					r := httptest.NewRequest(method, "/f", strings.NewReader("{}"))
					r.Header.Set("Authorization", "Bearer "+token)
					w := httptest.NewRecorder()
					door.ServeHTTP(w, r)
					require.Equal(t, 403, w.Code)
					want := []string{`Bearer error="insufficient_scope", scope="` + scope + `"`}
					if scope == "" {
						want = nil
					}
					require.Equal(t, want, w.Header()["Www-Authenticate"], token)
				}
				r := httptest.NewRequest("GET", "/f", nil)
				r.AddCookie(&http.Cookie{Name: "session", Value: token})
				w := httptest.NewRecorder()
				rest.ServeHTTP(w, r)
				require.Equal(t, 403, w.Code)
				require.NotContains(t, w.Header(), "Www-Authenticate", "a session has no token to renew")
			}
		})
	}
}
