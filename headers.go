package backend

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file sets the security headers of responses, and the charset of texts.

// HeadersConfig configures [SecureHeaders]. The zero value is for applications that
// serve their scripts and styles themselves.
type HeadersConfig struct {
	// HTMLPolicy is the Content-Security-Policy of HTML responses. "{nonce}" is
	// replaced by the nonce of the request. The policy must have frame-ancestors,
	// base-uri, and object-src or default-src 'none'. The default allows scripts by
	// nonce with 'strict-dynamic', styles of the same origin or by nonce, images of
	// the same origin or in data: URLs, all else and forms to the same origin only.
	// It allows neither frames around the page, nor plug-ins, nor a base URL.
	//
	// A static page has no nonces, so the default blocks all its scripts, also those of
	// the same origin. For the index.html that a build tool has written, set
	//
	//	default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'
	//
	// It allows scripts and styles in files of the same origin. Scripts in the page itself
	// need their hashes: script-src 'self' 'sha256-…', which the browser's console shows
	// when it blocks one. Style elements in the page, or that a library adds, need hashes
	// in style-src, too, or style-src 'self' 'unsafe-inline'. Servers of another origin
	// that scripts call need connect-src 'self' and that origin.
	//
	// Chrome applies form-action to the redirects after a form was sent, too. If a form
	// leads to a payment or sign-in page of another origin by a redirect, add that origin:
	// form-action 'self' https://pay.example. A link, or a script that sets location, is
	// not restricted.
	HTMLPolicy string
	// ScriptPolicy is the Content-Security-Policy of responses that are JavaScript. It
	// applies to workers and service workers that are loaded from them: what they may
	// fetch and import. It must have the directives that HTMLPolicy must have. The
	// default allows everything of the same origin, but no plug-ins.
	ScriptPolicy string
	// DocumentPolicy is the Content-Security-Policy of XML, SVG and PDF responses, which
	// browsers show as pages. It must have the same directives. The default allows no
	// scripts, but styles of the same origin and inline, images and fonts of the same
	// origin or in data: URLs, and the browser's own viewer.
	DocumentPolicy string
	// DataPolicy is the Content-Security-Policy of all other responses, such as JSON. It
	// must have the same directives. The default allows nothing.
	DataPolicy string
	// PermissionsPolicy is the Permissions-Policy of HTML responses. Defaults to one
	// that forbids accelerometer, camera, display-capture, geolocation, gyroscope,
	// magnetometer, microphone, midi, payment and usb.
	PermissionsPolicy string
	// ResourcePolicy is the Cross-Origin-Resource-Policy of all responses:
	// "same-origin", "same-site" or "cross-origin". It says which pages may embed them,
	// such as images and scripts, without [CORS]. Defaults to "cross-origin" for
	// responses that a CORS with the origin "*" opens to all, and to "same-origin" for
	// others.
	ResourcePolicy string
	// HSTS is how long browsers use only HTTPS for this host after each response, in
	// whole seconds. Defaults to 2 years.
	HSTS time.Duration
	// HSTSHostOnly makes HSTS apply to the host without its subdomains. Set it if
	// some of them have no TLS.
	HSTSHostOnly bool
}

const (
	htmlPolicy = "default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self' 'nonce-{nonce}'; " +
		"img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	scriptPolicy   = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
	documentPolicy = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; object-src 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
	noPermissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
		"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
	twoYears = 2 * 365 * 24 * time.Hour
)

