package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

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
		host, port, ok := splitHost(bare)
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
	host, port, ok := splitHost(r.Host)
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

// splitHost parses a Host header: a name or an IP address, with or without a
// port. A trailing dot of the name is dropped.
func splitHost(s string) (host, port string, ok bool) {
	host = s
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		host, port, ok = s[:end+1], strings.TrimPrefix(s[end+1:], ":"), len(s) == end+1 || s[end+1] == ':'
		return host, port, ok && validPort(port)
	}
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		host, port = s[:colon], s[colon+1:]
	}
	host = strings.TrimSuffix(host, ".")
	return host, port, validName(host) && validPort(port)
}

// validPort reports whether s is a port or empty, which RFC 3986 allows.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// validName reports whether s is a domain name: labels of letters, digits, '-'
// and '_', as DNS holds them. IPv4 addresses are such names.
func validName(s string) bool {
	if len(s) > 253 {
		return false
	}
	label := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.' && label > 0:
			label = 0
			continue
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0
}
