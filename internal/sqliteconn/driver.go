// Package sqliteconn is a database/sql driver for SQLite. It uses the engine of
// modernc.org/sqlite, and not the driver of that package. Its connections keep their
// prepared statements, return rows without an allocation for each value, and end statements
// with their contexts.
package sqliteconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

func init() { sqlite3.PatchIssue199() } // sets the page size of arm64

// Driver is the driver. A data source name is a file name or a URI of SQLite
// (https://www.sqlite.org/uri.html). These parameters may follow a question mark:
//
//   - _pragma, any number of times: a PRAGMA to execute, such as foreign_keys(1). The
//     busy_timeout is how long a statement without a deadline waits for the lock of another
//     connection; others wait until their deadline.
//   - _txlock: how database/sql begins transactions that write: deferred, immediate, exclusive
//   - _dqs=0: a name in double quotes that does not exist is an error, and not a string
//   - _defensive=1: SQL cannot corrupt the file
//
// Others that begin with an underscore are errors. SQLite reads the rest.
type Driver struct{}

// Open opens a connection.
func (d *Driver) Open(name string) (driver.Conn, error) {
	connector, err := d.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return connector.Connect(context.Background())
}

// OpenConnector reads a data source name. It opens nothing.
func (d *Driver) OpenConnector(name string) (driver.Connector, error) {
	c := &connector{driver: d, name: name}
	before, query, found := strings.Cut(name, "?")
	if !found {
		return c, nil
	}
	if !strings.HasPrefix(name, "file:") {
		c.name = before
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("sqlite: data source name: %w", err)
	}
	return c, c.set(values)
}

type connector struct {
	driver    *Driver
	name      string
	pragmas   []string
	begin     string // of transactions that write
	busyWait  time.Duration
	noStrings bool // in double quotes
	defensive bool
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) set(values url.Values) error {
	for key, value := range values {
		if !strings.HasPrefix(key, "_") {
			continue
		}
		first, ok := value[0], len(value) == 1
		switch key {
		case "_pragma":
			c.setPragmas(value)
			ok = true
		case "_txlock":
			c.begin = "BEGIN " + strings.ToUpper(first)
			ok = ok && slices.Contains([]string{"BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"}, c.begin)
		case "_dqs":
			c.noStrings, ok = first == "0", ok && (first == "0" || first == "1")
		case "_defensive":
			c.defensive, ok = first == "1", ok && (first == "0" || first == "1")
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("sqlite: data source name: the parameter %s=%s is unknown", key, first)
		}
	}
	return nil
}

var busyTimeout = lazyre.New(`(?i)^\s*busy_timeout\s*[=(]\s*([0-9]{1,9})\s*\)?\s*$`)

// setPragmas reads the PRAGMAs. The busy_timeout is none for SQLite: its handler would replace
// that of the connection.
func (c *connector) setPragmas(pragmas []string) {
	for _, pragma := range pragmas {
		m := busyTimeout().FindStringSubmatch(pragma)
		if m == nil {
			c.pragmas = append(c.pragmas, pragma)
			continue
		}
		millis, _ := strconv.Atoi(m[1])
		c.busyWait = time.Duration(millis) * time.Millisecond
	}
}

// statementsKept is how many prepared statements a connection keeps.
const statementsKept = 256

// Connect opens a connection.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn := &Conn{tls: libc.NewTLS(), begin: c.begin, busyWait: c.busyWait, statements: stmtcache.New[*statement](statementsKept), live: map[*statement]struct{}{}}
	if err := conn.open(ctx, c); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// open opens the database and configures the connection. The order is prescribed: what
// concerns the reading of SQL comes before the first statement.
func (c *Conn) open(ctx context.Context, from *connector) (err error) {
	if c.results, err = allocate(c.tls, 2*int(pointerSize)); err != nil {
		return err
	}
	if err := c.openFile(from.name); err != nil {
		return err
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	if from.defensive {
		err = c.configure(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, 1)
	}
	if from.noStrings {
		err = errors.Join(err, c.configure(sqlite3.SQLITE_DBCONFIG_DQS_DDL, 0), c.configure(sqlite3.SQLITE_DBCONFIG_DQS_DML, 0))
	}
	if err != nil {
		return err
	}
	c.watch()
	for _, pragma := range from.pragmas {
		if _, err := c.ExecContext(ctx, "PRAGMA "+pragma, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) openFile(name string) error {
	if strings.IndexByte(name, 0) >= 0 {
		return errors.New("sqlite: the name of the file has a NUL byte")
	}
	cName, err := libc.CString(name)
	if err != nil {
		return err
	}
	defer free(c.tls, cName)
	// One goroutine at a time uses a connection, so it needs no mutex.
	code := sqlite3.Xsqlite3_open_v2(c.tls, cName, c.results,
		sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_CREATE|sqlite3.SQLITE_OPEN_URI|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = addressAt(c.results) // also after an error, unless there is no memory
	if code != sqlite3.SQLITE_OK {
		return newError(c.tls, c.db, code)
	}
	return nil
}

// configure sets an option of sqlite3_db_config that is an int.
func (c *Conn) configure(option, value int32) error {
	const slot = 8 // of an argument in a list of variable length
	list, err := allocate(c.tls, 2*slot)
	if err != nil {
		return err
	}
	defer free(c.tls, list)
	if code := sqlite3.Xsqlite3_db_config(c.tls, c.db, option, libc.VaList(list, value, uintptr(0))); code != sqlite3.SQLITE_OK {
		return newError(c.tls, c.db, code)
	}
	return nil
}
