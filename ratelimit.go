package backend

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-215b9b7c/backend/internal/gcra"
)

// RateLimit returns middleware that lets each client address make requests
// requests per period: all of them at once, then one more each time its share
// of the period has passed (GCRA, which is a leaky bucket without a timer). What
// is beyond that is answered 429 with Retry-After.
//
// An IPv6 client counts by its /64, the smallest network a site gets; an IPv4
// client by its address, which may stand for many people behind one gateway.
// Behind a reverse proxy every client has the proxy's address unless [Proxies]
// is outside. Clients without an address, on a unix socket, count as one.
//
// Memory is 1 MiB however many addresses there are, because counters are shared
// by chance (see internal/gcra): nobody can make the limiter forget by flooding
// it from other addresses. A flood from tens of thousands of networks, each at
// its own limit, can limit others too early.
//
// Limits hold per process. Both values must be positive, and the period long
// enough to divide; else it panics.
func RateLimit(requests int, period time.Duration) Middleware {
	must("RateLimit", checkRate(requests, period))
	limiter := gcra.New(period/time.Duration(requests), requests)
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		key := rateKey(x.client)
		if wait, ok := limiter.Allow(key[:], time.Now()); !ok {
			WriteError(w, r, &Error{Code: RateLimited, RetryAfter: wait})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkRate(requests int, period time.Duration) error {
	switch {
	case requests < 1:
		return fmt.Errorf("rate limit of %d requests is below 1", requests)
	case period <= 0:
		return fmt.Errorf("rate limit period %v is not positive", period)
	case period/time.Duration(requests) < time.Microsecond:
		return fmt.Errorf("rate limit of %d requests per %v is over a million a second, which is none", requests, period)
	case period > 365*24*time.Hour:
		return fmt.Errorf("rate limit period %v is over a year", period)
	}
	return nil
}

// rateKey returns what counts as one client: an IPv4 address or an IPv6 /64.
// IPv4 is written as IPv4-mapped IPv6, which no IPv6 client can have.
func rateKey(client netip.Addr) [16]byte {
	key := client.As16()
	if client.Is6() && !client.Is4In6() {
		clear(key[8:])
	}
	return key
}
