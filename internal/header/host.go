package header

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// SplitHost parses a Host field: a domain name or an IP address, an IPv6 one in
// brackets, with or without a port. It drops a trailing dot of the name.
func SplitHost(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		return splitIPv6(s)
	}
	host = s
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		host, port = s[:colon], s[colon+1:]
	}
	host = strings.TrimSuffix(host, ".")
	return host, port, validName(host) && validPort(port)
}

// IsDomain reports whether a host that [SplitHost] has returned is a domain name that
// HSTS can be for (RFC 6797): not an IP address, in any form that browsers know (URL
// standard, section 3.5), and not localhost or a name below it (RFC 6761, section 6.3).
func IsDomain(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case last == "", host[0] == '[', strings.EqualFold(last, "localhost"):
		return false
	case len(last) >= 2 && (last[:2] == "0x" || last[:2] == "0X"):
		return strings.Trim(last[2:], "0123456789abcdefABCDEF") != ""
	}
	return strings.Trim(last, "0123456789") != ""
}

func splitIPv6(s string) (host, port string, ok bool) {
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
		case isAlphanumeric(c), c == '-', c == '_':
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

// ParseForwarded parses an element of X-Forwarded-For: an IP address, with or
// without a port. IPv6 addresses may be in brackets. The result has no zone and
// is not IPv4 mapped into IPv6.
func ParseForwarded(s string) (netip.Addr, bool) {
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

// CheckOrigin returns an error for an origin that no browser sends as Origin
// (RFC 6454, section 6.2): comparing with it would never succeed.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != origin:
		return fmt.Errorf("origin %q is not of the form https://example.com, without a path or slash at the end", origin)
	case origin != strings.ToLower(origin):
		return fmt.Errorf("origin %q never matches: browsers send it in lower case", origin)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return fmt.Errorf("origin %q never matches: browsers leave the default port out", origin)
	case strings.Contains(origin, "*"):
		return fmt.Errorf("origin %q has a wildcard; list each origin", origin)
	}
	return nil
}
