package dbpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/dbpool"
)

// server makes connections and knows which are open.
type server struct {
	made   int
	closed atomic.Int32
	fail   error
	shut   bool
}

func (s *server) Driver() driver.Driver { return nil }
func (s *server) Close() error          { s.shut = true; return nil }

func (s *server) Connect(ctx context.Context) (driver.Conn, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	s.made++
	return &conn{server: s, number: s.made}, ctx.Err()
}

// conn is a connection that can be invalid, or lost since its last use.
type conn struct {
	server        *server
	number        int
	invalid, lost bool
	closed        bool
}

func (c *conn) Close() error {
	c.closed = true
	c.server.closed.Add(1)
	return nil
}

func (c *conn) ResetSession(context.Context) error {
	if c.lost {
		return driver.ErrBadConn
	}
	return nil
}

func (c *conn) IsValid() bool                                               { return !c.invalid }
func (c *conn) Prepare(string) (driver.Stmt, error)                         { return nil, errors.ErrUnsupported }
func (c *conn) Begin() (driver.Tx, error)                                   { return nil, errors.ErrUnsupported }
func (c *conn) PrepareContext(context.Context, string) (driver.Stmt, error) { return c.Prepare("") }
func (c *conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return c.Begin()
}
func (c *conn) Ping(context.Context) error               { return nil }
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }
func (c *conn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, errors.ErrUnsupported
}

func (c *conn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(c.number), nil
}

func take(t *testing.T, p *dbpool.Pool) *dbpool.Conn {
	t.Helper()
	c, err := p.Conn(t.Context())
	require.NoError(t, err)
	return c
}

func number(c *dbpool.Conn) int { return c.Driver().(*conn).number }

func TestTheLastOneUsedComesFirst(t *testing.T) {
	t.Parallel()
	s := new(server)
	p := dbpool.New(s, dbpool.Config{Idle: 2})
	one, two, three := take(t, p), take(t, p), take(t, p)
	for _, c := range []*dbpool.Conn{one, two, three} {
		require.NoError(t, c.Close())
	}
	require.EqualValues(t, 1, s.closed.Load(), "there is room for two")
	require.Equal(t, 2, number(take(t, p)))
	require.Equal(t, 1, number(take(t, p)))
	require.Equal(t, 4, number(take(t, p)))
}

func TestWhatIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*dbpool.Conn){
		"invalid": func(c *dbpool.Conn) { c.Driver().(*conn).invalid = true },
		"lost":    func(c *dbpool.Conn) { c.Driver().(*conn).lost = true },
		"bad": func(c *dbpool.Conn) {
			require.ErrorIs(t, c.Raw(func(any) error { return driver.ErrBadConn }), driver.ErrBadConn)
			require.ErrorIs(t, c.Raw(func(any) error { return nil }), driver.ErrBadConn)
		},
		"panic": func(c *dbpool.Conn) {
			require.Panics(t, func() { c.Raw(func(any) error { panic("broken") }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(server)
			p := dbpool.New(s, dbpool.Config{Idle: 2})
			c := take(t, p)
			require.Error(t, c.Raw(func(any) error { return errors.New("a wrong query") }))
			require.NoError(t, c.Close())
			c = take(t, p)
			require.Equal(t, 1, number(c), "an error of a query changes nothing")
			spoil(c)
			require.NoError(t, c.Close())
			require.Equal(t, 2, number(take(t, p)))
			require.EqualValues(t, 1, s.closed.Load())
		})
	}
}

func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		p := dbpool.New(s, dbpool.Config{Idle: 5, Lifetime: time.Hour, IdleTime: time.Minute})
		one, two := take(t, p), take(t, p)
		require.NoError(t, one.Close())
		time.Sleep(30 * time.Second)
		require.NoError(t, two.Close())
		time.Sleep(29 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 0, s.closed.Load())
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, s.closed.Load(), "the first was not used for a minute")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, s.closed.Load())
		for range 59 {
			c := take(t, p)
			require.Equal(t, 3, number(c))
			time.Sleep(30 * time.Second)
			require.NoError(t, c.Close())
			time.Sleep(30 * time.Second)
		}
		c := take(t, p)
		require.Equal(t, 3, number(c))
		time.Sleep(time.Minute)
		require.NoError(t, c.Close())
		require.EqualValues(t, 3, s.closed.Load(), "it is an hour old")
		require.NoError(t, p.Close())
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := new(server)
	p := dbpool.New(s, dbpool.Config{Idle: 2})
	one, two := take(t, p), take(t, p)
	require.NoError(t, one.Close())
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	require.True(t, s.shut)
	require.EqualValues(t, 1, s.closed.Load())
	require.NoError(t, two.Raw(func(any) error { return nil }))
	require.NoError(t, two.Close())
	require.EqualValues(t, 2, s.closed.Load())
	_, err := p.Conn(t.Context())
	require.ErrorIs(t, err, dbpool.ErrClosed)
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	s := &server{fail: errors.New("refused")}
	p := dbpool.New(s, dbpool.Config{Idle: 2})
	_, err := p.Conn(t.Context())
	require.ErrorIs(t, err, s.fail)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Conn(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// Database/sql uses the connections of the pool, and keeps none.
func TestBorrowing(t *testing.T) {
	t.Parallel()
	s := new(server)
	p := dbpool.New(s, dbpool.Config{Idle: 2})
	inside := 0
	borrowed := sql.OpenDB(p.Borrowing(func(ctx context.Context) error { inside++; return ctx.Err() }, func() { inside-- }))
	borrowed.SetMaxIdleConns(-1)
	require.NoError(t, take(t, p).Close())
	for range 3 {
		result, err := borrowed.ExecContext(t.Context(), "x")
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n, "the same connection")
		require.Zero(t, inside)
	}
	c, err := borrowed.Conn(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, inside)
	require.Equal(t, 2, number(take(t, p)), "the first is lent")
	require.NoError(t, c.Close())
	require.Zero(t, inside)
	require.NoError(t, borrowed.Close())
	require.Zero(t, s.closed.Load())
	require.Equal(t, 1, number(take(t, p)))
}

// unchecked makes connections that leave the arguments to database/sql, as those to SQLite do.
type unchecked struct{ server }

func (u *unchecked) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := u.server.Connect(ctx)
	return struct{ plainConn }{c.(plainConn)}, err
}

type plainConn interface {
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
	driver.Conn
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

func TestBorrowingWithoutChecks(t *testing.T) {
	t.Parallel()
	p := dbpool.New(new(unchecked), dbpool.Config{Idle: 1})
	borrowed := sql.OpenDB(p.Borrowing(func(context.Context) error { return nil }, func() {}))
	borrowed.SetMaxIdleConns(-1)
	_, err := borrowed.ExecContext(t.Context(), "x", 1, "a", time.Now())
	require.NoError(t, err)
	_, err = borrowed.ExecContext(t.Context(), "x", struct{}{})
	require.Error(t, err, "database/sql checks arguments")
}

func TestTakingAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	p := dbpool.New(new(server), dbpool.Config{Idle: 2})
	require.NoError(t, take(t, p).Close())
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c, err := p.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}))
}
