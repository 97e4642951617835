package backend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/dburl"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file opens databases: it makes their pools and the first connections.
// Their URLs are read by internal/dburl.

// statementsKept is how many prepared statements each connection keeps. It is more
// than a program has on its hot paths, and takes little memory.
const statementsKept = 256

// moderncBusyWait is how long a connection of modernc.org/sqlite's driver waits for the lock
// of another process. It is short because that driver does not check deadlines meanwhile;
// internal/dbconn repeats the wait until the deadline.
const moderncBusyWait = 100 * time.Millisecond

// Open opens the database at a URL and checks that it answers.
//
//	sqlite:notes.db                       a file, created if it does not exist
//	sqlite::memory:                       a database in memory, until Close
//	postgres://user:password@host/name    PostgreSQL; also postgresql://
//	mysql://user:password@host/name       MySQL and MariaDB; also mariadb://
//
// Special characters in the user and password must be percent-encoded. To use a unix
// socket, leave out the host and set the parameter host=/folder for PostgreSQL or
// socket=/file for MySQL. The parameter ssl-mode of MySQL's own clients is understood.
// Parameters of other programs, such as pgbouncer, are errors that say what to write.
// No error shows the password.
//
// The program must import the driver for SQLite, github.com/seed-215b9b7c/backend/sqlite, or
// MySQL, github.com/go-sql-driver/mysql. Without the former, that of modernc.org/sqlite is
// used for SQLite if it is imported; see [SQLite] for what it does not do. That of MySQL logs lost connections itself; its
// SetLogger says where.
//
// Connections to PostgreSQL and MySQL use TLS unless the host is this machine. The
// parameter sslmode of PostgreSQL and tls of MySQL override that. SQLite runs in WAL
// mode with foreign keys on; see [DBConfig.Durable]. A name in double quotes that does not
// exist is an error, and not a string, unless the file has a view or trigger, made by another
// program, that has a string in double quotes: write 'none' there and not "none".
//
// At most one config may be given.
func Open(ctx context.Context, url string, config ...DBConfig) (*DB, error) {
	source, err := dburl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db, err := openSource(ctx, source, config)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", source.Name, err)
	}
	return db, nil
}

