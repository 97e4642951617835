package backend

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/mediatype"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file has the outputs of operations that are not JSON: files and redirects.

// File is an output that is a file: a download, an image, a page of CSV. Only REST offers an
// operation that returns a File. [Produces] says in the description of the API, and to
// clients that send Accept, which types it has.
//
//	func (a *App) Export(ctx context.Context, in Export) (backend.File, error) {
//		f, err := a.dir.Open(in.ID.String() + ".pdf") // an *os.Root
//		return backend.File{Name: "invoice.pdf", Body: f}, err
//	}
//
// Body and Write are used when the call has succeeded and its transaction has ended, so the
// context of the call has ended, too. A file is streamed, and never whole in memory.
// The zero File is empty.
//
// A browser that opens the response saves it, unless Inline is set. Content that browsers
// run scripts in, such as HTML and SVG, has a Content-Security-Policy with sandbox: a page
// that a user has uploaded can do nothing in the name of the site. X-Content-Type-Options
// is nosniff. But pages of the site can load a file with the type text/javascript as a
// script: do not send what users have uploaded with this type.
type File struct {
	// Name is the name under which browsers save the file. Slashes in it become
	// underscores. Defaults to the last segment of the URL, which browsers use.
	Name string
	// Type is the media type. Defaults to the type that the extension of Name stands for,
	// and otherwise to application/octet-stream.
	Type string
	// Inline lets browsers show the content instead of saving it.
	Inline bool
	// Body is the content. If it is an [io.Seeker], such as an [os.File] or a
	// [bytes.Reader], it is sent from its beginning, with its length, and a query can
	// send a part of it (Range, RFC 9110, section 14; of several ranges, the whole). If it
	// is an [io.Closer], it is closed once, also if the call fails after the function has
	// returned it without an error.
	Body io.Reader
	// Write writes the content, instead of Body. ctx is that of the request, with the
	// caller, and is outside of any transaction; Write can query the database. If Write
	// fails after it has written, the connection is aborted, so that the client does not
	// take the part for the whole; so it is if Body fails. w must not be used after Write
	// has returned.
	Write func(ctx context.Context, w io.Writer) error
	// Size is the length in bytes of a Body that is no io.Seeker, or of what Write
	// writes. Another length is an error. 0 means unknown.
	Size int64
	// Modified is sent as Last-Modified, and compared with If-Modified-Since. The zero
	// time is not sent.
	Modified time.Time
	// ETag is the version of the content, without quotes. It is compared as that of
	// other outputs, see the section REST responses of the package documentation. Empty
	// means none.
	ETag string
}

// Redirect is an output that sends the client to another URL. Only REST offers an operation
// that returns a Redirect. The status is 303 for a mutation, so that the client sends a GET,
// and 302 for a query.
//
//	return backend.Redirect{To: "/notes/" + note.ID.String()}, nil
type Redirect struct {
	// To is a path of this server, as the client sees it: it has the prefix at which the
	// door is mounted. It may have a query string and a fragment. Anything else, such
	// as "//example.com", fails the call: a URL that comes from the request could lead
	// to the site of an attacker.
	To string
	// External is an absolute URL with http or https, instead of To. It must not come
	// from the request.
	External string
	// Permanent lets the client use the new URL from now on: the status is 308 for a
	// mutation, whose method and body are sent again, and 301 for a query.
	Permanent bool
}

// content is an output that is not JSON.
type content interface {
	// prepare checks the content, in the transaction. types are those of [Produces].
	prepare(types []string) error
	// tag returns its ETag, or "".
	tag() string
	// send writes the response. status is that of the operation.
	send(w http.ResponseWriter, r *http.Request, status int) error
	// close closes what is open. It may be called several times.
	close()
}

// isContent reports whether outputs of a type are content.
func isContent(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[content]())
}

func (f *File) prepare(types []string) error {
	f.Type = cmp.Or(f.Type, mediatype.ByName(f.Name))
	mediaType, _, err := mime.ParseMediaType(f.Type)
	if err != nil {
		return fmt.Errorf("backend.File: the type %q: %w", f.Type, err)
	}
	if len(types) > 0 && !slices.Contains(types, mediaType) {
		return fmt.Errorf("backend.File: the type %q is not one of Produces(%q); add it there, so that the description of the API has it", f.Type, types)
	}
	if f.Body != nil && f.Write != nil {
		return errors.New("backend.File has Body and Write; set one of them")
	}
	if seeker, ok := f.Body.(io.Seeker); ok {
		if f.Size, err = seeker.Seek(0, io.SeekEnd); err == nil {
			_, err = seeker.Seek(0, io.SeekStart)
		}
	}
	return err
}

