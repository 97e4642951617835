package response

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// Pages passes a response on, unless it is a page from a file, as [http.FileServer] writes
// them: a successful response with Last-Modified or Accept-Ranges, whose Content-Type is
// HTML, or whose body begins like HTML if it has none. In place of a page, it writes another
// response.
type Pages struct {
	under   http.ResponseWriter
	before  http.Header // as the handler has found it
	instead func()

	status   int // that the handler has set
	sent     bool
	replaced bool
}

// NewPages returns a Pages in front of w. instead writes the other response to w.
func NewPages(w http.ResponseWriter, instead func()) *Pages {
	return &Pages{under: w, before: maps.Clone(w.Header()), instead: instead}
}

// End sends the header if the handler has written only that. Call it after the handler.
func (p *Pages) End() {
	if p.status != 0 {
		p.send(nil)
	}
}

// send sends the header of the response, or the other response. body is how the body
// begins.
func (p *Pages) send(body []byte) {
	if p.sent {
		return
	}
	p.sent = true
	if p.status == 0 {
		p.status = http.StatusOK
	}
	head := p.under.Header()
	if p.replaced = p.status < 300 && isPage(head, body); !p.replaced {
		p.under.WriteHeader(p.status)
		return
	}
	clear(head)
	maps.Copy(head, p.before)
	p.instead()
}

// isPage reports whether a response is from a file, and HTML to a browser: by its
// Content-Type, or by how its body begins, as net/http finds the type.
func isPage(head http.Header, body []byte) bool {
	declared, has := head["Content-Type"]
	switch {
	case head["Last-Modified"] == nil && head["Accept-Ranges"] == nil:
		return false
	case has && len(declared) > 0:
		mediaType, _ := header.CutParams(declared[0])
		return strings.EqualFold(mediaType, "text/html") || strings.EqualFold(mediaType, "application/xhtml+xml")
	case has || len(body) == 0 || head.Get("Content-Encoding") != "":
		return false
	}
	return strings.HasPrefix(http.DetectContentType(body), "text/html")
}

// Header returns the header of the ResponseWriter beneath.
func (p *Pages) Header() http.Header { return p.under.Header() }

// WriteHeader sends the header, or keeps the status until the body begins if that decides.
// It passes informational statuses on.
func (p *Pages) WriteHeader(status int) {
	switch {
	case status < 200:
		p.under.WriteHeader(status)
	case p.status == 0:
		p.status = status
		if _, typed := p.under.Header()["Content-Type"]; typed || status >= 300 {
			p.send(nil)
		}
	}
}

// Write writes a part of the body.
func (p *Pages) Write(b []byte) (int, error) {
	p.send(b)
	if p.replaced {
		return len(b), nil
	}
	return p.under.Write(b)
}

// Flush sends what was written.
func (p *Pages) Flush() { p.FlushError() }

// FlushError sends what was written.
func (p *Pages) FlushError() error {
	p.send(nil)
	return http.NewResponseController(p.under).Flush()
}

// Hijack takes the connection over from the server.
func (p *Pages) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.sent = true
	return http.NewResponseController(p.under).Hijack()
}

// Unwrap returns the ResponseWriter beneath, for [http.ResponseController].
func (p *Pages) Unwrap() http.ResponseWriter { return p.under }
