package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	errOutdated = errors.New("outdated")
	errFull     = errors.New("full")
	errBusy     = errors.New("busy")
)

// server is a database that remembers what it was asked.
type server struct {
	mark string // of its connections, which all have the number 7
	log  []string
	fail map[string][]error // what the next calls fail with
}

func (s *server) call(what string) error {
	s.log = append(s.log, what)
	if errs := s.fail[what]; len(errs) > 0 {
		s.fail[what] = errs[1:]
		return errs[0]
	}
	return nil
}

func (s *server) Driver() driver.Driver { return nil }

func (s *server) Connect(context.Context) (driver.Conn, error) {
	return &serverConn{server: s}, nil
}

type serverConn struct {
	server *server
	dead   bool
}

func (c *serverConn) Prepare(text string) (driver.Stmt, error) {
	if err := c.server.call("prepare " + text); err != nil {
		return nil, err
	}
	return &serverStmt{c.server, text}, nil
}

func (c *serverConn) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }
func (c *serverConn) Close() error              { return c.server.call("close") }
func (c *serverConn) IsValid() bool             { return !c.dead }

func (c *serverConn) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), c.server.call(text)
}

func (c *serverConn) QueryContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := c.server.call(text); err != nil {
		return nil, err
	}
	switch {
	case text == "who":
		return &serverRows{row: []driver.Value{[]byte("7"), []byte(c.server.mark)}}, nil
	case strings.HasPrefix(text, "check"):
		found := int64(0)
		if text == "check 7 "+c.server.mark {
			found = 1
		}
		return &serverRows{row: []driver.Value{found}}, nil
	}
	return &serverRows{row: []driver.Value{int64(1)}}, nil
}

type serverStmt struct {
	server *server
	text   string
}

func (s *serverStmt) Close() error  { return s.server.call("close " + s.text) }
func (s *serverStmt) NumInput() int { return -1 }

func (s *serverStmt) Exec([]driver.Value) (driver.Result, error) {
	return driver.RowsAffected(1), s.server.call("exec " + s.text)
}

func (s *serverStmt) Query([]driver.Value) (driver.Rows, error) {
	return &serverRows{row: []driver.Value{int64(1)}}, s.server.call("query " + s.text)
}

type serverRows struct {
	row  []driver.Value
	done bool
}

func (r *serverRows) Columns() []string { return make([]string, len(r.row)) }
func (r *serverRows) Close() error      { return nil }

func (r *serverRows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	copy(dest, r.row)
	return nil
}

func connect(t *testing.T, s *server, options Options) Conn {
	t.Helper()
	options.Statements = 2
	options.Outdated = func(err error) bool { return errors.Is(err, errOutdated) }
	options.Full = func(err error) bool { return errors.Is(err, errFull) }
	options.Busy = func(err error) bool { return errors.Is(err, errBusy) }
	raw, err := NewConnector(s, options).Connect(t.Context())
	require.NoError(t, err)
	s.log = nil
	return raw.(Conn)
}

var one = []driver.NamedValue{{Ordinal: 1, Value: int64(1)}}

func TestStatementThatIsOutdated(t *testing.T) {
	t.Parallel()
	s := &server{fail: map[string][]error{"exec a": {nil, errOutdated, nil, errOutdated, errOutdated}, "query b": {errOutdated}}}
	conn := connect(t, s, Options{})
	for range 3 {
		_, err := conn.ExecContext(t.Context(), "a", one)
		if err != nil {
			require.ErrorIs(t, err, errOutdated, "twice is enough")
		}
	}
	require.Equal(t, []string{"prepare a", "exec a", "exec a", "close a", "prepare a", "exec a", "exec a", "close a", "prepare a", "exec a", "close a"}, s.log)
	rows, err := conn.QueryContext(t.Context(), "b", one)
	require.NoError(t, err)
	require.NoError(t, rows.Close())
}

func TestServerWithoutRoomForStatements(t *testing.T) {
	t.Parallel()
	s := &server{fail: map[string][]error{"prepare b": {errFull}, "prepare c": {errFull, errFull}}}
	conn := connect(t, s, Options{})
	_, err := conn.ExecContext(t.Context(), "a", one)
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "b", one)
	require.NoError(t, err)
	require.Equal(t, []string{"prepare a", "exec a", "prepare b", "close a", "prepare b", "exec b"}, s.log)
	_, err = conn.ExecContext(t.Context(), "c", one)
	require.ErrorIs(t, err, errFull)
}

// SQLite's lock is waited for outside a transaction only.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := &server{fail: map[string][]error{"a": {errBusy, errBusy}, "exec a": {errBusy}, "b": {errBusy}, "query b": {errBusy}, "BEGIN": {errBusy}, "c": {errBusy}}}
	conn := connect(t, s, Options{Embedded: true})
	_, err := conn.ExecContext(t.Context(), "a", nil)
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "a", one)
	require.NoError(t, err)
	for _, args := range [][]driver.NamedValue{nil, one} {
		rows, err := conn.QueryContext(t.Context(), "b", args)
		require.NoError(t, err)
		require.NoError(t, rows.Close())
	}
	require.NoError(t, conn.StartTx(t.Context(), "BEGIN"))
	_, err = conn.ExecContext(t.Context(), "c", nil)
	require.ErrorIs(t, err, errBusy)
	require.NoError(t, conn.Rollback(t.Context()))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.fail["a"] = []error{errBusy, errBusy}
	_, err = conn.ExecContext(ctx, "a", nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errBusy)
}

// The number alone may be somebody else's connection by now.
func TestOnlyOneOwnConnectionIsKilled(t *testing.T) {
	t.Parallel()
	for _, mark := range []string{"here:1", "elsewhere:2"} {
		s := &server{mark: "here:1"}
		conn := connect(t, s, Options{ID: "who", Check: "check %d %s", Kill: "kill %d"}).(*conn)
		s.mark = mark // of the connection with that number now
		conn.Conn.(*serverConn).dead = true
		require.NoError(t, conn.Close())
		require.NoError(t, conn.connector.Close())
		want := []string{"close", "check 7 here:1", "close"}
		if mark == "here:1" {
			want = []string{"close", "check 7 here:1", "kill 7", "close"}
		}
		require.Equal(t, want, s.log)
	}
}
