package backend

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/openapi"
)

// This file has the schemes by which callers authenticate: for the description of the
// API, and for WWW-Authenticate.

// SecurityDescriber is an [Authenticator] that names the schemes which it accepts.
// [RESTDoor.OpenAPI] describes them. An [Unauthenticated] error of a call, or of
// [Logic.Authenticate], has their challenges in WWW-Authenticate if [WriteError] writes
// it (RFC 9110, section 11.6.1): one header line for each different challenge, in the
// order of the schemes.
//
//   - HTTP: the scheme, with the realm. Bearer has error="invalid_token" if the
//     Authenticator has refused a bearer token (RFC 6750, section 3.1). A [Forbidden]
//     error of a [Scope] has error="insufficient_scope" with the scopes.
//   - OpenIDConnect and OAuth2: as Bearer.
//   - Header, Cookie and Query: APIKey. It is not a registered scheme, for there is none
//     for them, but a 401 must have a challenge.
//
// Browsers ask for a name and a password because of Basic, and ignore the others.
//
// An Authenticator that names no schemes has the challenge Bearer. An Authenticator that
// wraps another one must have the method, too.
type SecurityDescriber interface {
	Authenticator
	// SecuritySchemes returns the schemes, the one that clients should prefer first.
	// Any one of them suffices. It is called once, by [NewLogic], which panics if one is
	// not valid.
	SecuritySchemes() []SecurityScheme
}

// SecurityScheme is one way to send credentials. Exactly one of HTTP, Header, Cookie,
// Query, OpenIDConnect and OAuth2 must be set:
//
//	{Name: "token", HTTP: "bearer", Realm: "notes"}
//	{Name: "session", Cookie: "__Host-sid"}
//	{Name: "key", Header: "X-Api-Key"}
type SecurityScheme struct {
	// Name is the name in the description: letters, digits, '.', '-' and '_'. It must be
	// unique.
	Name string
	// Description is a text in Markdown. Defaults to none.
	Description string
	// HTTP is the scheme of the Authorization header, such as "bearer" or "basic", in any
	// case.
	HTTP string
	// Header, Cookie and Query are the name of the header, cookie or query parameter that
	// has the credentials. Logs and caches see query parameters.
	Header, Cookie, Query string
	// OpenIDConnect is the URL of the provider's metadata, which ends in
	// /.well-known/openid-configuration.
	OpenIDConnect string
	// OAuth2 are the flows of OAuth 2 (RFC 6749) by their names in OpenAPI:
	// authorizationCode, clientCredentials, implicit and password.
	OAuth2 map[string]OAuth2Flow
	// Format says of what form a bearer token is, such as "JWT". Defaults to none. It is
	// only for HTTP "bearer".
	Format string
	// Realm is the realm of the challenge: printable ASCII. Defaults to none. Basic
	// requires one (RFC 7617).
	Realm string
}

// OAuth2Flow describes one flow of OAuth 2.
type OAuth2Flow struct {
	// AuthorizationURL is required for authorizationCode and implicit, TokenURL for all
	// but implicit. RefreshURL defaults to none.
	AuthorizationURL, TokenURL, RefreshURL string
	// Scopes are the scopes with their descriptions: those of the rules [Scope], and
	// others that clients can ask for.
	Scopes map[string]string
}

// schemesOf returns the schemes that an Authenticator names. It panics with the mistakes
// of all of them.
func schemesOf(auth Authenticator) []SecurityScheme {
	describer, ok := auth.(SecurityDescriber)
	if !ok {
		return nil
	}
	schemes, names := slices.Clone(describer.SecuritySchemes()), map[string]bool{}
	var wrong []error
	for _, s := range schemes {
		err := s.check()
		if names[s.Name] {
			err = errors.Join(err, errors.New("its name is that of another scheme"))
		}
		names[s.Name] = true
		if err != nil {
			wrong = append(wrong, fmt.Errorf("backend: NewLogic: security scheme %q: %w", s.Name, err))
		}
	}
	if len(wrong) > 0 {
		panic(errors.Join(wrong...).Error())
	}
	return schemes
}

// componentName is the form of names of components (OpenAPI 3.1.0, section 4.8.7).
var componentName = lazyre.New(`^[a-zA-Z0-9._-]+$`)

// check returns an error for a scheme that is not valid.
func (s SecurityScheme) check() error {
	set := 0
	for _, is := range []bool{s.HTTP != "", s.Header != "", s.Cookie != "", s.Query != "", s.OpenIDConnect != "", len(s.OAuth2) > 0} {
		if is {
			set++
		}
	}
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	switch {
	case !componentName().MatchString(s.Name):
		return errors.New("the Name must have letters, digits, '.', '-' and '_' only")
	case set != 1:
		return errors.New("set exactly one of HTTP, Header, Cookie, Query, OpenIDConnect and OAuth2")
	case s.HTTP != "" && !header.IsToken(s.HTTP):
		return fmt.Errorf("HTTP: %q is no scheme; write one such as \"bearer\"", s.HTTP)
	case s.Header != "" && !header.IsToken(s.Header):
		return fmt.Errorf("the Header: %q is no name of a header", s.Header)
	case slices.Contains([]string{"Authorization", "Cookie"}, http.CanonicalHeaderKey(s.Header)):
		return fmt.Errorf("the Header: for %s use HTTP or Cookie", s.Header)
	case s.Cookie != "" && !header.IsToken(s.Cookie):
		return fmt.Errorf("the Cookie: %q is no name of a cookie", s.Cookie)
	case s.OpenIDConnect != "" && !isWebURL(s.OpenIDConnect):
		return fmt.Errorf("OpenIDConnect: %q is no URL; write one such as \"https://id.example/.well-known/openid-configuration\"", s.OpenIDConnect)
	case s.Format != "" && !strings.EqualFold(s.HTTP, "bearer"):
		return errors.New("a Format is only for HTTP \"bearer\"")
	case strings.ContainsFunc(s.Realm, unprintable):
		return errors.New("the Realm must be printable ASCII")
	case strings.EqualFold(s.HTTP, "basic") && s.Realm == "":
		return errors.New("a scheme with HTTP \"basic\" needs a Realm (RFC 7617)")
	}
	for _, name := range slices.Sorted(maps.Keys(s.OAuth2)) {
		if err := s.OAuth2[name].check(name); err != nil {
			return fmt.Errorf("OAuth2: flow %q: %w", name, err)
		}
	}
	return nil
}

