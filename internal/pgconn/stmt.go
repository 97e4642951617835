package pgconn

import (
	"context"
	"database/sql/driver"
)

// Stmt is a statement prepared through database/sql. It only has the text. The statement
// itself is in the cache of the connection, and is prepared again if it was dropped
// there, so that it survives schema changes.
type Stmt struct {
	conn   *Conn
	text   string
	inputs int
}

var (
	_ driver.StmtQueryContext = (*Stmt)(nil)
	_ driver.StmtExecContext  = (*Stmt)(nil)
)

// Prepare is [Conn.PrepareContext] without a bound on time.
func (c *Conn) Prepare(text string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

// PrepareContext prepares a statement, which reports its mistakes. If the statement is
// not kept, as with a pooler or for a very long text, PrepareContext sends nothing, and
// mistakes are reported when the statement is executed.
func (c *Conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if err := c.check(text, nil, true); err != nil {
		return nil, err
	}
	if !c.keeps(text) {
		return &Stmt{conn: c, text: text, inputs: -1}, nil
	}
	if err := c.begin(ctx, true); err != nil {
		return nil, err
	}
	e, _, err := c.statement(text, nil)
	if err != nil {
		return nil, c.end(err, true)
	}
	inputs := len(e.Stmt.params)
	if err := c.end(c.release(e), true); err != nil {
		return nil, err
	}
	return &Stmt{conn: c, text: text, inputs: inputs}, nil
}

// NumInput returns how many arguments the statement takes, or -1 if that is not
// known before it is executed.
func (s *Stmt) NumInput() int {
	return s.inputs
}

// QueryContext runs the statement as [Conn.QueryContext] does.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.rowsOf(ctx, s.text, args, true)
}

// ExecContext runs the statement as [Conn.ExecContext] does.
func (s *Stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.execute(ctx, s.text, args, true)
}

// Query and Exec complete driver.Stmt; database/sql prefers the methods with a
// context.
func (s *Stmt) Query(values []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(values))
}

func (s *Stmt) Exec(values []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(values))
}

// Close does nothing: the connection decides when the statement ends.
func (s *Stmt) Close() error {
	return nil
}

func named(values []driver.Value) []driver.NamedValue {
	args := make([]driver.NamedValue, len(values))
	for i, value := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	return args
}