// SecureHeaders returns middleware that sets security headers of every response:
//
//   - X-Content-Type-Options: nosniff and Cross-Origin-Resource-Policy
//     ([HeadersConfig.ResourcePolicy]);
//   - Content-Security-Policy, by the kind of content: [HeadersConfig.HTMLPolicy] with a
//     new nonce, ScriptPolicy, DocumentPolicy, or DataPolicy;
//   - Referrer-Policy: same-origin for HTML, since with no-referrer browsers send
//     Origin: null with the forms of the page; otherwise no-referrer;
//   - for HTML, Cross-Origin-Opener-Policy: same-origin and Permissions-Policy;
//   - over TLS, Strict-Transport-Security (RFC 6797), by default for two years and
//     with subdomains, unless the host is localhost or an IP address. Behind a proxy
//     that ends TLS this needs [TrustProxies] outside.
//
// The kind of a response is that of its Content-Type when the header is sent. If the
// handler sets no Content-Type, it is detected as net/http does. Text and XML types
// without a charset get charset=utf-8. SecureHeaders does not change a header that
// the handler has set, before or after, and gives way where it has added a value, as
// [httputil.ReverseProxy] does, but not for an upgrade such as that of a WebSocket: the
// proxy writes that response to the connection itself, with both values. SecureHeaders
// does not restore a header that the handler has deleted, unless that was after an
// informational response, when the proxy deletes all.
//
// A 304 response has none of the headers that depend on the content type, unless the
// handler sets them: a cache updates its stored response with those of a 304 (RFC
// 9111, section 3.2), whose Content-Type is usually missing and whose nonce is
// another one.
//
// Invalid values panic.
func SecureHeaders(config HeadersConfig) Middleware {
	set, err := newHeaderSet(config)
	must("SecureHeaders", err)
	return layer(set.serve)
}

// Nonce returns the Content-Security-Policy nonce of the request, for the nonce
// attribute of script and style elements. It is 128 random bits in base64, and the
// same for the whole request. Without [SecureHeaders] around the handler it is
// empty. Nonce is safe for concurrent use.
func Nonce(ctx context.Context) string {
	x := exchangeFrom(ctx)
	if x == nil || x.page.set == nil {
		return ""
	}
	return x.cspNonce()
}

func (x *exchange) cspNonce() string {
	if nonce := x.page.nonce.Load(); nonce != nil {
		return *nonce
	}
	var b [16]byte
	rand.Read(b[:])
	nonce := base64.StdEncoding.EncodeToString(b[:])
	x.page.nonce.CompareAndSwap(nil, &nonce) // the first one counts
	return *x.page.nonce.Load()
}

var (
	corpSameOrigin = []string{"same-origin"}
	corpToAll      = []string{"cross-origin"}
	coopSameOrigin = []string{"same-origin"}
	apiReferrer    = []string{"no-referrer"}
	htmlReferrer   = []string{"same-origin"}
)

func newHeaderSet(config HeadersConfig) (*headerSet, error) {
	policy, permissions, hsts := config.HTMLPolicy, config.PermissionsPolicy, config.HSTS
	if policy == "" {
		policy = htmlPolicy
	}
	if permissions == "" {
		permissions = noPermissions
	}
	if hsts == 0 {
		hsts = twoYears
	}
	strict := "max-age=" + strconv.FormatInt(int64(hsts/time.Second), 10)
	if !config.HSTSHostOnly {
		strict += "; includeSubDomains"
	}
	policies, policiesErr := config.otherPolicies()
	set := &headerSet{
		policies:    policies,
		policy:      strings.Split(policy, "{nonce}"),
		permissions: []string{permissions},
		hsts:        []string{strict},
	}
	if config.ResourcePolicy != "" {
		set.resource = []string{config.ResourcePolicy}
	}
	return set, errors.Join(checkPolicy("HTMLPolicy", policy), policiesErr, checkValue("PermissionsPolicy", permissions), checkHSTS(hsts), checkResource(config.ResourcePolicy))
}

func checkResource(policy string) error {
	switch policy {
	case "", "same-origin", "same-site", "cross-origin":
		return nil
	}
	return fmt.Errorf(`ResourcePolicy %q is none of "same-origin", "same-site" and "cross-origin"`, policy)
}

// resourcePolicy returns the Cross-Origin-Resource-Policy for a response that c, which
// may be nil, allows scripts to read.
func (s *headerSet) resourcePolicy(c *cors) []string {
	switch {
	case s.resource != nil:
		return s.resource
	case c != nil && c.any != nil:
		return corpToAll
	}
	return corpSameOrigin
}