// check returns an error for a flow that is not valid under its name.
func (f OAuth2Flow) check(name string) error {
	if !slices.Contains([]string{"authorizationCode", "clientCredentials", "implicit", "password"}, name) {
		return errors.New("there is no such flow; use authorizationCode, clientCredentials, implicit or password")
	}
	for _, u := range []struct {
		field, url string
		wanted     bool
	}{
		{"AuthorizationURL", f.AuthorizationURL, name == "authorizationCode" || name == "implicit"},
		{"TokenURL", f.TokenURL, name != "implicit"},
	} {
		if u.wanted && !isWebURL(u.url) {
			return fmt.Errorf("%s: %q is no URL such as \"https://id.example/token\"", u.field, u.url)
		}
		if !u.wanted && u.url != "" {
			return fmt.Errorf("%s: this flow has none", u.field)
		}
	}
	if f.RefreshURL != "" && !isWebURL(f.RefreshURL) {
		return fmt.Errorf("RefreshURL: %q is no URL", f.RefreshURL)
	}
	return nil
}

// isWebURL reports whether text is an absolute URL of http or https.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// challenges returns the values of WWW-Authenticate for schemes. wrong is what is wrong with
// the bearer token that was sent, as parameters, or "".
func challenges(schemes []SecurityScheme, wrong string) (values []string) {
	for _, s := range schemes {
		scheme := "APIKey"
		switch {
		case strings.EqualFold(s.HTTP, "bearer"), s.OpenIDConnect != "", len(s.OAuth2) > 0:
			scheme = "Bearer"
		case strings.EqualFold(s.HTTP, "basic"):
			scheme = "Basic"
		case s.HTTP != "":
			scheme = s.HTTP
		}
		var params []string
		if s.Realm != "" {
			params = append(params, `realm="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s.Realm)+`"`)
		}
		if scheme == "Basic" {
			params = append(params, `charset="UTF-8"`)
		}
		if scheme == "Bearer" && wrong != "" {
			params = append(params, wrong)
		}
		value := strings.TrimSpace(scheme + " " + strings.Join(params, ", "))
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values
}

// invalidToken and the error of scopeChallenges are those of RFC 6750, section 3.1.
const invalidToken = `error="invalid_token"`

// scopeChallenges returns the values of WWW-Authenticate for a bearer token without scopes
// that are needed.
func scopeChallenges(schemes []SecurityScheme, scopes []string) []string {
	for _, scope := range scopes {
		if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil // no token of RFC 6749, section 3.3
		}
	}
	if len(schemes) == 0 {
		schemes = []SecurityScheme{{HTTP: "bearer"}}
	}
	values := challenges(schemes, fmt.Sprintf(`error="insufficient_scope", scope="%s"`, strings.Join(scopes, " ")))
	return slices.DeleteFunc(values, func(value string) bool { return !strings.HasPrefix(value, "Bearer ") })
}

// challenged is an error with the challenges of the response, if that has the code.
type challenged struct {
	error
	code   Code
	values []string // shared: they must not be changed
}

func (e *challenged) Unwrap() error { return e.error }

// challenge sets WWW-Authenticate from the challenges of an error, if the handler has not
// set it.
func challenge(head http.Header, err error, code Code) {
	if head["Www-Authenticate"] != nil || code != Unauthenticated && code != Forbidden {
		return
	}
	if e, ok := errors.AsType[*challenged](err); ok && e.code == code && len(e.values) > 0 {
		head["Www-Authenticate"] = e.values
	}
}

// sentBearer reports whether a request has a bearer token.
func sentBearer(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "bearer")
}

// described returns the schemes for the description of the API.
func described(schemes []SecurityScheme) (all []openapi.Scheme) {
	for _, s := range schemes {
		d := openapi.Scheme{ID: s.Name, Description: s.Description, HTTP: s.HTTP, BearerFormat: s.Format, OpenIDConnectURL: s.OpenIDConnect}
		for place, name := range map[string]string{"header": s.Header, "cookie": s.Cookie, "query": s.Query} {
			if name != "" {
				d.In, d.Name = place, name
			}
		}
		for name, flow := range s.OAuth2 {
			if d.Flows == nil {
				d.Flows = map[string]openapi.Flow{}
			}
			d.Flows[name] = openapi.Flow(flow)
		}
		all = append(all, d)
	}
	return all
}
