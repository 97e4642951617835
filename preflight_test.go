package backend_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// CORS answers preflight requests wherever it stands, and no handler sees them.
func TestCORSWorksWhereverMiddlewareWorks(t *testing.T) {
	t.Parallel()
	const origin = "https://spa.example"
	cors := backend.CORS(backend.CORSConfig{Origins: []string{origin}})
	never := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			panic("the handler sees OPTIONS")
		}
	})
	quiet := backend.RequestID()
	foreign := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
	}
	routers := map[string]func() http.Handler{
		"Use of the router": func() http.Handler {
			r := backend.NewRouter()
			r.Use(cors)
			r.Handle("PUT /api/{id}", never)
			return r
		},
		"Use of a group": func() http.Handler {
			r := backend.NewRouter()
			g := r.Group("/api")
			g.Use(cors)
			g.Handle("PUT /{id}", never)
			return r
		},
		"Use of a group inside, after others": func() http.Handler {
			r := backend.NewRouter()
			g := r.Group("/api")
			g.Use(quiet, foreign, cors)
			g.Handle("GET /{id}", never)
			g.Handle("PUT /{id}", never)
			return r
		},
		"around a handler": func() http.Handler {
			r := backend.NewRouter()
			r.Handle("GET /api/{id}", never)
			r.Handle("PUT /api/{id}", cors(never))
			return r
		},
		"around a handler, within ours": func() http.Handler {
			r := backend.NewRouter()
			r.Handle("PUT /api/{id}", quiet(cors(never)))
			return r
		},
		"around a handler in a group": func() http.Handler {
			r := backend.NewRouter()
			g := r.Group("/api")
			g.Use(foreign)
			g.Handle("PUT /{id}", cors(never))
			return r
		},
		"Stack around a handler": func() http.Handler {
			r := backend.NewRouter()
			r.Handle("PUT /api/{id}", backend.Stack(backend.StackConfig{CORS: backend.CORSConfig{Origins: []string{origin}}})(never))
			return r
		},
		"a mounted router": func() http.Handler {
			api := backend.NewRouter()
			api.Use(cors)
			api.Handle("PUT /{id}", never)
			r := backend.NewRouter()
			r.Mount("/api", api)
			return r
		},
		"around a mounted router": func() http.Handler {
			api := backend.NewRouter()
			api.Handle("PUT /{id}", never)
			r := backend.NewRouter()
			r.Mount("/api", cors(api))
			return r
		},
		"ServeMux": func() http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/api/{id}", cors(never))
			return mux
		},
	}
	for name, make := range routers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := make()
			send := func(method, path string, headers ...string) *httptest.ResponseRecorder {
				r := httptest.NewRequest(method, path, nil)
				for i := 0; i < len(headers); i += 2 {
					r.Header.Set(headers[i], headers[i+1])
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			w := send("OPTIONS", "/api/7", "Origin", origin, "Access-Control-Request-Method", "PUT")
			require.Equal(t, 204, w.Code)
			require.Equal(t, origin, w.Header().Get("Access-Control-Allow-Origin"))
			require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "PUT")
			w = send("OPTIONS", "/api/7", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT")
			require.Equal(t, 204, w.Code)
			require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
			w = send("PUT", "/api/7", "Origin", origin)
			require.Equal(t, 200, w.Code)
			require.Equal(t, origin, w.Header().Get("Access-Control-Allow-Origin"))
			if name != "ServeMux" {
				w = send("OPTIONS", "/api/7")
				require.Equal(t, 204, w.Code)
				require.Contains(t, w.Header().Get("Allow"), "PUT")
				unknown := map[bool]int{true: 204, false: 404}[name == "Use of the router"] // where CORS is outside of the routes
				require.Equal(t, unknown, send("OPTIONS", "/other/7/8", "Origin", origin, "Access-Control-Request-Method", "PUT").Code)
				w = send("OPTIONS", "/api/7", "Origin", origin, "Access-Control-Request-Method", "BREW")
				require.Equal(t, 204, w.Code, "the router's own answer")
			}
		})
	}
}

