package backend

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

// This file compresses responses. It does not decompress requests: a small
// request that grows to gigabytes is an attack the package does not offer.

// minCompress is the length in bytes from which a body is worth compressing: a
// shorter one fits into the packet that carries the header anyway.
const minCompress = 1024

// Compress returns middleware that compresses response bodies with zstd or
// gzip, whichever the client's Accept-Encoding prefers (RFC 9110 section
// 12.5.3); zstd if it likes both the same.
//
// A response is left alone
//   - if its body is shorter than 1 KiB;
//   - if its content type is compressed already (images, video, archives), or
//     unknown, or text/event-stream, whose connections are many, long and idle
//     while a compressor takes up to a megabyte;
//   - if it has a Content-Encoding, a Content-Range, a Content-Digest, a
//     Trailer, or Cache-Control: no-transform;
//   - if it answers HEAD or a request with a Range, or has no body by its status;
//   - if 16 responses per processor, at least 64, are being compressed already,
//     which bounds memory against clients that read slowly.
//
// Where the choice depended on the request, Vary says so. A compressed response
// loses its Content-Length and Accept-Ranges, and a strong ETag becomes a weak
// one, because its bytes are others (RFC 9110 section 8.8.3.3); the ETag of
// [Logic.REST] becomes another strong one, which its If-Match knows. Flush sends
// what was written so far, compressed.
//
// A page that shows a secret beside text the requester chose, over TLS, tells
// the secret by its compressed length to those who can make many requests and
// watch (BREACH). Tokens that change with every response, as the nonce of
// [Nonce] does, are not exposed; for others, answer with
// Cache-Control: no-transform.
func Compress() Middleware {
	c := newCompression()
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if x.coding != nil { // compressed outside already
			next.ServeHTTP(w, r)
			return
		}
		x.coding, x.accept, x.ranged = c, r.Header["Accept-Encoding"], r.Header["Range"] != nil
		done := false
		defer func() {
			if !done { // a panic: what is held back is not the answer
				x.abandon()
			}
		}()
		next.ServeHTTP(w, r)
		x.finish()
		done = true
	})
}

// A coding is a content coding of RFC 9110 section 8.4.1.
type coding uint8

const (
	identity coding = iota
	gzipped
	zstandard

	codingCount
)

var contentEncoding = [codingCount][]string{gzipped: {"gzip"}, zstandard: {"zstd"}}

// compression keeps the compressors of one middleware for the next request:
// making one costs more than most responses.
type compression struct {
	pools  [codingCount]sync.Pool
	active atomic.Int64 // compressors in use
	most   int64
}

// take returns a compressor, or nil if too many are in use.
func (c *compression) take(by coding) *compressor {
	if c.active.Add(1) > c.most {
		c.active.Add(-1)
		return nil
	}
	return c.pools[by].Get().(*compressor)
}

// put takes a compressor back.
func (c *compression) put(z *compressor) {
	c.active.Add(-1)
	c.pools[z.coding].Put(z)
}

func newCompression() *compression {
	c := &compression{most: int64(max(64, 16*runtime.GOMAXPROCS(0)))}
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
		panic("backend: Compress: " + err.Error())
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

// releaseCompressor gives the compressor back, empty. x.writing is held, so
// that no write of a handler which outlived its request is still inside.
func (x *exchange) releaseCompressor() {
	c := x.compress
	if c == nil {
		return
	}
	x.compress = nil
	c.held = c.held[:0]
	if c.used {
		c.encoder.Reset(nil)
		c.used = false
	}
	x.coding.put(c)
}

// abandon ends compression without ending the response.
func (x *exchange) abandon() {
	x.writing.Lock()
	defer x.writing.Unlock()
	x.releaseCompressor()
	if !x.committed {
		x.coding = nil
	}
	x.finished = x.committed
}

// holds returns the coding for which the header has to wait for the length of
// the body: compression is possible and its length is unknown. Otherwise it
// returns identity.
func (x *exchange) holds() coding {
	if x.coding == nil || x.head || !bodyAllowed(x.status) {
		return identity
	}
	head := x.w.Header()
	if head["Content-Length"] != nil || !compressible(head, x.ranged) {
		return identity
	}
	return acceptedCoding(x.accept)
}

// hold keeps p back while the body is too short to compress, and reports
// whether it did.
func (x *exchange) hold(p []byte) bool {
	if x.compress == nil {
		if len(p) >= minCompress {
			return false
		}
		by := x.holds()
		if by == identity {
			return false
		}
		if x.compress = x.coding.take(by); x.compress == nil {
			return false
		}
	}
	if len(x.compress.held)+len(p) >= minCompress {
		return false
	}
	x.compress.held = append(x.compress.held, p...)
	return true
}

// sendHeld writes what was held back, after the header.
func (x *exchange) sendHeld() error {
	c := x.compress
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
		_, err = rawBody{x}.Write(c.held)
	}
	x.releaseCompressor()
	return err
}

