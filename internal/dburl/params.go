package dburl

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// This file has the parameters of URLs that hosting providers and other programs
// write. Some are understood, and the others are refused with what to write.

// elsewhere says, for each engine, what to do about a parameter that another program
// or another driver understands, by its name in lower case.
var elsewhere = map[string]map[string]string{
	Postgres: {
		"channel_binding":     "SCRAM channel binding is not supported; sslmode=verify-full checks the server",
		"gssencmode":          "GSSAPI encryption is not supported; sslmode is for TLS",
		"keepalives":          "TCP keep-alive is always on",
		"keepalives_idle":     "TCP keep-alive is always on",
		"keepalives_interval": "TCP keep-alive is always on",
		"keepalives_count":    "TCP keep-alive is always on",
		"tcp_user_timeout":    "the deadline of the context bounds every statement",
		"pgbouncer":           "set DBConfig.Pooler",
		"workaround":          "set DBConfig.Pooler",

		"statement_cache_mode":     "set DBConfig.Pooler behind a pooler",
		"statement_cache_capacity": "set DBConfig.Pooler behind a pooler",
		"default_query_exec_mode":  "set DBConfig.Pooler behind a pooler",
		"prefer_simple_protocol":   "set DBConfig.Pooler behind a pooler",
		"preparethreshold":         "set DBConfig.Pooler behind a pooler",

		"connection_limit":        "set DBConfig.MaxConns",
		"pool_max_conns":          "set DBConfig.MaxConns",
		"pool_min_conns":          "connections are opened when they are needed",
		"pool_timeout":            "the deadline of the context bounds the wait",
		"pool_max_conn_lifetime":  "set DBConfig.MaxConnLifetime",
		"pool_max_conn_idle_time": "set DBConfig.MaxConnIdleTime",

		"schema":         "write search_path=NAME",
		"currentschema":  "write search_path=NAME",
		"ssl":            "write sslmode=require or sslmode=verify-full",
		"sslaccept":      "write sslmode=require or sslmode=verify-full",
		"uselibpqcompat": "sslmode means what libpq says",
	},
	MySQL: {
		"usessl":    "write tls=true",
		"ssl":       "write tls=true",
		"sslaccept": "write tls=true, or tls=skip-verify",
		"ssl-ca":    "register the certificate with mysql.RegisterTLSConfig, and write tls=NAME",
		"ssl_ca":    "register the certificate with mysql.RegisterTLSConfig, and write tls=NAME",
		"sslcert":   "register the certificate with mysql.RegisterTLSConfig, and write tls=NAME",

		"connection_limit": "set DBConfig.MaxConns",
		"pool_timeout":     "the deadline of the context bounds the wait",
		"connect_timeout":  "set DBConfig.ConnectTimeout",

		"servertimezone":          "times are in UTC",
		"useunicode":              "text is UTF-8",
		"characterencoding":       "write charset=utf8mb4",
		"allowpublickeyretrieval": "the driver asks for the key by itself",
		"autoreconnect":           "connections that were lost are replaced",
	},
}

// harmless has values with which a parameter asks for what is done anyway.
var harmless = map[string][]string{
	"channel_binding": {"prefer", "disable"}, "gssencmode": {"prefer", "disable"}, "keepalives": {"1"}, "pgbouncer": {"false"},
}

// tlsOf is the value of the driver's parameter tls for the ssl-mode of MySQL's own
// clients.
var tlsOf = map[string]string{
	"disabled": "false", "preferred": "preferred", "required": "skip-verify", "verify_ca": "true", "verify_identity": "true",
}

// understood returns the parameters of a URL without those that ask for what is done
// anyway, and with those of other programs in the driver's own form. The error has
// every parameter that has to be removed.
func understood(engine string, given url.Values) (url.Values, error) {
	params := maps.Clone(given)
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		lower, value := strings.ToLower(name), strings.ToLower(given.Get(name))
		advice, foreign := elsewhere[engine][lower]
		switch {
		case engine == MySQL && slices.Contains([]string{"ssl-mode", "ssl_mode", "sslmode"}, lower):
			tls, known := tlsOf[value]
			switch {
			case !known:
				wrong = append(wrong, fmt.Errorf("the parameter %s must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY; or write tls=true", name))
			case params.Has("tls"):
				wrong = append(wrong, fmt.Errorf("remove the parameter %s: tls is there, too", name))
			default:
				params.Set("tls", tls)
			}
			params.Del(name)
		case foreign && slices.Contains(harmless[lower], value):
			params.Del(name)
		case foreign:
			wrong = append(wrong, fmt.Errorf("remove the parameter %s: %s", name, advice))
		}
	}
	return params, errors.Join(wrong...)
}