func openSource(ctx context.Context, source *dburl.Source, configs []DBConfig) (*DB, error) {
	engine := Engine(source.Engine)
	config, err := oneConfig(configs, engine)
	if err != nil {
		return nil, err
	}
	db, err := openWith(ctx, source, config)
	if err != nil || db.path == "" {
		return db, err
	}
	found, err := db.hasQuotedStrings(ctx)
	if err == nil && !found {
		return db, nil
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	source.DSN += "_dqs=1&"
	return openWith(ctx, source, config)
}

func openWith(ctx context.Context, source *dburl.Source, config DBConfig) (*DB, error) {
	engine := config.Engine
	pools, err := newPools(source, config)
	if err != nil {
		return nil, err
	}
	db := &DB{engine: engine, config: config, pools: pools, statements: statement.New(engine.dialect())}
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	if err := db.start(ctx, source); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// start makes the first connections: the one that keeps a database in memory alive,
// and one to check that the database answers.
func (db *DB) start(ctx context.Context, source *dburl.Source) (err error) {
	switch {
	case source.Memory:
		db.anchor, err = db.write.take(ctx)
	case source.File != "":
		if db.path, err = filepath.Abs(source.File); err == nil {
			db.file, err = createFile(db.path)
		}
	}
	if err != nil {
		return err
	}
	return db.Ping(ctx)
}

// hasQuotedStrings reports whether SQLite's file has a view or trigger with a string in
// double quotes, as "none" in CASE WHEN a = "none". Other programs let SQLite take a name
// that does not exist for a string. Connections of this package do not, since it hides
// typing errors, and so could not use such a view. Tables and indexes do not depend on it.
func (db *DB) hasQuotedStrings(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, db.config.ConnectTimeout)
	defer cancel()
	type object struct {
		Name  string `db:"name"`
		Table string `db:"tbl_name"`
	}
	objects, err := All[object](ctx, db, `SELECT name, tbl_name FROM sqlite_schema WHERE type IN ('view', 'trigger') AND sql LIKE '%"%'`)
	for _, o := range objects {
		columns, _ := All[string](ctx, db, "SELECT name FROM pragma_table_info(?)", o.Table)
		for i, column := range columns {
			columns[i] = quoteName(column) + " = " + quoteName(column)
		}
		table := quoteName(o.Table)
		for _, text := range []string{
			"EXPLAIN SELECT * FROM " + table,
			"EXPLAIN INSERT INTO " + table + " DEFAULT VALUES",
			"EXPLAIN DELETE FROM " + table,
			"EXPLAIN UPDATE " + table + " SET " + strings.Join(columns, ", "),
		} {
			// Other errors, such as that of a view of a table that is gone, are those of
			// whoever uses it.
			_, failed := db.Exec(ctx, "?", UnsafeSQL(text))
			if failed != nil && strings.Contains(failed.Error(), "string literal in single-quotes") {
				return true, nil
			}
		}
	}
	return false, err
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// createFile creates SQLite's file if it does not exist. An empty file is an empty
// database. Connections do not create it: one that is made after the file was moved
// would start another database.
func createFile(path string) (os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if failed, ok := err.(*os.PathError); ok {
		return nil, failed.Err // the caller names the file
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Stat()
}

// OpenDB returns a DB that uses an existing connection pool with the limits that it has
// now.
// [DB.Close] closes the pool. Prefer [Open], whose connections do more:
//
//   - Deadlines hold even when PostgreSQL does not answer.
//   - Prepared statements are kept.
//   - A statement is sent again if PostgreSQL has closed the idle connection.
//   - SQLite's writers wait in a queue.
//   - Settings make the engines behave alike.
//   - On PostgreSQL, a comparison with a number that its column cannot hold, or with text
//     that is no number, is no error.
//
// The driver must be lib/pq, backend/sqlite, modernc.org/sqlite or go-sql-driver/mysql, whose
// errors this package can read. If the driver is wrapped, set DBConfig.Engine. Only Engine,
// Timeout and Observer of the config may be set. A pool for MySQL must have the
// parameters parseTime=true, loc=UTC and clientFoundRows=true.
func OpenDB(pool *sql.DB, config ...DBConfig) (*DB, error) {
	if pool == nil {
		return nil, errors.New("open database: the *sql.DB is nil")
	}
	engine := driverEngine(pool)
	if len(config) == 1 && config[0].Engine != "" {
		engine = config[0].Engine
	}
	if !slices.Contains([]Engine{Postgres, SQLite, MySQL}, engine) {
		return nil, fmt.Errorf("open database: the engine of the driver %T is unknown; set DBConfig.Engine to Postgres, SQLite or MySQL", pool.Driver())
	}
	for _, c := range config {
		if c.Engine, c.Timeout, c.Observer = "", 0, nil; c != (DBConfig{}) {
			return nil, errors.New("open database: only Engine, Timeout and Observer of DBConfig can be set for an existing pool; configure the pool itself")
		}
	}
	c, err := oneConfig(config, engine)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &DB{
		engine: engine, config: c, pools: sqlPools(pool), statements: statement.New(engine.dialect()),
		doubtful: engine == Postgres,
	}, nil
}

func oneConfig(configs []DBConfig, engine Engine) (DBConfig, error) {
	switch len(configs) {
	case 0:
		return DBConfig{}.withDefaults(engine)
	case 1:
		return configs[0].withDefaults(engine)
	}
	return DBConfig{}, fmt.Errorf("%d configs were given; give one at most", len(configs))
}

func driverEngine(pool *sql.DB) Engine {
	switch fmt.Sprintf("%T", pool.Driver()) {
	case "*pq.Driver", "pq.Driver":
		return Postgres
	case "*sqliteconn.Driver", "*sqlite.Driver":
		return SQLite
	case "*mysql.MySQLDriver", "mysql.MySQLDriver":
		return MySQL
	}
	return ""
}

// newPools makes the pools for a database. They dial nothing yet.
func newPools(source *dburl.Source, config DBConfig) (pools, error) {
	switch config.Engine {
	case Postgres:
		connector, err := pgconn.NewConnector(source.DSN, pgconn.Config{
			StatementCache: statementsKept, Pooler: config.Pooler, DialTimeout: config.ConnectTimeout,
		})
		if err != nil {
			return pools{}, err
		}
		return onePool(connector, config.MaxConns, config), nil
	case MySQL:
		connector, err := driverConnector("mysql", "github.com/go-sql-driver/mysql", source.DSN+"&timeout="+config.ConnectTimeout.String(),
			dbconn.Options{
				ID:       "SELECT ID, HOST FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()",
				Check:    "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %d AND HOST = '%s'",
				Kill:     "KILL CONNECTION %d",
				Outdated: func(err error) bool { return dberr.MySQLNumber(err) == 1615 }, // ER_NEED_REPREPARE
				Full:     func(err error) bool { return dberr.MySQLNumber(err) == 1461 }, // ER_MAX_PREPARED_STMT_COUNT_REACHED
			})
		if err != nil {
			return pools{}, err
		}
		return onePool(connector, config.MaxConns, config), nil
	}
	return newSQLitePools(source, config)
}

// newSQLitePools makes a pool of one connection that writes, and one of several
// that cannot. A database in memory has one connection for both: without a WAL,
// readers cannot work beside the writer.
func newSQLitePools(source *dburl.Source, config DBConfig) (pools, error) {
	synchronous := "NORMAL"
	if config.Durable {
		synchronous = "FULL"
	}
	common := "_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_defensive=1&_pragma=synchronous(" + synchronous + ")"
	if !source.Memory {
		common += "&_pragma=journal_mode(WAL)"
	}
	if !strings.Contains(source.DSN, "_dqs=") {
		common += "&_dqs=0"
	}
	name, module, wait := "backend-sqlite", "github.com/seed-215b9b7c/backend/sqlite", config.Timeout
	if !slices.Contains(sql.Drivers(), name) && slices.Contains(sql.Drivers(), "sqlite") {
		name, wait = "sqlite", moderncBusyWait // of modernc.org/sqlite
		common += "&_time_format=sqlite&_timezone=UTC"
	}
	common += fmt.Sprintf("&_pragma=busy_timeout(%d)", wait.Milliseconds())
	embedded := dbconn.Options{Embedded: true, Busy: isBusy}
	if !source.Memory {
		path, err := filepath.Abs(source.File)
		if err != nil {
			return pools{}, err
		}
		embedded.Files = []string{path, path + "-wal"}
	}
	writer, err := driverConnector(name, module, source.DSN+common+"&_txlock=immediate", embedded)
	if err != nil {
		return pools{}, err
	}
	if source.Memory {
		return onePool(writer, 1, config), nil // and the anchor
	}
	reader, err := driverConnector(name, module, source.DSN+common+"&_pragma=query_only(1)", embedded)
	if err != nil {
		return pools{}, err
	}
	p := onePool(writer, 1, config)
	p.read, p.readers = newPool(reader, config.MaxConns, config), newGate(config.MaxConns)
	return p, nil
}

// driverConnector returns a connector of a driver that the program must import.
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
