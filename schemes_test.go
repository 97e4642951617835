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
