package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// CrossOrigin returns middleware that refuses requests which another site's
// page made a browser send with the user's cookies (CSRF), with 403:
//
//   - every request with a method other than GET, HEAD and OPTIONS that
//     [http.CrossOriginProtection] finds to come from another origin, by
//     Sec-Fetch-Site or, from old browsers, by Origin and Host; another
//     subdomain is another origin, and "null" is foreign to all;
//   - every such request that has a Cookie header and neither Sec-Fetch-Site nor
//     Origin: browsers of the last years always send one of the two, and others
//     who send cookies can say Origin too;
//   - GET requests that open a WebSocket or an event stream from another origin,
//     because those are read across origins without CORS.
//
// Requests with Authorization: Bearer and without cookies are let through: a
// browser sends no such header by itself. GET and HEAD must not change
// anything, whatever X-HTTP-Method-Override says: nothing here reads it.
//
// Trusted lists other origins whose pages may do as the own ones may, such as
// "https://admin.example.com". An invalid one panics.
func CrossOrigin(trusted ...string) Middleware {
	c, err := newCrossOrigin(trusted, nil)
	must("CrossOrigin", err)
	return layer(c.serve)
}

type crossOrigin struct {
	protection http.CrossOriginProtection
	cors       *cors // in a stack: origins that may come without credentials
}

func newCrossOrigin(trusted []string, allowed *cors) (*crossOrigin, error) {
	c := &crossOrigin{cors: allowed}
	var errs []error
	for _, origin := range trusted {
		err := checkOrigin(origin)
		if err == nil {
			err = c.protection.AddTrustedOrigin(origin)
		}
		errs = append(errs, err)
	}
	if allowed != nil && allowed.credentials != nil {
		for origin := range allowed.origins {
			errs = append(errs, c.protection.AddTrustedOrigin(origin))
		}
	}
	return c, errors.Join(errs...)
}

func (c *crossOrigin) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if err := c.check(r); err != nil {
		WriteError(w, r, (&Error{Code: Forbidden, Message: "This request comes from another site."}).Wrap(err))
		return
	}
	next.ServeHTTP(w, r)
}

var errNoOrigin = errors.New("a request with cookies says neither Sec-Fetch-Site nor Origin")

func (c *crossOrigin) check(r *http.Request) error {
	stream := r.Method == http.MethodGet && opensStream(r.Header)
	if !stream && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return nil
	}
	cookies := r.Header["Cookie"] != nil
	if !cookies && bearer(r.Header) {
		return nil
	}
	asked := r
	if stream { // CrossOriginProtection looks away from GET
		unsafe := *r
		unsafe.Method = http.MethodPost
		asked = &unsafe
	}
	err := c.protection.Check(asked)
	switch {
	case err != nil && c.cors != nil && !ambient(r) && c.cors.allows(r.Header.Get("Origin")):
		return nil
	case err == nil && cookies && !stream && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "":
		return errNoOrigin
	}
	return err
}

// ambient reports whether the request carries something that a browser sends by
// itself and that may stand for a user.
func ambient(r *http.Request) bool {
	return r.Header["Cookie"] != nil || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 ||
		r.Header["Authorization"] != nil && !bearer(r.Header)
}

// bearer reports whether the only credentials in Authorization are a bearer
// token (RFC 6750 section 2.1).
func bearer(head http.Header) bool {
	lines := head["Authorization"]
	if len(lines) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	return strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != ""
}

// opensStream reports whether a GET asks for a WebSocket or an event stream.
func opensStream(head http.Header) bool {
	return listed(head["Upgrade"], "websocket") || listed(head["Accept"], "text/event-stream")
}

// listed reports whether a list header has an item with the name, parameters
// aside.
func listed(lines []string, name string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			if strings.EqualFold(strings.Trim(item, " \t"), name) {
				return true
			}
		}
	}
	return false
}

// checkOrigin refuses what browsers never send as Origin (RFC 6454 section 6.2)
// and would thus never match.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != origin:
		return fmt.Errorf("origin %q is not of the form https://example.com, without a path or slash at the end", origin)
	case origin != strings.ToLower(origin):
		return fmt.Errorf("origin %q never matches: browsers send it in lower case", origin)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return fmt.Errorf("origin %q never matches: browsers leave the default port out", origin)
	case strings.Contains(origin, "*"):
		return fmt.Errorf("origin %q has a wildcard; list each origin", origin)
	}
	return nil
}
