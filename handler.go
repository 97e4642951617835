package backend

import "net/http"

// HandlerFunc is an [http.Handler] that may return an error, which becomes the
// response as [WriteError] writes it. A nil error means that the function has
// written its response.
//
// When the error comes after the response has begun, it can no longer be shown.
// It is logged, and the connection is aborted ([http.ErrAbortHandler]) so that
// the client sees a response cut short and not one that looks complete. A
// handler notices this where a middleware of this package wraps the response;
// with a bare [http.ResponseWriter] nobody can tell, so write last.
type HandlerFunc func(http.ResponseWriter, *http.Request) error

// ServeHTTP calls f and answers with the error it returns.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := f(w, r)
	if err == nil {
		return
	}
	if responseBegun(w) {
		reportError(w, r, Internal, err) // Internal: logged even without an access log
		panic(http.ErrAbortHandler)
	}
	WriteError(w, r, err)
}

// responseBegun reports whether some wrapper of the response knows that its
// header has been sent.
func responseBegun(w http.ResponseWriter) bool {
	for w != nil {
		if known, ok := w.(interface{ wroteHeader() bool }); ok && known.wroteHeader() {
			return true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
	return false
}
