package backend

import (
	"net/http"

	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file compresses responses. It does not decompress requests: a small request
// could become gigabytes.

// Compress returns middleware that compresses response bodies with zstd or gzip. It
// takes the one that Accept-Encoding prefers (RFC 9110, section 12.5.3), or else zstd.
//
// It does not compress a response
//   - whose body is shorter than 1 KiB;
//   - whose content type is unknown or usually compressed already, as those of
//     images, videos and archives;
//   - whose content type is text/event-stream: such connections are many, long and
//     idle, and each would keep a compressor of up to a megabyte;
//   - with Content-Encoding, Content-Range, Content-Digest, Trailer, or
//     Cache-Control: no-transform;
//   - to a HEAD request or a request with Range, or without a body by its status;
//   - while 16 other responses for each processor, or 64 if that is more, are being
//     compressed: this bounds the memory that slow clients can use.
//
// If the choice depended on Accept-Encoding, Vary has it. The response to a request with
// Range never depends on it, and gets no Vary: its bytes are those of the uncompressed
// representation. A compressed
// response has no Content-Length and no Accept-Ranges. A strong ETag becomes a weak
// one, since the bytes differ (RFC 9110, section 8.8.3.3); the ETag of [Logic.REST]
// becomes another strong one, which If-Match of [Logic.REST] accepts. Flush sends,
// compressed, what was written before. If the handler has written less than its
// Content-Length, the connection is aborted ([http.ErrAbortHandler]).
//
// Compression can reveal a secret in a page to an attacker who chooses a text in the
// page, makes the browser send many requests, and sees the lengths of the responses
// (BREACH). A secret that changes with each response, such as [Nonce], is safe. For
// others, set Cache-Control: no-transform.
func Compress() Middleware {
	c := response.NewCompression()
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		if !x.response.Compress(c, r) { // another Compress is outside
			next.serve(x, w, r)
			return
		}
		done := false
		defer func() {
			if !done { // a panic: the held back bytes are not sent
				x.response.Abandon()
			}
		}()
		next.serve(x, w, r)
		if x.response.Short() {
			panic(http.ErrAbortHandler)
		}
		x.response.Finish()
		done = true
	})
}
