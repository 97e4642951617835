package backend

import (
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
// run scripts in, such as HTML and SVG, has a Content-Security-Policy with sandbox: a file
// that a user has uploaded can do nothing in the name of the site. X-Content-Type-Options
// is nosniff.
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
	// send parts of it (Range, RFC 9110, section 14). If it is an [io.Closer], it is
	// closed once, also if the call fails after the function has returned it.
	Body io.Reader
	// Write writes the content, instead of Body. ctx is that of the request, with the
	// caller, and is outside of any transaction; Write can query the database. If Write
	// fails after it has written, the connection is aborted, so that the client does not
	// take the part for the whole.
	Write func(ctx context.Context, w io.Writer) error
	// Size is the length in bytes of a Body that is no io.Seeker, or of what Write
	// writes. 0 means unknown.
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
	if body, ok := f.Body.(io.ReadSeeker); ok && status == http.StatusOK && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		http.ServeContent(w, withoutMatch(r), "", f.Modified, body)
		return nil
	}
	if f.Size > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(f.Size, 10))
	}
	to := &fileWriter{w: w, status: status}
	if r.Method != http.MethodHead {
		if err := f.writeTo(r.Context(), to); err != nil {
			return err
		}
	}
	to.begin()
	return nil
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
	if to.failed != nil { // the client has gone away, or does not read
		return (&Error{Code: Canceled}).Wrap(to.failed)
	}
	return err
}

// fileWriter is a response whose header is sent with the first byte, so that an error before
// it can be answered.
type fileWriter struct {
	w      http.ResponseWriter
	status int
	begun  bool
	failed error
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
	f.begin()
	if n, err = f.w.Write(p); err != nil && f.failed == nil {
		f.failed = err
	}
	return n, err
}

// withoutMatch returns a request without If-Match, which was checked, and with it without
// If-Unmodified-Since (RFC 9110, section 13.1.4). ServeContent would check it again, and knows
// no compressed versions.
func withoutMatch(r *http.Request) *http.Request {
	if r.Header["If-Match"] == nil {
		return r
	}
	inner := *r
	inner.Header = maps.Clone(r.Header)
	delete(inner.Header, "If-Match")
	delete(inner.Header, "If-Unmodified-Since")
	return &inner
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