func (f *File) tag() string {
	if f.ETag == "" {
		return ""
	}
	tag, _ := etag.Quote(f.ETag)
	return tag
}

func (f *File) close() {
	if closer, ok := f.Body.(io.Closer); ok {
		closer.Close() // it was only read
	}
	f.Body = nil
}

func (f *File) send(w http.ResponseWriter, r *http.Request, status int) error {
	f.describe(w.Header())
	plain := status == http.StatusOK && (r.Method == http.MethodGet || r.Method == http.MethodHead)
	if body, ok := f.Body.(io.ReadSeeker); ok && plain {
		return serveContent(&contentWriter{}, w, r, f.Modified, body)
	}
	if plain && f.isKnown(r) {
		w.Header().Del("Content-Type") // as ServeContent does
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if f.Size > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(f.Size, 10))
	}
	to := &fileWriter{w: w, status: status, size: f.Size}
	if r.Method != http.MethodHead {
		if err := f.writeTo(r.Context(), to); err != nil {
			return endPart(w, r, to.begun, err)
		}
	}
	to.begin()
	return nil
}

// isKnown reports whether the client has the content, by If-Modified-Since (RFC 9110, section
// 13.1.3).
func (f *File) isKnown(r *http.Request) bool {
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && r.Header["If-None-Match"] == nil && !f.Modified.IsZero() && !f.Modified.Truncate(time.Second).After(since)
}

// describe sets the headers that describe the content.
func (f *File) describe(head http.Header) {
	head["Content-Type"] = []string{f.Type}
	head["X-Content-Type-Options"] = nosniff
	if f.Name != "" || !f.Inline {
		head["Content-Disposition"] = []string{header.Disposition(f.Inline, f.Name)}
	}
	if mediaType, _, err := mime.ParseMediaType(f.Type); err == nil && mediatype.IsActive(mediaType) {
		head["Content-Security-Policy"] = filePolicy
	}
	if !f.Modified.IsZero() {
		head.Set("Last-Modified", f.Modified.UTC().Format(http.TimeFormat))
	}
}

// filePolicy keeps scripts of a file from running, and the file from loading anything.
var filePolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; sandbox"}

// writeTo writes the content. An error of the client's connection is [Canceled].
func (f *File) writeTo(ctx context.Context, to *fileWriter) (err error) {
	switch {
	case f.Write != nil:
		err = f.Write(ctx, to)
	case f.Body != nil:
		_, err = io.Copy(to, f.Body)
	}
	switch {
	case to.failed != nil: // the client has gone away, or does not read
		return (&Error{Code: Canceled}).Wrap(to.failed)
	case err == nil && to.size > 0 && to.written != to.size:
		err = fmt.Errorf("backend.File: Size is %d, but the content has %d bytes", to.size, to.written)
	}
	return err
}

// fileWriter is a response whose header is sent with the first byte, so that an error before
// it can be answered.
type fileWriter struct {
	w             http.ResponseWriter
	status        int
	size, written int64 // size is 0 if it is unknown
	begun         bool
	failed        error
}

func (f *fileWriter) begin() {
	if !f.begun {
		f.begun = true
		f.w.WriteHeader(f.status)
	}
}

func (f *fileWriter) Write(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.size > 0 && int64(len(p)) > f.size-f.written {
		return 0, fmt.Errorf("backend.File: the content has more bytes than its Size, %d", f.size)
	}
	f.begin()
	if n, err = f.w.Write(p); err != nil && f.failed == nil {
		f.failed = err
	}
	f.written += int64(n)
	return n, err
}

