package backend

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file has the type of databases and their configuration. They are opened in
// dbopen.go and used in query.go, tx.go and migrate.go.

// Engine names the kind of a database.
type Engine string

const (
	// Postgres is PostgreSQL; tested with version 15.
	Postgres Engine = "postgres"
	// SQLite is SQLite as in modernc.org/sqlite, which needs no C.
	SQLite Engine = "sqlite"
	// MySQL is MariaDB, tested with version 10.11, which has RETURNING for INSERT
	// and DELETE, or MySQL, which has none and is not tested.
	MySQL Engine = "mysql"
)

// dialect returns the engine's SQL.
func (e Engine) dialect() sqltext.Dialect {
	switch e {
	case Postgres:
		return sqltext.Postgres
	case MySQL:
		return sqltext.MySQL
	}
	return sqltext.SQLite
}

// DBConfig holds the knobs of a database. The zero value is a good choice for
// one process beside a local database. A value that makes no sense, such as a
// negative one, is an error of [Open].
type DBConfig struct {
	// MaxConns is the largest number of connections; for SQLite of those that
	// read, since exactly one writes; in memory, one does both. Defaults to 4 for each processor and at
	// least 10. All server processes together must stay below the server's
	// own limit.
	MaxConns int
	// MaxConnLifetime is the age at which a connection is replaced. Defaults
	// to 30 minutes, for SQLite to never.
	MaxConnLifetime time.Duration
	// MaxConnIdleTime is how long an unused connection is kept. Defaults to 5
	// minutes, for SQLite to forever.
	MaxConnIdleTime time.Duration
	// ConnectTimeout bounds making a connection. Defaults to 5 seconds.
	ConnectTimeout time.Duration
	// Timeout bounds each statement, and each transaction as a whole, whose
	// context has no deadline of its own. Defaults to 30 seconds. SQLite looks
	// at deadlines until a query's first row and between rows, but its driver
	// cannot stop it while it looks for the next one.
	Timeout time.Duration
	// Durable makes SQLite wait for the disk at every commit, so that what was
	// committed survives a power failure. Without it the last commits before
	// one may be lost; the file stays sound, and a crash of the program alone
	// loses nothing. PostgreSQL and MySQL wait unless their server is set not
	// to.
	Durable bool
	// Pooler says that PgBouncer or another pooler in transaction mode stands
	// before PostgreSQL. Statements are then not prepared by name, which costs
	// a round trip less caching, and which such a pooler mixes up otherwise.
	Pooler bool
	// Observer is told of each SQL statement of the program, see [StatementEvent].
	// What begins and ends transactions, and the files of migrations, are not
	// observed.
	// Defaults to none.
	Observer Observer
	// Engine is for [OpenDB] only, where the driver does not tell.
	Engine Engine
}

// withDefaults returns the config with its zero values filled in, or an error
// that names every value that makes no sense.
func (c DBConfig) withDefaults(engine Engine) (DBConfig, error) {
	var wrong []error
	check := func(name string, negative bool) {
		if negative {
			wrong = append(wrong, fmt.Errorf("DBConfig.%s is negative; leave it out for the default", name))
		}
	}
	check("MaxConns", c.MaxConns < 0)
	check("MaxConnLifetime", c.MaxConnLifetime < 0)
	check("MaxConnIdleTime", c.MaxConnIdleTime < 0)
	check("ConnectTimeout", c.ConnectTimeout < 0)
	check("Timeout", c.Timeout < 0)
	if c.Pooler && engine != Postgres {
		wrong = append(wrong, fmt.Errorf("DBConfig.Pooler is for PostgreSQL, and this is %s", engine))
	}
	if c.Engine != "" && c.Engine != engine {
		wrong = append(wrong, fmt.Errorf("DBConfig.Engine is %q, and this is %s", c.Engine, engine))
	}
	c.MaxConns = cmp.Or(c.MaxConns, max(10, 4*runtime.GOMAXPROCS(0)))
	if engine != SQLite {
		c.MaxConnLifetime = cmp.Or(c.MaxConnLifetime, 30*time.Minute)
		c.MaxConnIdleTime = cmp.Or(c.MaxConnIdleTime, 5*time.Minute)
	}
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Engine = engine
	return c, errors.Join(wrong...)
}

// DB is a database: PostgreSQL, MySQL, MariaDB or SQLite, all used in the same
// way. Queries are made with [One], [Maybe], [All], [Each] and [DB.Exec],
// transactions with [DB.Tx].
//
// A DB is safe for concurrent use, and one is enough for a program. The
// goroutines it has are the pool's and the drivers', and those that end on a
// server what was given up here; all of them end with [DB.Close].
type DB struct {
	engine Engine
	config DBConfig
	pools

	anchor *sql.Conn   // SQLite in memory: keeps the database alive
	path   string      // SQLite's file
	file   os.FileInfo // what it was when it was opened; else nil

	// doubtful says that the driver reports a bad connection even when it has
	// sent the statement, as lib/pq does by itself, so that it must not be
	// sent again.
	doubtful bool

	statements *statement.Set
}

// pools are the connections of a database.
type pools struct {
	write  *sql.DB
	read   *sql.DB       // the same as write except for SQLite files
	writer chan struct{} // SQLite: the queue for the one writer; else nil
}

// Engine returns the kind of the database.
func (db *DB) Engine() Engine { return db.engine }

// Close closes the connections that are not in use, and lets queries and
// transactions that run close theirs when they end; it does not wait for them.
// Beginning anything afterwards is an [Unavailable] error. Closing twice is
// allowed.
func (db *DB) Close() error {
	var errs []error
	if db.anchor != nil {
		if err := db.anchor.Close(); !errors.Is(err, sql.ErrConnDone) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, db.write.Close())
	if db.read != db.write {
		errs = append(errs, db.read.Close())
	}
	return errors.Join(errs...)
}

// SQLX returns the pool underneath as sqlx knows it, for what this package does
// not cover. For SQLite it is the one connection that writes. Its queries are
// PostgreSQL's $1, do not take part in [DB.Tx], and its errors are the
// driver's own.
func (db *DB) SQLX() *sqlx.DB {
	names := map[Engine]string{Postgres: "postgres", SQLite: "sqlite3", MySQL: "mysql"}
	return sqlx.NewDb(db.write, names[db.engine])
}
