package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file is about who asks whom: the client's address and scheme behind
// trusted proxies, and the hosts that are served.

// TrustProxies returns middleware that believes the given proxies about whom they
// ask for. Each is an address range such as "10.0.0.0/8", an address such as
// "127.0.0.1", or "unix" for peers on a unix socket. Without it, and for every
// other peer, the client is the peer itself, and X-Forwarded headers change
// nothing.
//
// From a trusted peer
//   - X-Forwarded-For gives the client's address ([ClientIP], the access log and
//     the rate limit): the rightmost one that is not a trusted proxy itself,
//     because those to its left are the client's own claim;
//   - X-Forwarded-Proto says whether the client uses TLS (the last value);
//   - X-Forwarded-Host, if present and well-formed, replaces the request's Host
//     (the last value).
//
// The Forwarded header (RFC 7239) is not read: a proxy that sets one of the two
// usually passes the other on as the client sent it, so reading both would let
// the client choose. For the same reason the proxy must set or remove all three
// headers above on every request.
//
// Invalid ranges panic.
func TrustProxies(trusted ...string) Middleware {
	p, err := newProxies(trusted)
	must("TrustProxies", err)
	return layer(p.serve)
}

type proxies struct {
	ranges []netip.Prefix
	unix   bool
}

func newProxies(trusted []string) (*proxies, error) {
	p := &proxies{}
	var errs []error
	for _, s := range trusted {
		if s == "unix" {
			p.unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if addr, addrErr := netip.ParseAddr(s); addrErr == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("trusted proxy %q is neither an address range such as 10.0.0.0/8, nor an address, nor unix", s))
		case prefix.Bits() == 0:
			errs = append(errs, fmt.Errorf("trusted proxy %q is everybody: clients could claim any address", s))
		case prefix.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("trusted proxy %q is IPv4 in IPv6; write it as IPv4", s))
		default:
			p.ranges = append(p.ranges, prefix.Masked())
		}
	}
	return p, errors.Join(errs...)
}

func (p *proxies) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	peer := peerAddr(r.RemoteAddr)
	if !p.trusts(peer) {
		next.ServeHTTP(w, r)
		return
	}
	x.client.addr = p.client(peer, r.Header["X-Forwarded-For"])
	switch proto := lastElement(r.Header["X-Forwarded-Proto"]); {
	case strings.EqualFold(proto, "https"):
		x.client.https = true
	case strings.EqualFold(proto, "http"):
		x.client.https = false
	}
	if host := lastElement(r.Header["X-Forwarded-Host"]); host != "" {
		if _, _, ok := header.SplitHost(host); ok {
			r.Host = host // r is the exchange's own copy or one made after it
		}
	}
	next.ServeHTTP(w, r)
}

// trusts reports whether addr is a trusted proxy. A peer without an address is
// on a unix socket.
func (p *proxies) trusts(addr netip.Addr) bool {
	if !addr.IsValid() {
		return p.unix
	}
	for _, prefix := range p.ranges {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// client walks X-Forwarded-For from its end, which the peer wrote, for as long
// as the addresses are trusted. Something that is no address ends the walk: the
// proxy that wrote it is the last one known.
func (p *proxies) client(peer netip.Addr, lines []string) netip.Addr {
	client := peer
	for b := header.Backwards(lines); b.Next(); {
		addr, ok := header.ParseForwarded(b.Element)
		if !ok {
			return client
		}
		client = addr
		if !p.trusts(addr) {
			return client
		}
	}
	return client
}

// lastElement returns the last element of a list field, or "".
func lastElement(lines []string) string {
	b := header.Backwards(lines)
	b.Next()
	return b.Element
}

// Hosts returns middleware that answers only requests for the given hosts. The
// Host header is chosen by the client: a link made from it, or a cache keyed
// without it, is the client's too. Any other host is answered 421, a missing or
// malformed one 400, before anything else runs.
//
// A name is a domain name in ASCII (punycode) or an IP address, IPv6 in
// brackets. "*.example.com" is any name with exactly one more label. A name
// with a port, as "localhost:8080", means that port; without one it means any.
// Letter case and a trailing dot make no difference. Without names every
// well-formed host is answered.
//
// Load balancers often check health by address instead of name: list that
// address too, or keep health endpoints outside.
//
// Invalid names panic.
func Hosts(names ...string) Middleware {
	h, err := newHosts(names)
	must("Hosts", err)
	return layer(h.serve)
}

// hosts are the names of Hosts, in lower case. A wildcard is kept as its part
// from the first dot on.
type hosts struct {
	names, wildcards map[string]bool
}

func newHosts(names []string) (*hosts, error) {
	h := &hosts{names: map[string]bool{}, wildcards: map[string]bool{}}
	var errs []error
	for _, name := range names {
		list, bare := h.names, name
		if rest, wild := strings.CutPrefix(name, "*"); wild {
			list, bare = h.wildcards, strings.TrimPrefix(rest, ".")
			if bare == rest {
				bare = "" // "*" and "*example.com" are not names
			}
		}
		host, port, ok := header.SplitHost(bare)
		if !ok {
			errs = append(errs, fmt.Errorf("host %q is neither a name nor an address, such as example.com, *.example.com, localhost:8080 or [::1]", name))
			continue
		}
		host = strings.ToLower(host)
		if port != "" {
			host += ":" + port
		}
		if len(bare) != len(name) {
			host = "." + host
		}
		list[host] = true
	}
	return h, errors.Join(errs...)
}

func (h *hosts) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	host, port, ok := header.SplitHost(r.Host)
	if !ok {
		WriteError(w, r, &Error{Code: Malformed, Message: "The Host header is missing or malformed."})
		return
	}
	if !h.serves(strings.ToLower(host), port) {
		WriteError(w, r, &Error{Code: Misdirected})
		return
	}
	next.ServeHTTP(w, r)
}

func (h *hosts) serves(host, port string) bool {
	if len(h.names)+len(h.wildcards) == 0 {
		return true
	}
	if h.lists(host) {
		return true
	}
	return port != "" && h.lists(host+":"+port)
}

func (h *hosts) lists(host string) bool {
	dot := strings.IndexByte(host, '.')
	return h.names[host] || dot > 0 && h.wildcards[host[dot:]]
}