// otherPolicies returns the policies of the kinds of content other than HTML.
func (c HeadersConfig) otherPolicies() (policies [htmlKind][]string, err error) {
	for kind, policy := range [htmlKind]struct{ name, set, otherwise string }{
		dataKind:     {"DataPolicy", c.DataPolicy, ""},
		scriptKind:   {"ScriptPolicy", c.ScriptPolicy, scriptPolicy},
		documentKind: {"DocumentPolicy", c.DocumentPolicy, documentPolicy},
	} {
		switch {
		case policy.set != "":
			policies[kind] = []string{policy.set}
			err = errors.Join(err, checkPolicy(policy.name, policy.set))
			if strings.Contains(policy.set, "{nonce}") {
				err = errors.Join(err, fmt.Errorf("%s %q has {nonce}, which only HTMLPolicy can have", policy.name, policy.set))
			}
		case policy.otherwise != "":
			policies[kind] = []string{policy.otherwise}
		default:
			policies[kind] = closedPolicy
		}
	}
	return policies, err
}

// checkPolicy returns an error for a policy without frame-ancestors or base-uri, for
// which default-src does not stand in, or without object-src, unless default-src
// is 'none'.
func checkPolicy(what, policy string) error {
	err := checkValue(what, policy)
	has := map[string]bool{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), " ")
		has[strings.ToLower(name)] = true
		if strings.EqualFold(name, "default-src") && strings.TrimSpace(value) == "'none'" {
			has["object-src"] = true
		}
	}
	for _, name := range []string{"frame-ancestors", "base-uri", "object-src"} {
		if !has[name] {
			err = errors.Join(err, fmt.Errorf("%s %q has no %s; add one, such as %s 'none'", what, policy, name, name))
		}
	}
	return err
}

func checkHSTS(d time.Duration) error {
	if d < time.Second {
		return fmt.Errorf("HSTS %v is shorter than a second", d)
	}
	return nil
}

// checkValue returns an error for a header value with other characters than visible
// ASCII and spaces.
func checkValue(what, value string) error {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return fmt.Errorf("%s %q has a character that a header cannot carry", what, value)
		}
	}
	return nil
}

func (s *headerSet) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	if x.page.set == nil {
		x.response.DetectType()
		x.response.Before(pageHeaders{x})
	}
	if host, _, ok := header.SplitHost(r.Host); ok && x.client.https {
		x.page.strict = header.IsDomain(host)
	}
	s.begin(x, w.Header())
	x.page.set = s
	next.serve(x, w, r)
	x.response.Finish()
}

// begin sets the headers that do not depend on the content type, unless they are set by
// something else than an outer SecureHeaders.
func (s *headerSet) begin(x *exchange, head http.Header) {
	if outer := x.page.set; outer != nil {
		deleteSame(head, "Strict-Transport-Security", outer.hsts)
	}
	setDefault(head, "X-Content-Type-Options", nosniff)
	setDefault(head, "Content-Security-Policy", closedPolicy)
	setDefault(head, "Referrer-Policy", apiReferrer)
	setDefault(head, "Cross-Origin-Resource-Policy", corpSameOrigin)
	if x.page.strict {
		setDefault(head, "Strict-Transport-Security", s.hsts)
	}
}

// yield removes the values that begin has set where the handler has added its own, as a
// reverse proxy does.
func (s *headerSet) yield(head http.Header) {
	yield(head, "X-Content-Type-Options", nosniff)
	yield(head, "Content-Security-Policy", closedPolicy)
	yield(head, "Referrer-Policy", apiReferrer)
	yield(head, "Cross-Origin-Resource-Policy", corpSameOrigin)
	yield(head, "Strict-Transport-Security", s.hsts)
}

// yield removes a value of ours that other values follow.
func yield(head http.Header, name string, ours []string) {
	if values := head[name]; len(values) > 1 && values[0] == ours[0] {
		head[name] = values[1:]
	}
}

// pageHeaders is the hook that sets what depends on the content type. It recognizes
// a value that begin has set by its slice; any other one is the handler's.
type pageHeaders struct{ x *exchange }

