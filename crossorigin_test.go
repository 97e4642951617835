package backend_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// mwOriginTest is one request to https://app.example.
type mwOriginTest struct {
	name, method string
	headers      []string
	status       int
}

func mwRunOrigins(t *testing.T, h http.Handler, tests []mwOriginTest, called *bool) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			*called = false
			r := httptest.NewRequest(test.method, "https://app.example/do", nil)
			for i := 0; i < len(test.headers); i += 2 {
				r.Header.Add(test.headers[i], test.headers[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.status == 200, *called)
		})
	}
}

func TestStatements11And12_CrossOriginRequestsAreRefused_ASVS_3_5_1(t *testing.T) {
	t.Parallel()
	called := false
	h := backend.CrossOrigin("https://admin.example:8443")(mustRun(t, func(http.ResponseWriter, *http.Request) { called = true }))
	var tests []mwOriginTest
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "QUERY"} {
		tests = append(tests, []mwOriginTest{
			{method + " same-origin", method, []string{"Sec-Fetch-Site", "same-origin", "Cookie", "a=b"}, 200},
			{method + " typed by the user", method, []string{"Sec-Fetch-Site", "none", "Cookie", "a=b"}, 200},
			{method + " cross-site", method, []string{"Sec-Fetch-Site", "cross-site", "Cookie", "a=b"}, 403},
			{method + " cross-site without a cookie", method, []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{method + " other subdomain", method, []string{"Sec-Fetch-Site", "same-site", "Cookie", "a=b"}, 403},
			{method + " unknown site", method, []string{"Sec-Fetch-Site", "whatever", "Cookie", "a=b"}, 403},
			{method + " trusted origin", method, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example:8443", "Cookie", "a=b"}, 200},
			{method + " trusted host, other port", method, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example", "Cookie", "a=b"}, 403},
			{method + " old browser, own origin", method, []string{"Origin", "https://app.example", "Cookie", "a=b"}, 200},
			{method + " old browser, foreign origin", method, []string{"Origin", "https://evil.example", "Cookie", "a=b"}, 403},
			{method + " old browser, null origin", method, []string{"Origin", "null", "Cookie", "a=b"}, 403},
			{method + " old browser, trusted origin", method, []string{"Origin", "https://admin.example:8443", "Cookie", "a=b"}, 200},
			{method + " neither header, cookie", method, []string{"Cookie", "a=b"}, 403},
			{method + " neither header, cookie and bearer", method, []string{"Cookie", "a=b", "Authorization", "Bearer t"}, 403},
			{method + " neither header, no cookie", method, nil, 200},
			{method + " bearer from anywhere", method, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example", "Authorization", "Bearer t"}, 200},
			{method + " bearer in lower case", method, []string{"Origin", "null", "Authorization", "bearer t"}, 200},
			{method + " empty bearer", method, []string{"Origin", "null", "Authorization", "Bearer "}, 403},
			{method + " basic is no bearer", method, []string{"Origin", "https://evil.example", "Authorization", "Basic dTpw"}, 403},
			{method + " bearer beside basic", method, []string{"Origin", "https://evil.example", "Authorization", "Bearer t", "Authorization", "Basic dTpw"}, 403},
			{method + " bearer beside a cookie", method, []string{"Sec-Fetch-Site", "cross-site", "Cookie", "a=b", "Authorization", "Bearer t"}, 403},
		}...)
	}
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		tests = append(tests, mwOriginTest{method + " from anywhere", method, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example", "Cookie", "a=b"}, 200})
	}
	mwRunOrigins(t, h, tests, &called)
}

func TestStatement15_MethodOverridesAreIgnored(t *testing.T) {
	t.Parallel()
	called := false
	var method string
	h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		called, method = true, r.Method
	}))
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		mwRunOrigins(t, h, []mwOriginTest{
			{name + " on GET", "GET", []string{name, "DELETE", "Sec-Fetch-Site", "cross-site"}, 200},
			{name + " on POST", "POST", []string{name, "GET", "Sec-Fetch-Site", "cross-site", "Cookie", "a=b"}, 403},
		}, &called)
		require.Equal(t, "GET", method)
	}
}

