package sqliteconn

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-215b9b7c/backend/internal/stamp"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// statement is a prepared statement. A text without a statement, such as a comment, is one
// that returns nothing.
type statement struct {
	conn    *Conn
	handle  uintptr                      // the sqlite3_stmt; 0 if there is none, or after Close
	entry   *stmtcache.Entry[*statement] // in the connection's cache, or nil
	owned   bool                         // a Stmt closes it
	running bool                         // it has open rows

	params int
	names  []parameter // nil if each parameter is a ?

	columns  []string
	types    []string // of the columns, as they are declared, in upper case
	times    []bool   // whether such a type is one of a time
	prepared int32    // how often SQLite has prepared it again

	memory uintptr // for arguments that are text or bytes, which SQLite does not copy
	size   int     // of memory
}

// parameter is a parameter with a number or a name.
type parameter struct {
	number int    // of the argument, from 1, or 0
	name   string // of the argument
}

// script is a text with statements that are not prepared yet, in Go's memory and in SQLite's.
type script struct {
	text    string
	address uintptr // of text
	start   uintptr // what is freed
}

// newScript copies a text, whose start the caller frees. Like SQLite, it reads no further than a NUL.
func (c *Conn) newScript(text string) (*script, error) {
	text, _, _ = strings.Cut(text, "\x00")
	address, err := libc.CString(text)
	if err != nil {
		return nil, err
	}
	s := &script{text, address, address}
	s.skip(0)
	return s, nil
}

// skip removes the first n bytes, and what is blank after them.
func (s *script) skip(n int) {
	rest := skipBlank(s.text[n:])
	s.address += uintptr(len(s.text) - len(rest))
	s.text = rest
}

// prepare prepares the first statement of a script and removes it from the script. If keep is
// set, the statement is executed often.
func (c *Conn) prepare(ctx context.Context, from *script, keep bool) (*statement, error) {
	s := &statement{conn: c}
	flags := uint32(0)
	if keep {
		flags = sqlite3.SQLITE_PREPARE_PERSISTENT
	}
	for from.text != "" && s.handle == 0 {
		c.ctx = ctx
		code := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, from.address, int32(len(from.text)+1), flags, c.results, c.results+pointerSize)
		c.ctx = nil
		if code != sqlite3.SQLITE_OK {
			return nil, c.failure(ctx, code)
		}
		s.handle = addressAt(c.results)
		from.skip(int(addressAt(c.results+pointerSize) - from.address))
	}
	if s.handle != 0 {
		c.live[s] = struct{}{}
		s.readParams()
		s.readColumns()
	}
	return s, nil
}

func (s *statement) readParams() {
	s.params = int(sqlite3.Xsqlite3_bind_parameter_count(s.conn.tls, s.handle))
	for i := range s.params {
		name := libc.GoString(sqlite3.Xsqlite3_bind_parameter_name(s.conn.tls, s.handle, int32(i+1)))
		if name == "" {
			continue
		}
		if s.names == nil {
			s.names = make([]parameter, s.params)
		}
		s.names[i].name = name[1:]
		if name[0] == '?' || name[0] == '$' {
			s.names[i].number, _ = strconv.Atoi(name[1:])
		}
	}
}

// readColumns reads the names and types of the columns. They change when SQLite prepares the
// statement again, because the schema has changed.
func (s *statement) readColumns() {
	tls, n := s.conn.tls, int(sqlite3.Xsqlite3_column_count(s.conn.tls, s.handle))
	s.columns, s.types, s.times = make([]string, n), make([]string, n), make([]bool, n)
	for i := range n {
		s.columns[i] = libc.GoString(sqlite3.Xsqlite3_column_name(tls, s.handle, int32(i)))
		s.types[i] = strings.ToUpper(libc.GoString(sqlite3.Xsqlite3_column_decltype(tls, s.handle, int32(i))))
		s.times[i] = s.types[i] == "DATE" || s.types[i] == "DATETIME" || s.types[i] == "TIMESTAMP"
	}
}

// query executes the statement, until its first row.
func (s *statement) query(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if s.handle == 0 {
		return &rows{columns: []string{}}, nil
	}
	if err := s.bind(args); err != nil {
		s.release()
		return nil, err
	}
	row, err := s.step(ctx)
	if err != nil {
		s.reset()
		return nil, err
	}
	if again := sqlite3.Xsqlite3_stmt_status(s.conn.tls, s.handle, sqlite3.SQLITE_STMTSTATUS_REPREPARE, 0); again != s.prepared {
		s.prepared = again
		s.readColumns()
	}
	s.running = true
	r := &rows{statement: s, ctx: ctx, columns: s.columns, state: ended}
	if row {
		r.state = stepped
	}
	return r, nil
}

// exec executes the statement to its end.
func (s *statement) exec(ctx context.Context, args []driver.NamedValue) (result, error) {
	if s.handle == 0 {
		return result{}, nil
	}
	if err := s.bind(args); err != nil {
		s.release()
		return result{}, err
	}
	for {
		switch row, err := s.step(ctx); {
		case err != nil:
			s.reset()
			return result{}, err
		case !row:
			c := s.conn
			done := result{id: sqlite3.Xsqlite3_last_insert_rowid(c.tls, c.db), changes: sqlite3.Xsqlite3_changes64(c.tls, c.db)}
			s.reset()
			return done, nil
		}
	}
}

