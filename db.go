package backend

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/dbpool"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file has the type of databases and their configuration. They are opened in
// dbopen.go and used in query.go, tx.go and migrate.go.

// Engine is a kind of database.
type Engine string

const (
	// Postgres is PostgreSQL, tested with version 15.
	Postgres Engine = "postgres"
	// SQLite is SQLite with the driver of the package sqlite in this module, which needs no C
	// compiler. The driver of modernc.org/sqlite, which has the same engine, works too. It is
	// slower, most of all for many rows and long lists, and checks deadlines only until the
	// first row of a query and between rows: it cannot interrupt the search for the next row.
	SQLite Engine = "sqlite"
	// MySQL is MariaDB, tested with version 10.11, or MySQL, which is not tested.
	// MariaDB has RETURNING for INSERT and DELETE, MySQL has none.
	MySQL Engine = "mysql"
)

// dialect returns the SQL dialect of the engine.
func (e Engine) dialect() sqltext.Dialect {
	switch e {
	case Postgres:
		return sqltext.Postgres
	case MySQL:
		return sqltext.MySQL
	}
	return sqltext.SQLite
}

// DBConfig configures a database. The zero value suits a program with a database on
// the same machine. [Open] returns an error for an invalid value, such as a
// negative one.
type DBConfig struct {
	// MaxConns is the largest number of connections. On SQLite it counts those
	// that read: one more writes, and a database in memory has a single connection.
	// The connections of all processes together must stay below the limit of the
	// server. Defaults to 4 for each processor, and at least 10. If all are in use,
	// requests wait for a short time and are then refused, see the section "Overload" of
	// the package documentation.
	MaxConns int
	// MaxConnLifetime is the age at which a connection is replaced. Defaults to 30
	// minutes. SQLite's connections are not replaced by default.
	MaxConnLifetime time.Duration
	// MaxConnIdleTime is how long an unused connection stays open. Defaults to 5
	// minutes. SQLite's connections stay open by default.
	MaxConnIdleTime time.Duration
	// ConnectTimeout bounds the time to open a connection. Defaults to 5 seconds.
	ConnectTimeout time.Duration
	// Timeout bounds each statement and each transaction whose context has no
	// deadline. Defaults to 30 seconds. SQLite does not look at deadlines while it sorts the
	// rows that it has found, which takes about a second for a million.
	Timeout time.Duration
	// Durable makes SQLite wait for the disk at every commit, so that no commit is
	// lost in a power failure. Defaults to false: a power failure may then lose the
	// last commits, but does not damage the file, and a crash of the program loses
	// nothing. PostgreSQL and MySQL wait unless their server is configured not to.
	Durable bool
	// Pooler says that the connections to PostgreSQL go through PgBouncer or another
	// pooler in transaction mode. Such a pooler mixes up prepared statements of
	// different connections, so statements are not prepared by name, and PostgreSQL
	// parses each of them every time. Defaults to false.
	Pooler bool
	// Observer is told of each SQL statement, see [StatementEvent]. It includes the
	// statements of this package itself: those of [Idempotent] have the name of the
	// operation, and those of Open, Ping and Migrate none. The statements that begin and
	// end transactions, and those in the files of migrations, are not included.
	// Defaults to none.
	Observer Observer
	// Engine is the engine of a pool given to [OpenDB] whose driver is wrapped.
	// Defaults to the engine of the driver or the URL.
	Engine Engine
}

// withDefaults returns the config with defaults for zero values. Its error names
// every invalid value.
func (c DBConfig) withDefaults(engine Engine) (DBConfig, error) {
	var wrong []error
	check := func(name string, negative bool) {
		if negative {
			wrong = append(wrong, fmt.Errorf("DBConfig.%s is negative; leave it out to get the default", name))
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

// DB is a database: PostgreSQL, MySQL, MariaDB or SQLite. [Open] makes one. [One],
// [Maybe], [All], [Each] and [DB.Exec] run queries, and [DB.Tx] runs transactions.
//
// A DB is safe for concurrent use, and a program needs only one for each database.
// Its goroutines are those of the pool and the drivers, and those that cancel
// abandoned statements on the server. All of them end with [DB.Close].
type DB struct {
	engine Engine
	config DBConfig
	pools

	closing sync.Once
	anchor  rawConn     // SQLite in memory: keeps the database alive
	path    string      // SQLite's file
	file    os.FileInfo // what it was when it was opened; else nil

	// doubtful says that the driver may report a bad connection after it has sent
	// the statement, as lib/pq does. The statement must not be sent again then.
	doubtful bool

	statements *statement.Set
}

// pools are the connections of a database.
type pools struct {
	write connSource
	read  connSource // the same as write except for SQLite files
	sql   *sql.DB    // the connections of write for SQLX

	// writers and readers are the queues for the connections of write and read: the same
	// for the same pool, and nil for a pool of OpenDB without a limit.
	writers, readers *admission.Gate
}

// rawConn is a connection that was taken from a pool, or none. It is no interface, so that
// functions for Raw need not be allocated.
type rawConn struct {
	own *dbpool.Conn
	sql *sql.Conn // of a pool of OpenDB
}

// Raw calls f with the driver's connection. A connection is not used again after f has
// panicked or returned [driver.ErrBadConn].
func (c rawConn) Raw(f func(driverConn any) error) error {
	if c.own != nil {
		return c.own.Raw(f)
	}
	return c.sql.Raw(f)
}

// Close gives the connection back.
func (c rawConn) Close() error {
	if c.own != nil {
		return c.own.Close()
	}
	return c.sql.Close()
}

// connSource is a pool of connections.
type connSource interface {
	take(ctx context.Context) (rawConn, error)
	Close() error
}

// Engine returns the kind of the database.
func (db *DB) Engine() Engine { return db.engine }

// Close closes the connections that are not in use. Queries and transactions that
// are running close theirs when they end; Close does not wait for them. A new query
// or transaction is an [Unavailable] error. Closing twice is allowed.
func (db *DB) Close() (err error) {
	db.closing.Do(func() {
		if db.anchor != (rawConn{}) {
			err = db.anchor.Close()
		}
		err = errors.Join(err, db.sql.Close(), db.write.Close())
		if db.read != db.write {
			err = errors.Join(err, db.read.Close())
		}
	})
	return err
}

// SQLX returns the pool of the database as an sqlx.DB, for what this package does not
// cover. On SQLite it is the one connection that writes. Its queries use the
// placeholders of the engine, such as $1 on PostgreSQL. They are not part of
// [DB.Tx], and their errors are those of the driver. They must leave the session of the
// connection as it was, without an open transaction.
func (db *DB) SQLX() *sqlx.DB {
	names := map[Engine]string{Postgres: "postgres", SQLite: "sqlite3", MySQL: "mysql"}
	return sqlx.NewDb(db.sql, names[db.engine])
}
