package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// This file serves the files that the page loads.

// file is a file that the page loads.
type file struct {
	mediaType string
	content   []byte
	zipped    bool // content is compressed by gzip
}

// embedded returns an embedded file of this package.
func embedded(name string) []byte {
	text, err := content.ReadFile(name)
	if err != nil {
		panic("backend: docs: " + err.Error())
	}
	return text
}

// add adds a file and returns its name in URLs, which has the hash of its content.
func (p *page) add(name, mediaType string, content []byte) string {
	sum := sha256.Sum256(content)
	extension := path.Ext(name)
	name = strings.TrimSuffix(name, extension) + "-" + hex.EncodeToString(sum[:8]) + extension
	p.files["/"+name] = &file{mediaType, content, bytes.HasPrefix(content, []byte{0x1f, 0x8b})}
	return name
}

// serve writes the file, compressed if the client accepts that, as all browsers do.
func (f *file) serve(w http.ResponseWriter, r *http.Request) error {
	head := w.Header()
	head.Set("Content-Type", f.mediaType)
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	if f.zipped {
		head.Add("Vary", "Accept-Encoding")
		if !takesGzip(r.Header.Values("Accept-Encoding")) {
			return f.unzip(w)
		}
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("Content-Length", strconv.Itoa(len(f.content)))
	_, err := w.Write(f.content)
	return err
}

func (f *file) unzip(w io.Writer) error {
	reader, err := gzip.NewReader(bytes.NewReader(f.content))
	if err != nil {
		return err
	}
	_, err = io.Copy(w, reader)
	return err
}

// takesGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func takesGzip(accept []string) bool {
	takes, named := false, false
	for item := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		coding, weight, _ := strings.Cut(item, ";")
		switch coding = strings.ToLower(strings.TrimSpace(coding)); {
		case coding == "gzip" || coding == "x-gzip":
			takes, named = wanted(weight), true
		case coding == "*" && !named:
			takes = wanted(weight)
		}
	}
	return takes
}

// wanted reports whether a weight, as in ";q=0.5", is more than 0. A malformed weight is
// not.
func wanted(weight string) bool {
	weight = strings.ToLower(strings.TrimSpace(weight))
	if weight == "" {
		return true
	}
	q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
	return err == nil && q > 0
}