// step executes the statement until its next row.
func (s *statement) step(ctx context.Context) (row bool, err error) {
	c := s.conn
	c.ctx = ctx
	code := sqlite3.Xsqlite3_step(c.tls, s.handle)
	c.ctx = nil
	switch code {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	}
	return false, c.failure(ctx, code)
}

// reset ends an execution, and releases the statement. It returns the error of a step again.
// If the last step returned a row, its own error is that of the statement's commit.
func (s *statement) reset() error {
	var err error
	if code := sqlite3.Xsqlite3_reset(s.conn.tls, s.handle); code != sqlite3.SQLITE_OK {
		err = newError(s.conn.tls, s.conn.db, code)
	}
	s.release()
	return err
}

// release makes the statement available for the next execution, or closes it.
func (s *statement) release() {
	s.running = false
	if s.size > memoryKept {
		s.drop()
	}
	switch {
	case s.entry != nil:
		s.conn.statements.Release(s.entry)
	case !s.owned:
		s.Close()
	}
}

// Close finalizes the statement.
func (s *statement) Close() error {
	if s.handle != 0 {
		sqlite3.Xsqlite3_finalize(s.conn.tls, s.handle)
		s.handle = 0
		free(s.conn.tls, s.memory)
		s.memory, s.size = 0, 0
		delete(s.conn.live, s)
	}
	return nil
}

// memoryKept is how much memory for arguments an idle statement keeps.
const memoryKept = 4096

// drop frees the memory for arguments.
func (s *statement) drop() {
	sqlite3.Xsqlite3_clear_bindings(s.conn.tls, s.handle)
	free(s.conn.tls, s.memory)
	s.memory, s.size = 0, 0
}

// reserve makes room for n bytes of arguments. Before, no parameter is bound to the old ones
// that SQLite would still read.
func (s *statement) reserve(n int) (err error) {
	if n <= s.size {
		return nil
	}
	s.drop()
	n = max(n, 64)
	if s.memory, err = allocate(s.conn.tls, n); err == nil {
		s.size = n
	}
	return err
}

// bind sets the parameters. It takes time in proportion to their number.
func (s *statement) bind(args []driver.NamedValue) error {
	need := 0
	for i := range s.params {
		arg, err := s.argument(args, i)
		if err != nil {
			return err
		}
		switch v := arg.(type) {
		case string:
			need += len(v) + 1
		case []byte:
			need += len(v) + 1
		case time.Time:
			need += len(time.RFC3339Nano) + 1
		}
	}
	if err := s.reserve(need); err != nil {
		return err
	}
	to := s.memory
	for i := range s.params {
		arg, _ := s.argument(args, i)
		code, used := s.bindValue(int32(i+1), arg, to)
		if code != sqlite3.SQLITE_OK {
			return newError(s.conn.tls, s.conn.db, code)
		}
		if used < 0 {
			return fmt.Errorf("sqlite: argument %d is %T, which is no driver.Value", i+1, arg)
		}
		to += uintptr(used)
	}
	return nil
}

// bindValue sets a parameter. Text and bytes are copied to the address to; used is how many,
// or negative for a value of another type.
func (s *statement) bindValue(i int32, arg driver.Value, to uintptr) (code int32, used int) {
	tls := s.conn.tls
	switch v := arg.(type) {
	case nil:
		return sqlite3.Xsqlite3_bind_null(tls, s.handle, i), 0
	case int64:
		return sqlite3.Xsqlite3_bind_int64(tls, s.handle, i, v), 0
	case float64:
		return sqlite3.Xsqlite3_bind_double(tls, s.handle, i, v), 0
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		return sqlite3.Xsqlite3_bind_int64(tls, s.handle, i, n), 0
	case time.Time:
		return s.bindText(i, stamp.Text(v), to)
	case string:
		return s.bindText(i, v, to)
	case []byte:
		if v == nil {
			return sqlite3.Xsqlite3_bind_null(tls, s.handle, i), 0
		}
		copy(bytesAt(to, len(v)), v)
		return sqlite3.Xsqlite3_bind_blob64(tls, s.handle, i, to, uint64(len(v)), 0), len(v) + 1
	}
	return sqlite3.SQLITE_OK, -1
}

func (s *statement) bindText(i int32, text string, to uintptr) (code int32, used int) {
	copy(bytesAt(to, len(text)), text)
	return sqlite3.Xsqlite3_bind_text64(s.conn.tls, s.handle, i, to, uint64(len(text)), 0, sqlite3.SQLITE_UTF8), len(text) + 1
}

// argument returns the argument for parameter i, from 0.
func (s *statement) argument(args []driver.NamedValue, i int) (driver.Value, error) {
	number, name := i+1, ""
	if s.names != nil && s.names[i] != (parameter{}) {
		number, name = s.names[i].number, s.names[i].name
	}
	if number > 0 && number <= len(args) && args[number-1].Ordinal == number {
		return args[number-1].Value, nil
	}
	at := slices.IndexFunc(args, func(arg driver.NamedValue) bool {
		return number > 0 && arg.Ordinal == number || name != "" && arg.Name == name
	})
	switch {
	case at >= 0:
		return args[at].Value, nil
	case name != "":
		return nil, fmt.Errorf("missing named argument %q", name)
	}
	return nil, fmt.Errorf("missing argument with index %d", number)
}

// result is the result of a statement.
type result struct{ id, changes int64 }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.changes, nil }
