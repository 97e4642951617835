package backend

import (
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// dbSource is what a database URL says.
type dbSource struct {
	engine Engine
	name   string // for errors: the URL without its password and parameters
	dsn    string // in the driver's form
	memory bool   // SQLite without a file
	file   string // SQLite's file
}

// statementsKept is how many prepared statements each connection keeps. More
// than any program has on its hot paths, and little memory.
const statementsKept = 256

// sqliteBusyWait is how long SQLite itself waits for another process's lock.
// Short, since the driver does not look at deadlines while it waits: we wait
// around it.
const sqliteBusyWait = 100 * time.Millisecond

func parseDatabaseURL(text string) (*dbSource, error) {
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
		return &dbSource{engine: Postgres, name: publicURL(u), dsn: text}, nil
	case "mysql", "mariadb":
		u, err := parseServerURL(text)
		if err != nil {
			return nil, err
		}
		return parseMySQL(u)
	}
	return nil, fmt.Errorf("the scheme %q is not supported; write sqlite:FILE, postgres://… or mysql://…", scheme)
}

// parseServerURL parses without repeating the URL in its error, since that
// would show the password.
func parseServerURL(text string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	rest, slashes := strings.CutPrefix(rest, "//")
	if !slashes {
		return nil, fmt.Errorf("the URL must begin with %s://", scheme)
	}
	// What follows a / ? or # that is not encoded is no part of the password
	// any more, and would be shown.
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
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New("the URL's parameters cannot be read; write ?name=value&name=value, with special characters percent-encoded")
	}
	return u, nil
}

func publicURL(u *url.URL) string {
	public := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		public.User = url.User(name)
	}
	return public.String()
}

func parseSQLite(rest string) (*dbSource, error) {
	path := strings.TrimPrefix(rest, "//")
	switch {
	case path == "":
		return nil, errors.New("the URL names no file; write sqlite:FILE, or sqlite::memory: for one in memory")
	case path == ":memory:":
		// A name of its own, so that two databases in one process are two.
		return &dbSource{engine: SQLite, name: "sqlite::memory:", dsn: "file:/" + rand.Text() + "?vfs=memdb&", memory: true}, nil
	case strings.ContainsAny(path, "?#"):
		return nil, errors.New("sqlite URLs take no parameters; use DBConfig")
	}
	escaped := (&url.URL{Path: path}).EscapedPath()
	return &dbSource{engine: SQLite, name: "sqlite:" + path, dsn: "file:" + escaped + "?mode=rw&", file: path}, nil
}

// mysqlFixed are the driver's parameters that this package decides about, or
// that would make the engine lose what it was given.
var mysqlFixed = []string{
	"parseTime", "loc", "clientFoundRows", "multiStatements", "interpolateParams", "allowAllFiles", "timeTruncate",
	"sql_mode", "time_zone", "timeout", "autocommit", "strict",
}

// parseMySQL writes the URL in the driver's own form, with what makes the
// engine behave like the others: times in UTC, strict values, and affected
// rows that count matches.
func parseMySQL(u *url.URL) (*dbSource, error) {
	params := u.Query()
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
	return &dbSource{engine: MySQL, name: publicURL(u), dsn: dsn}, nil
}

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

func isLocal(u *url.URL, address string) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return strings.HasPrefix(address, "unix(") || host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// connect gives db its pools. Nothing is dialed yet.
func (s *dbSource) connect(db *DB) error {
	switch s.engine {
	case Postgres:
		connector, err := pgconn.NewConnector(s.dsn, pgconn.Config{
			StatementCache: statementsKept, Pooler: db.config.Pooler, DialTimeout: db.config.ConnectTimeout,
		})
		if err != nil {
			return err
		}
		db.write = newPool(connector, db.config.MaxConns, db.config)
		db.read = db.write
	case MySQL:
		connector, err := driverConnector("mysql", "github.com/go-sql-driver/mysql", s.dsn+"&timeout="+db.config.ConnectTimeout.String(),
			dbconn.Options{
				ID:       "SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()",
				Check:    "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %d AND HOST = '%s'",
				Kill:     "KILL CONNECTION %d",
				Outdated: func(err error) bool { return dberr.MySQLNumber(err) == 1615 }, // ER_NEED_REPREPARE
				Full:     func(err error) bool { return dberr.MySQLNumber(err) == 1461 }, // ER_MAX_PREPARED_STMT_COUNT_REACHED
			})
		if err != nil {
			return err
		}
		db.write = newPool(connector, db.config.MaxConns, db.config)
		db.read = db.write
	case SQLite:
		return s.connectSQLite(db)
	}
	return nil
}

// connectSQLite gives db one connection that writes and several that cannot.
// A database in memory has one for both, since it has no WAL that would let
// readers in beside the writer.
func (s *dbSource) connectSQLite(db *DB) error {
	synchronous := "NORMAL"
	if db.config.Durable {
		synchronous = "FULL"
	}
	common := fmt.Sprintf("_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=synchronous(%s)"+
		"&_time_format=sqlite&_timezone=UTC&_dqs=0&_defensive=1", sqliteBusyWait.Milliseconds(), synchronous)
	if !s.memory {
		common += "&_pragma=journal_mode(WAL)"
	}
	embedded := dbconn.Options{Embedded: true, Busy: isBusy}
	writer, err := driverConnector("sqlite", "modernc.org/sqlite", s.dsn+common+"&_txlock=immediate", embedded)
	if err != nil {
		return err
	}
	db.writer = make(chan struct{}, 1)
	if s.memory {
		db.write = newPool(writer, 2, db.config) // one is the anchor
		db.read = db.write
		return nil
	}
	reader, err := driverConnector("sqlite", "modernc.org/sqlite", s.dsn+common+"&_pragma=query_only(1)", embedded)
	if err != nil {
		return err
	}
	db.write = newPool(writer, 1, db.config)
	db.read = newPool(reader, db.config.MaxConns, db.config)
	return nil
}

// driverConnector returns a connector of a driver that the program has to
// import.
func driverConnector(name, module, dsn string, options dbconn.Options) (driver.Connector, error) {
	if !slices.Contains(sql.Drivers(), name) {
		return nil, fmt.Errorf("the driver is missing; add to the program: import _ %q", module)
	}
	pool, err := sql.Open(name, dsn)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	connector, err := dbconn.DriverConnector(pool.Driver(), dsn)
	if err != nil {
		return nil, err
	}
	options.Statements = statementsKept
	return dbconn.NewConnector(connector, options), nil
}

func isBusy(err error) bool {
	info := dberr.Classify(err)
	return info.Answered && info.Kind == dberr.Serialization
}

func newPool(connector driver.Connector, size int, config DBConfig) *sql.DB {
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxLifetime(config.MaxConnLifetime)
	pool.SetConnMaxIdleTime(config.MaxConnIdleTime)
	return pool
}
