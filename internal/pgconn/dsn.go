package pgconn

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/lib/pq"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
)

// parseDSN parses the DSN and adds the defaults; see [NewConnector].
func parseDSN(dsn string) (pq.Config, error) {
	settings, err := pq.NewConfig(dsn)
	if err != nil {
		return pq.Config{}, dsnError(err)
	}
	if isTorn(dsn) {
		return pq.Config{}, errMalformed
	}
	if settings.SSLMode == "" {
		settings.SSLMode = defaultSSLMode(settings)
	}
	if settings.TargetSessionAttrs == pq.TargetSessionAttrsReadOnly {
		settings.TargetSessionAttrs = pq.TargetSessionAttrsPreferStandby
	}
	if settings.ApplicationName == "" {
		settings.ApplicationName = "backend"
	}
	settings.Runtime = maps.Clone(settings.Runtime)
	if settings.Runtime == nil {
		settings.Runtime = make(map[string]string)
	}
	if _, given := lookupFold(settings.Runtime, "timezone"); !given {
		settings.Runtime["TimeZone"] = "UTC"
	}
	return settings, nil
}

var (
	wrongValue  = lazyre.New(`^pq: wrong value for (?:"([a-z_]+)"|\$([A-Z]+)): `)
	unsupported = lazyre.New(`^pq: environment variable \$[A-Z]+ is not supported$`)
)

// dsnError returns an error that names the wrong setting, without its value. The error of
// lib/pq may quote any part of the DSN. If the DSN is malformed, as by an @ or / in the
// password that was not escaped, any part of it may belong to the password.
func dsnError(err error) error {
	text := err.Error()
	if found := wrongValue().FindStringSubmatch(text); found != nil {
		if found[2] != "" {
			return fmt.Errorf("PostgreSQL settings: the environment variable %s has a value that is not supported", found[2])
		}
		return fmt.Errorf("PostgreSQL URL: the setting %s has a value that is not supported", found[1])
	}
	switch {
	case unsupported().MatchString(text):
		return errors.New("PostgreSQL settings: " + strings.TrimPrefix(text, "pq: "))
	case strings.HasPrefix(text, "pq: weak sslmode"):
		return errors.New("PostgreSQL URL: sslmode is too weak for the other settings; use verify-full")
	case strings.HasPrefix(text, "pq: could not match"):
		return errors.New("PostgreSQL URL: give as many hostaddr and port values as hosts, or one port for all")
	}
	return errMalformed
}

var errMalformed = errors.New("PostgreSQL URL: not understood; write it as postgres://user:password@host:port/database?sslmode=…, " +
	"with special characters in user and password percent-encoded")

// isTorn reports whether a URL has an @ that does not end the user and password. If a
// password has a / or ? that was not escaped, its beginning would be parsed as host and
// port, and would be looked up, dialed and logged.
func isTorn(dsn string) bool {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return false
	}
	u, err := url.Parse(dsn)
	return err == nil && u.User == nil && strings.Contains(dsn, "@")
}

// defaultSSLMode is explicit, because lib/pq's own default is about to change.
func defaultSSLMode(settings pq.Config) pq.SSLMode {
	local := isLocal(settings.Host, settings.Hostaddr)
	for _, more := range settings.Multi {
		local = local && isLocal(more.Host, more.Hostaddr)
	}
	if local {
		return pq.SSLModeDisable
	}
	return pq.SSLModeRequire
}

// isLocal reports whether the host is this machine. Names under localhost are loopback
// (RFC 6761, section 6.3).
func isLocal(host string, address netip.Addr) bool {
	if address.IsValid() {
		return address.Unmap().IsLoopback()
	}
	if filepath.IsAbs(host) || strings.HasPrefix(host, "@") {
		return true
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// wantsReadOnly reports whether the settings ask for a server or for sessions
// that do not write.
func wantsReadOnly(settings pq.Config) bool {
	switch settings.TargetSessionAttrs {
	case pq.TargetSessionAttrsStandby, pq.TargetSessionAttrsPreferStandby:
		return true
	}
	value, _ := lookupFold(settings.Runtime, "default_transaction_read_only")
	switch strings.ToLower(value) {
	case "on", "true", "yes", "1":
		return true
	}
	return false
}

// lookupFold finds a run-time parameter, whose names PostgreSQL reads without
// regard to case.
func lookupFold(parameters map[string]string, name string) (string, bool) {
	for key, value := range parameters {
		if strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}
