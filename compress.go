package backend

import (
	"net/http"

	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file compresses responses. It does not decompress requests: a small
// request that grows to gigabytes is an attack the package does not offer.

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
	c := response.NewCompression()
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !x.response.Compress(c, r) { // compressed outside already
			next.ServeHTTP(w, r)
			return
		}
		done := false
		defer func() {
			if !done { // a panic: what is held back is not the answer
				x.response.Abandon()
			}
		}()
		next.ServeHTTP(w, r)
		x.response.Finish()
		done = true
	})
}