// Without CORS the router answers preflight requests as any OPTIONS.
func TestPreflightsWithoutCORS(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	g := r.Group("/api")
	passed := 0
	g.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { passed++; next.ServeHTTP(w, r) })
	})
	g.Handle("PUT /{id}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("called") }))
	req := httptest.NewRequest("OPTIONS", "/api/7", nil)
	req.Header.Set("Origin", "https://a.example")
	req.Header.Set("Access-Control-Request-Method", "PUT")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	require.Equal(t, 204, w.Code)
	require.Equal(t, "OPTIONS, PUT", w.Header().Get("Allow"))
	require.Equal(t, 1, passed)
}

// Only credentials that browsers send by themselves need protection: a request that
// the preflight has allowed is not refused.
func TestCrossOriginLetsExplicitCredentialsPass(t *testing.T) {
	t.Parallel()
	for authorization, status := range map[string]int{
		"Token abc": 200, "token abc": 200, "ApiKey a b": 200, "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b": 200, "9f8e/7d==": 200, "DPoP x": 200, "Bearer x": 200,
		"Basic dTpw": 403, "basic dTpw": 403, "BASIC\tdTpw": 403, `Digest username="a"`: 403, "Digest,username=a": 403, "Negotiate YII": 403, "negotiate": 403, "NTLM TlR": 403,
	} {
		for name, h := range map[string]http.Handler{
			"stack, any origin": backend.Stack(backend.StackConfig{CORS: backend.CORSConfig{Origins: []string{"*"}}})(sayHello),
			"stack, listed":     backend.Stack(backend.StackConfig{CORS: backend.CORSConfig{Origins: []string{"https://a.example"}}})(sayHello),
			"alone":             backend.CrossOrigin()(sayHello),
		} {
			r := httptest.NewRequest("POST", "https://api.example/", nil)
			r.Header.Set("Origin", "https://a.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, status, w.Code, "%s: %s", name, authorization)
			r.Header.Set("Cookie", "a=b")
			w = httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, 403, w.Code, "%s: %s and a cookie", name, authorization)
		}
	}
}

// What CORS opens to all is not closed by Cross-Origin-Resource-Policy (Fetch standard,
// section 3.7): requests for images and scripts have no Origin.
func TestResourcePolicyFollowsCORS(t *testing.T) {
	t.Parallel()
	all := backend.CORS(backend.CORSConfig{Origins: []string{"*"}})
	listed := backend.CORS(backend.CORSConfig{Origins: []string{"https://a.example"}})
	secure := backend.SecureHeaders(backend.HeadersConfig{})
	for name, test := range map[string]struct {
		h    http.Handler
		want string
	}{
		"no CORS":            {secure(sayHello), "same-origin"},
		"listed":             {secure(listed(sayHello)), "same-origin"},
		"all":                {secure(all(sayHello)), "cross-origin"},
		"all, outside":       {all(secure(sayHello)), "cross-origin"},
		"all, within listed": {secure(listed(all(sayHello))), "cross-origin"},
		"stack":              {backend.Stack(backend.StackConfig{CORS: backend.CORSConfig{Origins: []string{"*"}}})(sayHello), "cross-origin"},
		"all, configured":    {backend.SecureHeaders(backend.HeadersConfig{ResourcePolicy: "same-site"})(all(sayHello)), "same-site"},
		"configured":         {backend.SecureHeaders(backend.HeadersConfig{ResourcePolicy: "cross-origin"})(sayHello), "cross-origin"},
		"the handler's counts": {secure(all(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cross-Origin-Resource-Policy", "same-site")
		}))), "same-site"},
	} {
		for _, origin := range []string{"", "https://a.example", "https://b.example"} {
			r := httptest.NewRequest("GET", "/", nil)
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			w := httptest.NewRecorder()
			test.h.ServeHTTP(w, r)
			require.Equal(t, []string{test.want}, w.Header().Values("Cross-Origin-Resource-Policy"), name)
		}
	}
	require.PanicsWithValue(t, `backend: SecureHeaders: ResourcePolicy "none" is none of "same-origin", "same-site" and "cross-origin"`,
		func() { backend.SecureHeaders(backend.HeadersConfig{ResourcePolicy: "none"}) })
}
