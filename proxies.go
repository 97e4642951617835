package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file finds the address and the scheme of the client behind trusted proxies,
// and checks the host.

// TrustProxies returns middleware that uses the X-Forwarded headers of requests from
// trusted reverse proxies. Each of trusted is an address range such as "10.0.0.0/8",
// an address such as "127.0.0.1", or "unix" for peers on a unix socket. For all other
// peers the client is the peer itself, and X-Forwarded headers have no effect.
//
// If the peer is trusted,
//   - X-Forwarded-For has the address of the client, for [ClientIP], the access log
//     and the rate limit. It is the last one that is not of a trusted proxy: those
//     before it are what the client claims;
//   - the last value of X-Forwarded-Proto tells whether the client uses TLS;
//   - the last value of X-Forwarded-Host, if it is well-formed, replaces the Host of
//     the request.
//
// The proxy must set or remove these three headers in each request: otherwise the
// client chooses them. TrustProxies does not read Forwarded (RFC 7239). A proxy that
// sets X-Forwarded headers usually passes Forwarded on as the client has sent it.
//
// TrustProxies panics if a range is invalid.
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
			errs = append(errs, fmt.Errorf("trusted proxy %q includes all addresses: each client could claim another address", s))
		case prefix.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("trusted proxy %q is IPv4 in IPv6; write it as IPv4", s))
		default:
			p.ranges = append(p.ranges, prefix.Masked())
		}
	}
	return p, errors.Join(errs...)
}

func (p *proxies) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	if len(p.ranges) == 0 && !p.unix {
		next.serve(x, w, r)
		return
	}
	peer := peerAddr(r.RemoteAddr)
	if !p.trusts(peer) {
		next.serve(x, w, r)
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
	next.serve(x, w, r)
}

// trusts reports whether addr is the address of a trusted proxy. A peer without an
// address is on a unix socket.
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

// client returns the address of the client. It goes through X-Forwarded-For from
// the end, which the peer has written, as long as the addresses are trusted. It
// stops at an element that is no address: the client is then the proxy that has
// written it.
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

// Hosts returns middleware that serves only requests for the given hosts. It answers
// 421 to requests for other hosts, and 400 if the Host header is missing or
// malformed. The client chooses the Host header: without Hosts it can choose what
// links made from it lead to, and what a cache that ignores it stores.
//
// A name is a domain name in ASCII (punycode) or an IP address, an IPv6 one in
// brackets. "*.example.com" matches all names with exactly one label more. A name
// with a port, such as "localhost:8080", matches this port only; a name without one
// matches all ports. Letter case and a trailing dot make no difference. Without
// names, all well-formed hosts are served, and HTTP/1.0 requests without a host.
//
// Load balancers often check health by address and not by name, or by HTTP/1.0 without
// a host, as HAProxy does: list the address, too, and make HAProxy send a Host (option
// http-check send), or serve health endpoints outside.
//
// Hosts panics if a name is invalid.
func Hosts(names ...string) Middleware {
	h, err := newHosts(names)
	must("Hosts", err)
	return layer(h.serve)
}

// hosts has the names of Hosts in lower case, of wildcards the part from the first dot
// on.
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

func (h *hosts) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	if r.Host == "" && !r.ProtoAtLeast(1, 1) { // as load balancers check health
		if len(h.names)+len(h.wildcards) == 0 {
			next.serve(x, w, r)
			return
		}
		WriteError(w, r, &Error{Code: Malformed, Message: "The Host header is missing. Send a Host header with a name of this server."})
		return
	}
	host, port, ok := header.SplitHost(r.Host)
	if !ok {
		WriteError(w, r, &Error{Code: Malformed, Message: "The Host header is missing or malformed."})
		return
	}
	if !h.serves(strings.ToLower(host), port) {
		WriteError(w, r, &Error{Code: Misdirected})
		return
	}
	next.serve(x, w, r)
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

// checkOnce is checkAmbiguous for the header of r, unless [Stack] has checked that.
func checkOnce(r *http.Request) error {
	if x := exchangeFrom(r.Context()); x != nil && reflect.ValueOf(x.checked).UnsafePointer() == reflect.ValueOf(r.Header).UnsafePointer() {
		return nil
	}
	return checkAmbiguous(r.Header)
}

// checkAmbiguous returns an error for the header of a request that says two things.
func checkAmbiguous(head http.Header) error {
	if name := header.Ambiguous(head); name != "" {
		return &Error{Code: Malformed, Message: "Send one " + name + " header."}
	}
	return nil
}
