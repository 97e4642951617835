package dbpool

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// Borrowing returns a connector for database/sql whose connections are those of the pool. A
// connection goes back to it when database/sql closes it: with SetMaxIdleConns(-1) that is
// after each use. enter is called before a connection is taken, and leave after it was
// given back.
func (p *Pool) Borrowing(enter func(context.Context) error, leave func()) driver.Connector {
	return &borrowing{p, enter, leave}
}

type borrowing struct {
	pool  *Pool
	enter func(context.Context) error
	leave func()
}

func (b *borrowing) Driver() driver.Driver { return b.pool.Driver() }

func (b *borrowing) Connect(ctx context.Context) (driver.Conn, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	conn, err := b.pool.Conn(ctx)
	if err != nil {
		b.leave()
		return nil, err
	}
	full, ok := conn.inner.(fullConn)
	if !ok {
		err := fmt.Errorf("%s lacks methods that connections have", english.AType(conn.inner))
		conn.Close()
		b.leave()
		return nil, err
	}
	return &borrowed{full, conn, b.leave}, nil
}

// fullConn has the methods that database/sql looks for and that all connections have.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type borrowed struct {
	fullConn
	conn  *Conn
	leave func()
}

// CheckNamedValue converts an argument as the connection does, or as database/sql does for one
// that leaves that to it.
func (b *borrowed) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := b.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

// Unwrap returns the driver's own connection.
func (b *borrowed) Unwrap() driver.Conn { return b.conn.inner }

func (b *borrowed) Close() error {
	defer b.leave()
	return b.conn.Close()
}
