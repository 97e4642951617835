// Package docs serves a page that shows an OpenAPI description to people and
// lets them try its operations out. It is a separate package because it embeds half a
// megabyte of Swagger UI, which only programs that import it should carry. The page
// loads nothing from other servers.
package docs

import (
	"crypto/rand"
	"embed"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// New returns a handler for a page that shows the description at a path of the same
// origin. Mount it where the page should be:
//
//	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes"}))
//	r.Mount("/docs", docs.New("/openapi.json"))
//
// With other routers, wrap it in [http.StripPrefix]: it serves the page at /, and the
// page's files beside it.
//
// The handler has no access rule. The page and the description tell strangers what
// there is to attack; use middleware of the router to decide who sees them. "Try it out"
// calls the API as any page of this origin does, with the user's cookies. It works only
// if the server in the description is this origin.
//
// The page follows the light or dark mode of the user's system.
//
// Inside [backend.SecureHeaders] or [backend.Stack] the page has their
// Content-Security-Policy, and otherwise a strict one of its own. Neither needs
// 'unsafe-inline' or 'unsafe-eval'. Browsers never store the page. Its files have the
// hash of their content in their names and may be stored for a year.
//
// New panics if description is not a path that begins with one slash. The handler is
// safe for concurrent use.
func New(description string) http.Handler {
	_, err := url.Parse(description)
	if err != nil || !strings.HasPrefix(description, "/") || strings.HasPrefix(description, "//") || strings.Contains(description, `\`) {
		panic(fmt.Sprintf("backend: docs.New(%q): the description must be a path of this origin, such as \"/openapi.json\"", description))
	}
	p := &page{description: description, files: map[string]*file{}}
	p.script = p.add("swagger-ui-bundle.js", "text/javascript; charset=utf-8", embedded("swagger-ui/swagger-ui-bundle.js.gz"))
	p.style = p.add("swagger-ui.css", "text/css; charset=utf-8", embedded("swagger-ui/swagger-ui.css.gz"))
	p.own = p.add("page.css", "text/css; charset=utf-8", embedded("page.css"))
	p.icon = p.add("favicon.png", "image/png", embedded("swagger-ui/favicon-32x32.png"))
	p.start = p.add("start.js", "text/javascript; charset=utf-8", embedded("start.js"))
	return p
}

//go:embed page.html page.css start.js swagger-ui/swagger-ui-bundle.js.gz swagger-ui/swagger-ui.css.gz swagger-ui/favicon-32x32.png
var content embed.FS

// page is the handler.
type page struct {
	description                     string
	files                           map[string]*file // by the path below the page
	script, style, own, icon, start string           // their names there
}

// ServeHTTP serves the page and its files. It never redirects.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	backend.Handler(p.answer).ServeHTTP(w, r)
}

func (p *page) answer(w http.ResponseWriter, r *http.Request) error {
	found, known := p.files[r.URL.Path]
	if !known && r.URL.Path != "/" && r.URL.Path != "" {
		return &backend.Error{Code: backend.NotFound}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return &backend.Error{Code: backend.MethodNotAllowed}
	}
	if known {
		return found.serve(w, r)
	}
	return p.serve(w, r)
}

// serve writes the page.
func (p *page) serve(w http.ResponseWriter, r *http.Request) error {
	text := p.write(below(r), ownPolicy(w, r))
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Cache-Control", "no-store") // for the nonce is good for once
	head.Set("Content-Length", strconv.Itoa(len(text)))
	_, err := io.WriteString(w, text)
	return err
}

// write fills in the page. html/template would add 4 MB to programs that do not use it
// otherwise.
func (p *page) write(base, nonce string) string {
	return strings.NewReplacer(
		"{{description}}", html.EscapeString(p.description), "{{nonce}}", html.EscapeString(nonce),
		"{{icon}}", html.EscapeString(base+p.icon), "{{style}}", html.EscapeString(base+p.style),
		"{{own}}", html.EscapeString(base+p.own), "{{script}}", html.EscapeString(base+p.script), "{{start}}", html.EscapeString(base+p.start),
	).Replace(string(embedded("page.html")))
}

// ownPolicy returns the nonce of the request. Without SecureHeaders it makes a nonce and
// sets a policy.
func ownPolicy(w http.ResponseWriter, r *http.Request) string {
	if nonce := backend.Nonce(r.Context()); nonce != "" {
		return nonce
	}
	var random [16]byte
	rand.Read(random[:])
	nonce := base64.StdEncoding.EncodeToString(random[:])
	head := w.Header()
	head.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	head.Set("Referrer-Policy", "same-origin")
	return nonce
}

// below returns the relative path from the page's URL, as the browser sees it, to its
// files: the last segment, or "" if the URL ends with a slash. So the page need not know
// where it is mounted.
func below(r *http.Request) string {
	asked := r.URL.EscapedPath()
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		asked = u.EscapedPath()
	}
	_, last := path.Split(asked)
	if last == "" {
		return "./"
	}
	return "./" + last + "/" // the dot keeps a colon from making it a scheme
}
