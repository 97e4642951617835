package response

import (
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/header"
)

// minCompress is the length in bytes from which a body is worth compressing: a
// shorter one fits into the packet that carries the header anyway.
const minCompress = 1024

// Compress makes the Writer compress the response to r, where the rules of Compress
// in the root package allow it. It reports false, and changes nothing, if it has
// been called before.
func (w *Writer) Compress(c *Compression, r *http.Request) bool {
	if w.coding != nil {
		return false
	}
	w.coding, w.accept, w.ranged = c, r.Header["Accept-Encoding"], r.Header["Range"] != nil
	return true
}

// KeepStrongTags makes compression turn a strong ETag into another strong one, by
// [etag.Coded], and not into a weak one. It is for handlers that recognize those.
func (w *Writer) KeepStrongTags() { w.strongTags = true }

// Compression keeps compressors for the next response: making one costs more than
// most responses. It is safe for concurrent use.
type Compression struct {
	pools  [codingCount]sync.Pool
	active atomic.Int64 // compressors in use
	most   int64
}

// take returns a compressor, or nil if too many are in use.
func (c *Compression) take(by coding) *compressor {
	if c.active.Add(1) > c.most {
		c.active.Add(-1)
		return nil
	}
	return c.pools[by].Get().(*compressor)
}

// put takes a compressor back.
func (c *Compression) put(z *compressor) {
	c.active.Add(-1)
	c.pools[z.coding].Put(z)
}

// NewCompression returns a Compression of which 16 compressors per processor, at
// least 64, can be in use at once. It bounds memory against clients that read slowly.
func NewCompression() *Compression {
	c := &Compression{most: int64(max(64, 16*runtime.GOMAXPROCS(0)))}
	c.pools[gzipped].New = func() any {
		enc, err := gzip.NewWriterLevel(nil, gzipLevel)
		return newCompressor(gzipped, enc, err)
	}
	c.pools[zstandard].New = func() any {
		// One block at a time, on the goroutine that writes. The window is within the
		// 8 MiB that RFC 9659 allows on the web, and small because one is kept per
		// response.
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		return newCompressor(zstandard, enc, err)
	}
	return c
}

// Level 4 and the fastest zstd cost about the same; higher levels cost half as
// much again for 8 % less, measured on 9 kB of JSON.
const (
	gzipLevel  = 4
	zstdWindow = 128 << 10
)

// compressor compresses one response. Until the body is long enough it only
// holds it back.
type compressor struct {
	coding  coding
	encoder interface {
		io.WriteCloser
		Flush() error
		Reset(io.Writer)
	}
	held []byte
	used bool // the encoder has a response
}

func newCompressor(by coding, encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}, err error) *compressor {
	if err != nil { // the options above are constants
		panic("compress: " + err.Error())
	}
	return &compressor{coding: by, encoder: encoder, held: make([]byte, 0, minCompress)}
}

func (c *compressor) Write(p []byte) (int, error) { return c.encoder.Write(p) }

func (c *compressor) Flush() error { return c.encoder.Flush() }

func (c *compressor) Close() {
	if c.used {
		c.encoder.Close()
	}
}

// releaseCompressor gives the compressor back, empty. w.writing is held, so
// that no write of a handler which outlived its request is still inside.
func (w *Writer) releaseCompressor() {
	c := w.compress
	if c == nil {
		return
	}
	w.compress = nil
	c.held = c.held[:0]
	if c.used {
		c.encoder.Reset(nil)
		c.used = false
	}
	w.coding.put(c)
}

// holds returns the coding for which the header has to wait for the length of
// the body: compression is possible and its length is unknown. Otherwise it
// returns identity.
func (w *Writer) holds() coding {
	if w.coding == nil || w.isHead || !bodyAllowed(w.status) {
		return identity
	}
	head := w.under.Header()
	if head["Content-Length"] != nil || !compressible(head, w.ranged) {
		return identity
	}
	return acceptedCoding(w.accept)
}

// hold keeps p back while the body is too short to compress, and reports
// whether it did.
func (w *Writer) hold(p []byte) bool {
	if w.compress == nil {
		if len(p) >= minCompress {
			return false
		}
		by := w.holds()
		if by == identity {
			return false
		}
		if w.compress = w.coding.take(by); w.compress == nil {
			return false
		}
	}
	if len(w.compress.held)+len(p) >= minCompress {
		return false
	}
	w.compress.held = append(w.compress.held, p...)
	return true
}

// sendHeld writes what was held back, after the header.
func (w *Writer) sendHeld() error {
	c := w.compress
	if c == nil {
		return nil
	}
	var err error
	if c.used {
		_, err = c.encoder.Write(c.held)
		c.held = c.held[:0]
		return err
	}
	if len(c.held) > 0 {
		_, err = rawBody{w}.Write(c.held)
	}
	w.releaseCompressor()
	return err
}

// encode decides about compression and edits the header accordingly. long
// speaks for a body without Content-Length.
func (w *Writer) encode(head http.Header, long bool) {
	if length := head["Content-Length"]; len(length) == 1 {
		n, err := strconv.ParseInt(length[0], 10, 64)
		long = err == nil && n >= minCompress
	}
	if w.status == http.StatusNotModified { // has the Vary of the response it stands for
		header.AddVary(head, varyEncoding)
	}
	if !long || !bodyAllowed(w.status) || !compressible(head, w.ranged) {
		return
	}
	header.AddVary(head, varyEncoding)
	by := acceptedCoding(w.accept)
	if by == identity || w.isHead {
		return
	}
	if w.compress == nil {
		if w.compress = w.coding.take(by); w.compress == nil {
			return
		}
	}
	w.compress.encoder.Reset(rawBody{w})
	w.compress.used = true
	w.encoded = true
	head["Content-Encoding"] = contentEncoding[by]
	delete(head, "Content-Length")
	delete(head, "Accept-Ranges")
	if tag := head["Etag"]; len(tag) == 1 && etag.IsStrong(tag[0]) {
		if w.strongTags {
			head["Etag"] = []string{etag.Coded(tag[0], contentEncoding[by][0])}
		} else {
			head["Etag"] = []string{etag.Weak(tag[0])}
		}
	}
}

// compressible reports whether the rules of Compress, apart from the length,
// let the response be compressed.
func compressible(head http.Header, ranged bool) bool {
	if ranged || head["Content-Encoding"] != nil || head["Content-Range"] != nil || head["Content-Digest"] != nil || head["Trailer"] != nil {
		return false
	}
	if header.Contains(head["Cache-Control"], "no-transform") {
		return false
	}
	types := head["Content-Type"]
	return len(types) == 1 && compressibleType(types[0])
}

// compressibleType reports whether bodies of the content type usually shrink.
func compressibleType(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	if strings.HasPrefix(mediaType, "text/") {
		return mediaType != "text/event-stream"
	}
	if strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml") {
		return true
	}
	switch mediaType {
	case "application/json", "application/x-ndjson", "application/jsonl", "application/xml", "application/javascript",
		"application/wasm", "application/graphql", "application/yaml", "image/bmp", "font/ttf", "font/otf":
		return true
	}
	return false
}

var varyEncoding = []string{"Accept-Encoding"}