func (p pageHeaders) BeforeHeader(head http.Header) error {
	x := p.x
	if x.response.Informed() {
		x.page.set.begin(x, head)
	}
	x.page.set.yield(head)
	replace(head, "Cross-Origin-Resource-Policy", corpSameOrigin, x.page.set.resourcePolicy(x.cors))
	kind := typeText(head)
	switch {
	case x.response.Status() == http.StatusNotModified: // a cache would change the stored response
		deleteSame(head, "Content-Security-Policy", closedPolicy)
		deleteSame(head, "Referrer-Policy", apiReferrer)
	case kind != htmlKind:
		replace(head, "Content-Security-Policy", closedPolicy, x.page.set.policies[kind])
	default:
		if same(head["Content-Security-Policy"], closedPolicy) {
			head["Content-Security-Policy"] = []string{strings.Join(x.page.set.policy, x.cspNonce())}
		}
		replace(head, "Referrer-Policy", apiReferrer, htmlReferrer)
		setDefault(head, "Cross-Origin-Opener-Policy", coopSameOrigin)
		setDefault(head, "Permissions-Policy", x.page.set.permissions)
	}
	return nil
}

// kindOf returns the kind of a media type. Those of JavaScript are from the MIME
// Sniffing standard, section 4.6.
func kindOf(mediaType string) contentKind {
	mediaType = strings.ToLower(mediaType)
	switch mediaType {
	case "application/json":
		return dataKind
	case "text/html", "application/xhtml+xml":
		return htmlKind
	case "application/pdf", "text/pdf":
		return documentKind
	}
	_, subtype, _ := strings.Cut(mediaType, "/")
	switch strings.TrimPrefix(subtype, "x-") {
	case "javascript", "ecmascript", "jscript", "livescript",
		"javascript1.0", "javascript1.1", "javascript1.2", "javascript1.3", "javascript1.4", "javascript1.5":
		return scriptKind
	}
	if subtype == "xml" || strings.HasSuffix(subtype, "+xml") {
		return documentKind
	}
	return dataKind
}

// typeText adds the charset to a Content-Type of text or XML that has none. It returns
// the kind of the content.
func typeText(head http.Header) contentKind {
	types := head["Content-Type"]
	if len(types) != 1 {
		return dataKind
	}
	switch types[0] { // most responses
	case "application/json", plainType[0]:
		return dataKind
	case htmlType[0]:
		return htmlKind
	}
	mediaType, params := header.CutParams(types[0])
	if isText(mediaType) && !header.HasParam(params, "charset") {
		head["Content-Type"] = withCharset(types[0])
	}
	return kindOf(mediaType)
}

// deleteSame deletes a header whose value is one and the same slice as value.
func deleteSame(head http.Header, name string, value []string) {
	if same(head[name], value) {
		delete(head, name)
	}
}

// replace replaces a value that is one and the same slice as ours. A map that is full becomes
// a larger one also if the key is there, so nothing is set that stays as it is.
func replace(head http.Header, name string, ours, value []string) {
	if !same(value, ours) && same(head[name], ours) {
		head[name] = value
	}
}

func setDefault(head http.Header, name string, value []string) {
	if _, set := head[name]; !set {
		head[name] = value
	}
}

// isText reports whether a media type is one of text or XML, which need a charset
// [ASVS 5.0 4.1.1]. JSON needs none: it is UTF-8 (RFC 8259).
func isText(mediaType string) bool {
	return len(mediaType) > 5 && strings.EqualFold(mediaType[:5], "text/") ||
		len(mediaType) >= 4 && (strings.EqualFold(mediaType[len(mediaType)-4:], "/xml") || strings.EqualFold(mediaType[len(mediaType)-4:], "+xml"))
}

func withCharset(contentType string) []string {
	switch contentType {
	case "text/html":
		return htmlType
	case "text/plain":
		return plainType
	}
	return []string{strings.TrimRight(contentType, "; ") + "; charset=utf-8"}
}

var plainType = []string{"text/plain; charset=utf-8"}
