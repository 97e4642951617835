package backend

import "net/http"

// Middleware wraps a handler in another.
type Middleware = func(http.Handler) http.Handler
