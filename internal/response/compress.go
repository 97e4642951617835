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

// minCompress is the shortest length of a body that is compressed, in bytes. A shorter
// one usually fits into the packet of the header.
const minCompress = 1024

// IsShort tells the length of the body that the handler will write, and reports whether
// that is too short to be compressed. Such a response needs no Content-Length: the server
// sets that of a short body itself.
func (w *Writer) IsShort(length int) bool {
	w.short = length < minCompress
	return w.short
}

// Compress makes w compress the response to r, under the rules that Compress of the
// root package documents. If it was called before, it changes nothing and reports
// false.
func (w *Writer) Compress(c *Compression, r *http.Request) bool {
	if w.coding != nil {
		return false
	}
	w.coding, w.accept, w.ranged = c, r.Header["Accept-Encoding"], r.Header["Range"] != nil
	return true
}

// KeepStrongTags makes compression replace a strong ETag by another strong one, that
// of [etag.Coded], and not by a weak one. The handler must accept that one, too.
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

// NewCompression returns a Compression that compresses 16 responses for each
// processor at once, or 64 if that is more. This bounds the memory that clients can
// take that read slowly.
func NewCompression() *Compression {
	c := &Compression{most: int64(max(64, 16*runtime.GOMAXPROCS(0)))}
	c.pools[gzipped].New = func() any {
		enc, err := gzip.NewWriterLevel(nil, gzipLevel)
		return newCompressor(gzipped, enc, err)
	}
	c.pools[zstandard].New = func() any {
		// It encodes one block at a time, on the goroutine that writes. RFC 9659 allows
		// windows of 8 MiB; this one is smaller since each response keeps one.
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		return newCompressor(zstandard, enc, err)
	}
	return c
}

// With 9 kB of JSON, gzip at level 4 takes about the time of the fastest zstd. Higher
// levels take half as much time more, and make the body 8 % shorter.
const (
	gzipLevel  = 4
	zstdWindow = 128 << 10
)

// compressor compresses one response at a time. It holds the body back until the
// body is long enough.
type compressor struct {
	coding  coding
	encoder interface {
		io.WriteCloser
		Flush() error
		Reset(io.Writer)
	}
	held []byte
	used bool // the encoder compresses a response
}

func newCompressor(by coding, encoder interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}, err error) *compressor {
	if err != nil { // impossible: the options are constants
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

// releaseCompressor puts the compressor back for other responses. w.writing is held,
// so that no handler that has outlived its request writes to it.
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

// holds returns the coding that the response will have if its body is long enough,
// which is not known yet. If the header need not wait for that, it returns identity.
func (w *Writer) holds() coding {
	if w.coding == nil || len(w.accept) == 0 || w.isHead || w.short || !bodyAllowed(w.status) {
		return identity
	}
	head := w.under.Header()
	if head["Content-Length"] != nil || !compressible(head, w.ranged) {
		return identity
	}
	return acceptedCoding(w.accept)
}

// hold holds p back if the body is too short to compress so far, and reports whether
// it did.
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

// sendHeld writes what was held back. The header was sent before.
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

// encode decides whether the response is compressed, and changes the header for that.
// long reports whether a body without Content-Length is long enough.
func (w *Writer) encode(head http.Header, long bool) {
	var promised int64
	if length := head["Content-Length"]; len(length) == 1 {
		n, err := strconv.ParseInt(length[0], 10, 64)
		if long = err == nil && n >= minCompress; long {
			promised = n
		}
	}
	if w.status == http.StatusNotModified { // it must have the Vary of the 200 response (RFC 9110, section 15.4.5)
		header.AddVary(head, varyEncoding)
	}
	if !long || w.short || !bodyAllowed(w.status) || !compressible(head, w.ranged) {
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
	w.encoded, w.promised = true, promised
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

// compressible reports whether the response may be compressed, whatever its length.
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
