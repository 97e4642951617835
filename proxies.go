package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies returns middleware that believes the given proxies about whom they
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
func Proxies(trusted ...string) Middleware {
	p, err := newProxies(trusted)
	must("Proxies", err)
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
	x.client = p.client(peer, r.Header["X-Forwarded-For"])
	switch proto := lastItem(r.Header["X-Forwarded-Proto"]); {
	case strings.EqualFold(proto, "https"):
		x.https = true
	case strings.EqualFold(proto, "http"):
		x.https = false
	}
	if host := lastItem(r.Header["X-Forwarded-Host"]); host != "" {
		if _, _, ok := splitHost(host); ok {
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
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var item string
			rest, item, more = cutLast(rest)
			addr, ok := forwardedAddr(item)
			if !ok {
				return client
			}
			client = addr
			if !p.trusts(addr) {
				return client
			}
		}
	}
	return client
}

// cutLast returns the last item of a comma-separated list and what is before.
func cutLast(list string) (rest, item string, more bool) {
	if comma := strings.LastIndexByte(list, ','); comma >= 0 {
		rest, item, more = list[:comma], list[comma+1:], true
	} else {
		item = list
	}
	return rest, strings.Trim(item, " \t"), more
}

// forwardedAddr parses an item of X-Forwarded-For: an address, some proxies add
// the port and then put IPv6 in brackets.
func forwardedAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = at.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// lastItem returns the last item of a list header.
func lastItem(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	_, item, _ := cutLast(lines[len(lines)-1])
	return item
}
