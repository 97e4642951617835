package backend

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/form"
	"github.com/seed-215b9b7c/backend/internal/mediatype"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file has the files that come with forms.

// Upload is a file that a client sends in a form, see [Form]. As a field of an input it
// can say which files it takes, in two tags. What is against them is [Invalid], and is not
// stored:
//
//	type SetPicture struct {
//		Picture backend.Upload   `json:"picture" accept:"image/png,image/jpeg" maxsize:"5MiB"`
//		Papers  []backend.Upload `json:"papers" accept:"application/pdf" maxsize:"1MiB" validate:"max=10"`
//		Caption string           `json:"caption,omitempty" validate:"max=200"`
//	}
//
// accept lists media types, or kinds such as image/*. maxsize is in bytes, KiB, MiB or GiB.
// Without it, only [MaxBody] bounds the file, which is 1 MiB by default. A []Upload has up
// to 20 files, or as many as its rule max says. A field is optional with omitempty or
// omitzero; the zero Upload is no file.
//
// The content can be read until the response is sent, from several goroutines. It is in
// memory up to 32 KiB, and otherwise in a temporary file, which is removed then.
type Upload struct {
	// Name is the name of the file on the client's disk, without directories. It is not
	// safe as a name on the server's disk: it may be that of another file.
	Name string
	// Type is the media type of the content. The type that the client has declared counts
	// only if the content looks like it, so a page of HTML is not an image/png.
	Type string
	// Size is the length in bytes.
	Size int64

	content io.ReaderAt
}

// UploadOf returns an Upload with a name and content, for tests and [Call].
func UploadOf(name string, content []byte) Upload {
	anything := func(string) bool { return true }
	return Upload{Name: name, Type: mediatype.Of(content, anything, mediatype.ByName(name)), Size: int64(len(content)), content: bytes.NewReader(content)}
}

// Reader returns a reader of the content from its beginning. Readers are independent of each
// other.
func (u Upload) Reader() *io.SectionReader {
	if u.content == nil {
		return io.NewSectionReader(bytes.NewReader(nil), 0, 0)
	}
	return io.NewSectionReader(u.content, 0, u.Size)
}

// MarshalText writes what tells the Upload from others, with a hash of its content. It
// makes inputs with an Upload comparable, for [Idempotent].
func (u Upload) MarshalText() ([]byte, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, u.Reader()); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s %x", u.Type, u.Name, hash.Sum(nil)), nil
}

// UnmarshalText returns an error: a file comes with a form, and is never text.
func (u *Upload) UnmarshalText([]byte) error {
	return &Error{Code: Invalid, Message: "must be a file of a form"}
}

// maxUploads is how many files a []Upload has without a rule max.
const maxUploads = 20

// maxRoom bounds the default of MaxBody.
const maxRoom = 1 << 40

// roomOf returns how many bytes the files of a field may have together, at most maxRoom.
func roomOf(accepted form.Files) int64 {
	if most := int64(max(accepted.Most, 1)); accepted.Size <= maxRoom/most {
		return accepted.Size * most
	}
	return maxRoom
}

// filesOf returns what files a field takes. It reports whether the field has files.
func filesOf(field *plan.Field) (accepted form.Files, isFile bool, err error) {
	accepted.Most = 1
	switch list := field.Type; {
	case plan.IsUpload(list.Go):
	case list.Kind == plan.Slice && plan.IsUpload(list.Elem.Go):
		accepted.Most = maxUploads
		if most := validation.ConstraintsOf(field).MaxItems; most != nil {
			accepted.Most = int(min(*most, math.MaxInt32))
		}
	case plan.IsUpload(field.Type.Base().Go):
		return accepted, true, errors.New("a pointer to a backend.Upload, or an Opt with one: use backend.Upload with omitzero")
	case field.Accept != "" || field.MaxSize != "":
		return accepted, false, errors.New("the tags accept and maxsize are for a backend.Upload")
	default:
		return accepted, false, nil
	}
	if field.MaxSize != "" {
		if accepted.Size, err = form.ParseBytes(field.MaxSize); err != nil {
			return accepted, true, fmt.Errorf("maxsize:%q: %w", field.MaxSize, err)
		}
	}
	if field.Accept == "" {
		return accepted, true, nil
	}
	for name := range strings.SplitSeq(field.Accept, ",") {
		name = strings.TrimSpace(name)
		if parsed, params, err := mime.ParseMediaType(name); err != nil || parsed != name || len(params) > 0 || !strings.Contains(name, "/") || strings.HasPrefix(name, "*") {
			return accepted, true, fmt.Errorf("accept:%q: %q is not a media type in lower case, such as image/png or image/*", field.Accept, name)
		}
		accepted.Accept = append(accepted.Accept, name)
	}
	return accepted, true, nil
}