// endPart returns the error of content that was sent in part if begun is set. Without
// middleware, which would see that, it aborts the connection.
func endPart(w http.ResponseWriter, r *http.Request, begun bool, err error) error {
	if begun && response.Of(w) == nil {
		reportError(w, r, Internal, err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// serveContent is [http.ServeContent] for content whose headers are set and whose ETag was
// compared. It returns errors instead of answering them, also that of content which ends
// too early: if the response is compressed, the client would take the part for the whole.
// to is a new contentWriter.
func serveContent(to *contentWriter, w http.ResponseWriter, r *http.Request, modified time.Time, body io.ReadSeeker) error {
	to.ResponseWriter = w
	http.ServeContent(to, servable(r), "", modified, body)
	if err := to.err(r); err != nil {
		return endPart(w, r, to.status < 400, err)
	}
	return nil
}

// servable returns the request that [http.ServeContent] can answer.
//
//   - A date counts only in a request without the condition on ETags in its place, and
//     those were compared (RFC 9110, section 13.2.2).
//   - A Range in another unit than bytes is ignored (RFC 9110, section 14.2), and so is one
//     with several ranges, as a server may do. ServeContent would read them on another goroutine,
//     where a panic of the content ends the process.
func servable(r *http.Request) *http.Request {
	var unwanted []string
	if r.Header["If-Match"] != nil {
		unwanted = append(unwanted, "If-Match", "If-Unmodified-Since")
	}
	if r.Header["If-None-Match"] != nil {
		unwanted = append(unwanted, "If-None-Match", "If-Modified-Since")
	}
	if ranges := r.Header["Range"]; ranges != nil && !isOneRange(ranges) {
		unwanted = append(unwanted, "Range")
	}
	if unwanted == nil {
		return r
	}
	changed := *r
	changed.Header = maps.Clone(r.Header)
	for _, name := range unwanted {
		delete(changed.Header, name)
	}
	return &changed
}

func isOneRange(lines []string) bool {
	return len(lines) == 1 && strings.HasPrefix(lines[0], "bytes=") && !strings.Contains(lines[0], ",")
}

// contentWriter is the response that [http.ServeContent] writes to. It keeps an error that
// ServeContent answers.
type contentWriter struct {
	http.ResponseWriter
	status int
	text   []byte // of the error
	failed error  // of the content, or of the connection
}

func (c *contentWriter) WriteHeader(status int) {
	if c.status = status; status < 400 {
		c.ResponseWriter.WriteHeader(status)
	}
}

func (c *contentWriter) Write(p []byte) (int, error) {
	if c.status >= 400 {
		c.text = append(c.text, p...)
		return len(p), nil
	}
	return c.ResponseWriter.Write(p)
}

// ReadFrom lets the server copy a file to the connection without copying it through memory.
func (c *contentWriter) ReadFrom(src io.Reader) (n int64, err error) {
	n, err = io.Copy(c.ResponseWriter, src)
	if limited, ok := src.(*io.LimitedReader); ok && err == nil && limited.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	c.failed = err
	return n, err
}

// Unwrap returns the ResponseWriter beneath, for [http.ResponseController].
func (c *contentWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// err returns the error that the request deserves, or that kept the content from being sent.
func (c *contentWriter) err(r *http.Request) error {
	switch text := string(bytes.TrimSpace(c.text)); {
	case c.status == http.StatusPreconditionFailed:
		return &Error{Code: PreconditionFailed}
	case c.status == http.StatusRequestedRangeNotSatisfiable && strings.HasPrefix(text, "invalid range"):
		return &unsatisfiable{&Error{Code: Malformed, Message: "The content does not have the bytes that the header Range asks for."}}
	case c.status >= 400:
		return errors.New(text)
	case c.failed != nil && r.Context().Err() != nil: // the client has gone away, or does not read
		return (&Error{Code: Canceled}).Wrap(c.failed)
	case c.failed != nil:
		return fmt.Errorf("the content was sent in part: %w", c.failed)
	}
	return nil
}

func (d *Redirect) prepare([]string) error {
	switch {
	case d.To != "" && d.External != "":
		return errors.New("backend.Redirect has To and External; set one of them")
	case d.External != "":
		if u, err := url.Parse(d.External); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || unfitURL(d.External) {
			return fmt.Errorf("backend.Redirect: External is %q; it must be an absolute URL with http or https", d.External)
		}
	case !isLocalPath(d.To):
		return fmt.Errorf("backend.Redirect: To is %q; it must be a path of this server, such as \"/notes\"; External is for other sites", d.To)
	}
	return nil
}

// isLocalPath reports whether a browser takes to for a path of the same origin. It reads
// "//host" and "/\host" as other hosts (URL standard, section 4.4).
func isLocalPath(to string) bool {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, `\`) || unfitURL(to) {
		return false
	}
	u, err := url.Parse(to)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// unfitURL reports whether a URL has control characters, which browsers remove.
func unfitURL(u string) bool {
	return strings.ContainsFunc(u, func(c rune) bool { return c < ' ' || c == 0x7f })
}

func (*Redirect) tag() string { return "" }
func (*Redirect) close()      {}

func (d *Redirect) send(w http.ResponseWriter, _ *http.Request, status int) error {
	if d.Permanent {
		status = permanent[status]
	}
	w.Header().Set("Location", header.EscapeURL(cmp.Or(d.To, d.External)))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return nil
}

// permanent has the statuses of permanent redirects beside those of others (RFC 9110,
// section 15.4).
var permanent = map[int]int{http.StatusFound: http.StatusMovedPermanently, http.StatusSeeOther: http.StatusPermanentRedirect}
