// Package form reads the bodies of forms: application/x-www-form-urlencoded and
// multipart/form-data (RFC 7578). Files are never whole in memory: what does not fit into
// a small buffer goes to a temporary file, and what is against a limit is not stored.
package form

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/mediatype"
)

// Form is a form as it was sent. It must be closed.
type Form struct {
	Values url.Values
	Files  map[string][]File
	// Wrong lists the files that are against a limit, and are not in Files.
	Wrong []Wrong
	// Sent has the fields for which a file was sent, also one that is wrong, or that was not
	// stored because another one is.
	Sent map[string]bool

	temporary []temporary
}

// temporary is a file on the disk. named says that it has a name there still.
type temporary struct {
	*os.File
	named bool
}

// File is a file of a form. Its content can be read until the form is closed.
type File struct {
	Name, Type string
	Size       int64
	Content    io.ReaderAt
}

// Wrong says what is wrong with a field.
type Wrong struct{ Name, Rule, Message string }

// Files says what files a field of a form may have.
type Files struct {
	Most   int      // how many
	Size   int64    // the most bytes of one; 0: any number
	Accept []string // media types, such as "image/png" or "image/*"; nil: any
}

// Memory counts what the form takes. Use reports whether there are n bytes more.
type Memory interface{ Use(n int64) bool }

// Limits bound what the form takes of what all requests share.
type Limits struct{ Memory, Disk Memory }

// Errors of reading a form. Any other error is that of the body, or of the disk.
var (
	ErrNoMemory = errors.New("there is no memory for the form")
	ErrNoDisk   = errors.New("there is no room for the files of the form")
)

// SyntaxError is the error of a form that cannot be read. Its text is for the client.
type SyntaxError struct{ text string }

func (e *SyntaxError) Error() string { return e.text }

const (
	maxFields = 1000
	maxHead   = 16 << 10 // of the header of a part, and of what comes before it
	partSize  = 200      // about what a part takes besides its header and content
	inMemory  = 32 << 10 // of each file
	sniffed   = 512      // what http.DetectContentType looks at
)

// ParseURLEncoded parses an application/x-www-form-urlencoded body (URL standard, section
// 5.1).
func ParseURLEncoded(body []byte) (url.Values, error) {
	text := string(body)
	if strings.Count(text, "&") >= maxFields {
		return nil, tooMany()
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, &SyntaxError{"has a wrong percent-encoding, or a semicolon"}
	}
	return values, nil
}

func tooMany() error {
	return &SyntaxError{fmt.Sprintf("has more than %d fields", maxFields)}
}

// Fields says what fields a form has that are not text.
type Fields struct {
	Files map[string]Files
	// Ignored reports whether parts with a name are skipped. nil: none are.
	Ignored func(name string) bool
}

// ReadMultipart reads a multipart/form-data body. The fields that are not files are text. The
// form must be closed, also after an error.
func ReadMultipart(body io.Reader, boundary string, fields Fields, limits Limits) (*Form, error) {
	r := &reader{Form: &Form{Values: url.Values{}, Files: map[string][]File{}, Sent: map[string]bool{}}, fields: fields, limits: limits}
	from := &source{body: body}
	parts := multipart.NewReader(from, boundary)
	for n := 0; ; n++ {
		from.bound(maxHead)
		part, err := parts.NextRawPart() // RFC 7578, section 4.7: nothing is decoded
		from.bound(-1)
		switch {
		case err == io.EOF:
			return r.Form, nil
		case from.failed != nil:
			return r.Form, from.failed
		case err != nil:
			return r.Form, &SyntaxError{"is no multipart/form-data with the boundary of its Content-Type"}
		case n >= maxFields:
			return r.Form, tooMany()
		}
		if err := r.part(part); from.failed != nil {
			return r.Form, from.failed
		} else if err == io.ErrUnexpectedEOF {
			return r.Form, &SyntaxError{"ends too early"}
		} else if err != nil {
			return r.Form, err
		}
	}
}

// Close removes the temporary files.
func (f *Form) Close() {
	for _, file := range f.temporary {
		file.Close()
		if file.named {
			os.Remove(file.Name())
		}
	}
	f.temporary = nil
}

// source keeps the error of the body, which package multipart changes, and bounds what
// that package reads for a header: it would hold 10 MiB of it.
type source struct {
	body   io.Reader
	left   int // of the header; negative: any number of bytes
	failed error
}

// bound lets n bytes be read from now on, or any number if n is negative.
func (s *source) bound(n int) { s.left = n }

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.failed = &SyntaxError{"has a part whose header is too long"}
		return 0, s.failed
	}
	if s.left > 0 {
		p = p[:min(len(p), s.left)]
	}
	n, err := s.body.Read(p)
	if s.left > 0 {
		s.left -= n
	}
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

type reader struct {
	*Form
	fields Fields
	limits Limits
	buffer []byte // of copy
}

// copy is io.Copy with the same buffer for all parts.
func (r *reader) copy(to counted, from io.Reader) (int64, error) {
	if r.buffer == nil {
		r.buffer = make([]byte, inMemory)
	}
	return io.CopyBuffer(to, from, r.buffer)
}

// part reads a part to its end.
func (r *reader) part(part *multipart.Part) error {
	err := r.field(part)
	if err == nil {
		_, err = io.Copy(io.Discard, part) // what was not stored
	}
	return err
}

