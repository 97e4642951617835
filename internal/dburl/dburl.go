// Package dburl reads the URLs that name databases: sqlite:FILE,
// postgres://user:password@host/name and mysql://user:password@host/name. No
// error shows the password.
package dburl

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// The engines of a [Source].
const (
	Postgres = "postgres"
	SQLite   = "sqlite"
	MySQL    = "mysql"
)

// Source is what a database URL says.
type Source struct {
	// Engine is Postgres, SQLite or MySQL.
	Engine string
	// Name is the URL without its password and parameters, for errors.
	Name string
	// DSN is the URL in the form of the engine's driver. Parameters can be
	// appended to that of SQLite, and to that of MySQL after an ampersand.
	DSN string
	// Memory says that the database is SQLite's and has no file.
	Memory bool
	// File is the path of SQLite's file.
	File string
}

// Parse reads a database URL.
func Parse(text string) (*Source, error) {
	scheme, rest, found := strings.Cut(text, ":")
	if !found {
		return nil, errors.New("the URL has no scheme; write sqlite:FILE, postgres://… or mysql://…")
	}
	switch scheme {
	case "sqlite":
		return parseSQLite(rest)
	case "postgres", "postgresql":
		u, err := parseServerURL(text)
		if err != nil {
			return nil, err
		}
		params, err := understood(Postgres, u.Query())
		if err != nil {
			return nil, err
		}
		if len(params) != len(u.Query()) {
			u.RawQuery = params.Encode()
			text = u.String()
		}
		return &Source{Engine: Postgres, Name: publicURL(u), DSN: text}, nil
	case "mysql", "mariadb":
		u, err := parseServerURL(text)
		if err != nil {
			return nil, err
		}
		return parseMySQL(u)
	}
	return nil, fmt.Errorf("the scheme %q is not supported; write sqlite:FILE, postgres://… or mysql://…", scheme)
}

// parseServerURL parses the URL of a server. Its errors do not repeat the URL,
// which would show the password.
func parseServerURL(text string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	rest, slashes := strings.CutPrefix(rest, "//")
	if !slashes {
		return nil, fmt.Errorf("the URL must begin with %s://", scheme)
	}
	// A / ? or # that is not encoded ends the password early. Its rest would be
	// part of the path, and be shown.
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[end:], "@") {
		return nil, errors.New("special characters in the password must be percent-encoded, and so must @ everywhere after the host")
	}
	u, err := url.Parse(text)
	var parsing *url.Error
	if errors.As(err, &parsing) {
		err = parsing.Err
		if strings.Contains(err.Error(), "port") || strings.Contains(err.Error(), "userinfo") {
			err = errors.New("special characters in the password must be percent-encoded")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the URL cannot be read: %w", err)
	}
	for host := range strings.SplitSeq(u.Host, ",") { // PostgreSQL takes several
		if strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
			// Without its @, the user and password would be a host, and be shown.
			return nil, errors.New("the host has more than one colon; write user:password@host, and [ ] around an IPv6 address")
		}
		// net/url reads only the port of the last host.
		port := host[strings.LastIndexAny(host, ":]")+1:]
		if strings.Contains(host, ":") && strings.Trim(port, "0123456789") != "" {
			return nil, errors.New("a port is not a number; write user:password@host, and percent-encode special characters in the password")
		}
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New("the URL's parameters cannot be read; write ?name=value&name=value, with special characters percent-encoded")
	}
	return u, nil
}

// publicURL returns a URL without its password and parameters.
func publicURL(u *url.URL) string {
	public := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		public.User = url.User(name)
	}
	return public.String()
}

func parseSQLite(rest string) (*Source, error) {
	path := strings.TrimPrefix(rest, "//")
	switch {
	case path == "":
		return nil, errors.New("the URL names no file; write sqlite:FILE, or sqlite::memory: for one in memory")
	case path == ":memory:":
		// Each has a name of its own, so that two of them in one process are two
		// databases.
		return &Source{Engine: SQLite, Name: "sqlite::memory:", DSN: "file:/" + rand.Text() + "?vfs=memdb&", Memory: true}, nil
	case strings.ContainsAny(path, "?#"):
		return nil, errors.New("sqlite URLs take no parameters; use DBConfig")
	}
	escaped := (&url.URL{Path: path}).EscapedPath()
	return &Source{Engine: SQLite, Name: "sqlite:" + path, DSN: "file:" + escaped + "?mode=rw&", File: path}, nil
}

// mysqlFixed are the parameters of the driver that the package sets itself, or
// that would make the engine lose data.
var mysqlFixed = []string{
	"parseTime", "loc", "clientFoundRows", "multiStatements", "interpolateParams", "allowAllFiles", "timeTruncate",
	"sql_mode", "time_zone", "timeout", "autocommit", "strict",
}

// parseMySQL writes the URL in the driver's own form. It adds the parameters
// that make the engine behave like the others: times are in UTC, values that do
// not fit are errors, and the number of affected rows counts all that match.
func parseMySQL(u *url.URL) (*Source, error) {
	params, err := understood(MySQL, u.Query())
	if err != nil {
		return nil, err
	}
	address := mysqlAddress(u, params.Get("socket"))
	params.Del("socket")
	for _, fixed := range mysqlFixed {
		if params.Has(fixed) {
			return nil, fmt.Errorf("the parameter %s cannot be set", fixed)
		}
	}
	params.Set("parseTime", "true")
	params.Set("loc", "UTC")
	params.Set("clientFoundRows", "true")
	params.Set("time_zone", "'+00:00'")
	params.Set("sql_mode", "CONCAT(@@sql_mode,',STRICT_ALL_TABLES')")
	if !params.Has("tls") && !isLocal(u, address) {
		params.Set("tls", "true")
	}
	user := u.User.Username()
	if strings.Contains(user, ":") || strings.Contains(address, "@") {
		return nil, errors.New("the driver cannot use a : in the user's name, or an @ in the address")
	}
	if password, ok := u.User.Password(); ok {
		user += ":" + password
	}
	name := strings.TrimPrefix(u.Path, "/")
	dsn := fmt.Sprintf("%s@%s/%s?%s", user, address, url.PathEscape(name), params.Encode())
	return &Source{Engine: MySQL, Name: publicURL(u), DSN: dsn}, nil
}

// mysqlAddress returns the server's address in the driver's own form.
func mysqlAddress(u *url.URL, socket string) string {
	if socket != "" {
		return "unix(" + socket + ")"
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	return "tcp(" + net.JoinHostPort(host, port) + ")"
}

// isLocal reports whether the server is on this machine.
func isLocal(u *url.URL, address string) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return strings.HasPrefix(address, "unix(") || host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}