func TestStatement18_StreamsOfOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	called := false
	h := backend.CrossOrigin("https://admin.example")(mustRun(t, func(http.ResponseWriter, *http.Request) { called = true }))
	var tests []mwOriginTest
	for name, stream := range map[string][]string{
		"websocket":    {"Connection", "Upgrade", "Upgrade", "WebSocket"},
		"several":      {"Upgrade", "h2c, websocket"},
		"event stream": {"Accept", "text/event-stream"},
		"polyfill":     {"Accept", "application/json, Text/Event-Stream;q=0.9"},
	} {
		with := func(headers ...string) []string { return append(headers, stream...) }
		tests = append(tests, []mwOriginTest{
			{name + " own origin", "GET", with("Origin", "https://app.example", "Cookie", "a=b"), 200},
			{name + " foreign origin", "GET", with("Origin", "https://evil.example", "Cookie", "a=b"), 403},
			{name + " foreign origin without a cookie", "GET", with("Origin", "https://evil.example"), 403},
			{name + " null origin", "GET", with("Origin", "null", "Cookie", "a=b"), 403},
			{name + " cross-site", "GET", with("Sec-Fetch-Site", "cross-site", "Cookie", "a=b"), 403},
			{name + " same-origin", "GET", with("Sec-Fetch-Site", "same-origin", "Cookie", "a=b"), 200},
			{name + " trusted origin", "GET", with("Sec-Fetch-Site", "cross-site", "Origin", "https://admin.example", "Cookie", "a=b"), 200},
			{name + " old browser or command line", "GET", with("Cookie", "a=b"), 200},
			{name + " bearer", "GET", with("Origin", "https://evil.example", "Authorization", "Bearer t"), 200},
		}...)
	}
	mwRunOrigins(t, h, tests, &called)
}

func TestStackTrustsWhatCORSAllows(t *testing.T) {
	t.Parallel()
	called := false
	handler := mustRun(t, func(http.ResponseWriter, *http.Request) { called = true })
	stack := func(config backend.CORSConfig) http.Handler {
		return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), CORS: config})(handler)
	}
	const own, other = "https://spa.example", "https://evil.example"
	from := func(origin string, headers ...string) []string {
		return append([]string{"Sec-Fetch-Site", "cross-site", "Origin", origin}, headers...)
	}
	t.Run("with credentials", func(t *testing.T) {
		mwRunOrigins(t, stack(backend.CORSConfig{Origins: []string{own}, Credentials: true}), []mwOriginTest{
			{"listed", "POST", from(own, "Cookie", "a=b"), 200},
			{"unlisted", "POST", from(other, "Cookie", "a=b"), 403},
		}, &called)
	})
	for name, config := range map[string]backend.CORSConfig{"listed": {Origins: []string{own}}, "any": {Origins: []string{"*"}}} {
		t.Run("without credentials, "+name, func(t *testing.T) {
			mwRunOrigins(t, stack(config), []mwOriginTest{
				{"plain", "POST", from(own), 200},
				{"with a cookie", "POST", from(own, "Cookie", "a=b"), 403},
				{"with basic authentication", "POST", from(own, "Authorization", "Basic dTpw"), 403},
				{"with bearer", "POST", from(own, "Authorization", "Bearer t"), 200},
			}, &called)
		})
	}
	t.Run("a client certificate is a credential", func(t *testing.T) {
		called = false
		r := httptest.NewRequest("POST", "https://app.example/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
		r.Header.Set("Origin", own)
		w := httptest.NewRecorder()
		stack(backend.CORSConfig{Origins: []string{"*"}}).ServeHTTP(w, r)
		require.Equal(t, 403, w.Code)
		require.False(t, called)
	})
}

func ExampleCrossOrigin() {
	h := backend.CrossOrigin()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, site := range []string{"same-origin", "cross-site"} {
		r := httptest.NewRequest("POST", "/transfer", nil)
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Cookie", "__Host-sid=…")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(site, w.Code)
	}
	// Output:
	// same-origin 200
	// cross-site 403
}