// encode decides about compression and edits the header accordingly. long
// speaks for a body without Content-Length.
func (x *exchange) encode(head http.Header, long bool) {
	if length := head["Content-Length"]; len(length) == 1 {
		n, err := strconv.ParseInt(length[0], 10, 64)
		long = err == nil && n >= minCompress
	}
	if x.status == http.StatusNotModified { // has the Vary of the response it stands for
		header.AddVary(head, varyEncoding)
	}
	if !long || !bodyAllowed(x.status) || !compressible(head, x.ranged) {
		return
	}
	header.AddVary(head, varyEncoding)
	by := acceptedCoding(x.accept)
	if by == identity || x.head {
		return
	}
	if x.compress == nil {
		if x.compress = x.coding.take(by); x.compress == nil {
			return
		}
	}
	x.compress.encoder.Reset(rawBody{x})
	x.compress.used = true
	x.encoded = true
	head["Content-Encoding"] = contentEncoding[by]
	delete(head, "Content-Length")
	delete(head, "Accept-Ranges")
	if tag := head["Etag"]; len(tag) == 1 && etag.IsStrong(tag[0]) {
		if x.versioned {
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

// acceptedCoding returns the coding that Accept-Encoding lines prefer, of those
// we have. Without the header, and where it cannot be read, that is identity:
// RFC 9110 allows any then, but clients who say nothing seldom decode.
func acceptedCoding(lines []string) coding {
	weights := codingWeights(lines)
	best, most := identity, weights[identity]
	for _, c := range [...]coding{zstandard, gzipped} {
		// A coding named beside identity at the same weight is welcome.
		if weight := weights[c]; weight > 0 && (weight > most || weight == most && best == identity) {
			best, most = c, weight
		}
	}
	return best
}

// contentCodings are the names of all codings but identity.
var contentCodings = []string{contentEncoding[gzipped][0], contentEncoding[zstandard][0]}

// acceptableCodings returns those of contentCodings that Accept-Encoding lines
// allow.
func acceptableCodings(lines []string) (names []string) {
	for c, weight := range codingWeights(lines) {
		if coding(c) != identity && weight > 0 {
			names = append(names, contentEncoding[c][0])
		}
	}
	return names
}

// codingWeights returns what Accept-Encoding lines say of each coding, in
// thousandths; 0 is not at all, or for identity nothing in particular.
func codingWeights(lines []string) (weights [codingCount]int) {
	const unsaid = -1
	weights[gzipped], weights[zstandard] = unsaid, unsaid
	others := 0
	for c := header.Choices(lines); c.Next(); {
		switch {
		case c.Params: // codings have none
		case c.Value == "*":
			others = c.Weight
		case strings.EqualFold(c.Value, "gzip"), strings.EqualFold(c.Value, "x-gzip"):
			weights[gzipped] = c.Weight
		case strings.EqualFold(c.Value, "zstd"):
			weights[zstandard] = c.Weight
		case strings.EqualFold(c.Value, "identity"):
			weights[identity] = c.Weight
		}
	}
	for c, weight := range weights {
		if weight == unsaid {
			weights[c] = others
		}
	}
	return weights
}

var varyEncoding = []string{"Accept-Encoding"}