func (r *reader) field(part *multipart.Part) error {
	if !r.limits.Memory.Use(sizeOf(part.Header)) {
		return ErrNoMemory
	}
	name := part.FormName()
	accepted, isFile := r.fields.Files[name]
	switch {
	case name == "":
		return &SyntaxError{"has a part without a name"}
	case isFile:
		return r.file(part, name, accepted)
	case r.fields.Ignored != nil && r.fields.Ignored(name):
		return nil
	case part.FileName() != "":
		r.wrong(name, "format", "must be text, and not a file")
		return nil
	}
	var text bytes.Buffer
	if _, err := r.copy(counted{&text, r.limits.Memory, ErrNoMemory}, part); err != nil {
		return err
	}
	r.Values[name] = append(r.Values[name], text.String())
	return nil
}

// sizeOf returns about how many bytes a part takes besides its content: names and types are
// parts of the header.
func sizeOf(head textproto.MIMEHeader) int64 {
	size := partSize
	for name, values := range head {
		size += len(name)
		for _, value := range values {
			size += len(value)
		}
	}
	return int64(size)
}

func (r *reader) wrong(name, rule, message string) {
	r.Wrong = append(r.Wrong, Wrong{name, rule, message})
}

// file reads a part that is a file. A browser sends a part without a name and content
// for a field in which no file was chosen.
func (r *reader) file(part *multipart.Part, name string, accepted Files) error {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(part, head)
	if err != nil && err != io.EOF && !(err == io.ErrUnexpectedEOF && n > 0) {
		return err
	}
	head = head[:n]
	sent := part.FileName()
	file := File{Name: cleanName(sent)}
	file.Type = mediatype.Of(head, accepted.accepts, part.Header.Get("Content-Type"), mediatype.ByName(file.Name))
	if sent == "" && n == 0 {
		return nil
	}
	r.Sent[name] = true
	switch {
	case sent == "":
		r.wrong(name, "format", "must be a file, with a file name")
	case len(r.Files[name]) >= accepted.Most:
		r.wrong(name, "max", "must not have more than "+english.Count(accepted.Most, "file"))
	case !accepted.accepts(file.Type):
		r.wrong(name, "type", "must be a file of the type "+strings.Join(accepted.Accept, ", "))
	case len(r.Wrong) == 0:
		return r.store(io.MultiReader(bytes.NewReader(head), part), name, accepted, file)
	}
	return nil
}

// accepts reports whether files of a media type are accepted.
func (f Files) accepts(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, "/")
	return f.Accept == nil || slices.Contains(f.Accept, mediaType) || slices.Contains(f.Accept, kind+"/*")
}

// store stores the content of a file: its beginning in memory and, if there is more, all
// of it in a temporary file.
func (r *reader) store(from io.Reader, name string, accepted Files, file File) (err error) {
	if accepted.Size > 0 {
		from = io.LimitReader(from, accepted.Size+1)
	}
	var begin bytes.Buffer
	if _, err = r.copy(counted{&begin, r.limits.Memory, ErrNoMemory}, io.LimitReader(from, inMemory)); err != nil {
		return err
	}
	file.Size, file.Content = int64(begin.Len()), bytes.NewReader(begin.Bytes())
	if file.Size == inMemory {
		if file.Size, file.Content, err = r.spool(io.MultiReader(&begin, from)); err != nil {
			return err
		}
	}
	if accepted.Size > 0 && file.Size > accepted.Size {
		r.wrong(name, "max", "must not be larger than "+Bytes(accepted.Size))
		return nil
	}
	r.Files[name] = append(r.Files[name], file)
	return nil
}

// spool writes to a temporary file, which is removed at once where that is possible: it
// then ends with the process, too.
func (r *reader) spool(from io.Reader) (size int64, content io.ReaderAt, err error) {
	file, err := os.CreateTemp("", "upload-*")
	if err != nil {
		return 0, nil, err
	}
	removed := os.Remove(file.Name())
	r.temporary = append(r.temporary, temporary{file, removed != nil})
	size, err = r.copy(counted{file, r.limits.Disk, ErrNoDisk}, from)
	return size, file, err
}

// counted writes what there is room for.
type counted struct {
	to   io.Writer
	room Memory
	full error
}

func (c counted) Write(p []byte) (int, error) {
	if !c.room.Use(int64(len(p))) {
		return 0, c.full
	}
	return c.to.Write(p)
}

// cleanName returns the last segment of the name of a file, without control characters.
func cleanName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return '_'
		}
		return c
	}, name)
	if name == "." || name == ".." {
		return "_"
	}
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// maxName is the longest name of a file in bytes, as on most disks.
const maxName = 255

// Bytes returns a number of bytes in the largest unit in which it is whole.
func Bytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	unit := 0
	for n >= 1024 && n%1024 == 0 && unit < len(units)-1 {
		n, unit = n/1024, unit+1
	}
	return fmt.Sprintf("%d %s", n, units[unit])
}

// ParseBytes parses a number of bytes, such as "5MiB", "64KiB" or "1000".
func ParseBytes(text string) (n int64, err error) {
	unit := ""
	if _, err := fmt.Sscanf(text, "%d%s", &n, &unit); n <= 0 || err != nil && unit != "" {
		return 0, fmt.Errorf("%q is not a number of bytes, such as 64KiB or 5MiB", text)
	}
	for i, name := range []string{"", "KiB", "MiB", "GiB"} {
		if size := n << (10 * i); name == unit && size>>(10*i) == n && text == fmt.Sprint(n)+unit {
			return size, nil
		}
	}
	return 0, fmt.Errorf("%q is not a number of bytes, such as 64KiB or 5MiB", text)
}
