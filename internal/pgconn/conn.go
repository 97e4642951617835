package pgconn

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

var (
	_ driver.Conn               = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// Conn is one connection. It is a driver.Conn for database/sql. Inside
// [database/sql.Conn.Raw] its methods can be called directly, without the goroutines and
// the scanning of database/sql.
//
// It is not safe for concurrent use. After an error that has left it in an unknown
// state, every call returns [database/sql/driver.ErrBadConn] and does nothing.
type Conn struct {
	connector  *Connector
	wire       *wire    // the socket
	stream     net.Conn // the wire, or TLS on it
	identity   identity
	generation uint64

	in       reader
	out      []byte         // messages to send
	status   byte           // of the transaction, as the server said last
	location *time.Location // of the session's TimeZone, nil if that is not known here
	flushed  bool           // the running exchange has no Sync yet
	names    uint64         // of the statements that were prepared
	row      []column.Value // for Next of rows

	bad       bool
	rows      *Rows                       // open rows, which the connection is busy with
	cache     *stmtcache.Cache[*prepared] // nil with a pooler
	forgotten bool                        // the server still has statements the cache dropped
	types     uint64                      // of the connector when the cache was filled
	changed   bool                        // the open transaction may have changed types

	inTx      bool   // begun by StartTx; see inTransaction
	readOnly  bool   // inTx, and read-only on purpose
	unsent    string // the BEGIN of the transaction, which was not sent yet
	lastBegin string // the BEGIN of the transaction, or of the last one
	beginning bool   // BEGIN was sent, and its answer was not read
	fresh     bool   // BEGIN was sent by the running operation

	// The running operation: see arm.
	ctx     context.Context
	watch   *lazyctx.Watch // calls interrupt
	watched bool           // ctx can end
	ask     bool           // interrupt asks the server to cancel
	pending int            // callbacks that may have started: each sends to settled
	settled chan bool
	fired   atomic.Bool // an interruption has begun
}

// begin starts an operation that ends with ctx. ask says whether the server is then
// asked to cancel it.
func (c *Conn) begin(ctx context.Context, ask bool) error {
	switch {
	case c.bad:
		return driver.ErrBadConn
	case c.rows != nil:
		return ErrRowsOpen
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.wire.mark()
	c.arm(ctx, ask)
	return nil
}

// end finishes an operation whose exchanges ended with err. It decides whether the connection
// is still usable, and returns the error for the caller. harmless says that the operation
// can be repeated on another connection even if the server has executed it.
func (c *Conn) end(err error, harmless bool) error {
	ctx, err := c.ctx, c.begun(err)
	interrupted, settled := c.disarm()
	answer := serverError(err)
	c.in.rest()
	if err != nil && answer == nil || c.wire.err != nil || !settled || answer != nil && answer.Fatal() {
		c.breakOff()
	}
	switch {
	case err == nil:
		return nil
	case interrupted && (answer == nil || answer.Code == pqerror.QueryCanceled):
		return c.interruption(ctx.Err(), err)
	case answer != nil:
		if isFailover(answer, c.readOnly && c.inTransaction() || c.connector.standby) {
			c.breakOff()
			c.connector.retire(c.generation)
		}
		return err
	}
	return c.loss(err, harmless)
}

// interruption returns the error of an operation that was stopped by its context or by
// the time limit for reading unread rows.
func (c *Conn) interruption(reason, err error) error {
	if reason == nil {
		reason = ErrRowsUnread
	}
	if c.wire.err != nil {
		err = c.wire.err
	}
	return &interruptedError{reason: reason, cause: err}
}

// loss returns the error of a connection that broke by itself.
func (c *Conn) loss(err error, harmless bool) error {
	if c.wire.err != nil {
		// The connection was lost in the middle of an operation: the server, or a proxy
		// before it, was stopped, so the other connections are probably lost, too.
		c.connector.retire(c.generation)
		if c.beginning {
			return &notBegunError{lost(c.wire.err)}
		}
		if (harmless || c.wire.sent == 0) && !c.inTransaction() {
			return driver.ErrBadConn
		}
		err = c.wire.err
	}
	return lost(err)
}

// breakOff closes the socket. Nothing is read from it or written to it again, and the
// server notices at once.
func (c *Conn) breakOff() {
	c.bad = true
	c.wire.Close()
}

// inTransaction reports whether the session is inside a transaction, however it
// was begun.
func (c *Conn) inTransaction() bool {
	return c.unsent != "" || c.status != statusIdle
}

// IsValid reports whether the connection may be used again, without asking the server.
// A connection with open rows or inside a transaction may not: its next user would be in
// somebody else's transaction.
func (c *Conn) IsValid() bool {
	return !c.bad && c.rows == nil && !c.inTransaction() &&
		c.generation == c.connector.generation.Load()
}

// ResetSession is called by database/sql when it takes the connection from the pool. It
// checks, without waiting and without a round trip, whether the server has closed the
// connection or announced that it will. The pool then takes another one.
func (c *Conn) ResetSession(context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	waiting, open := c.wire.peek()
	if !open || !c.expected(waiting) {
		c.breakOff()
		return driver.ErrBadConn
	}
	return nil
}

// expected reports whether bytes that arrived while the connection was idle are messages
// that a server may send at any time: notices, notifications and changed parameters. The
// next operation reads them. Anything else is probably the error by which the server
// ends the session. The waiting bytes continue those that were read into the buffer already.
// Under TLS they cannot be read, so expected returns false.
func (c *Conn) expected(waiting []byte) bool {
	if c.wire.tls && len(waiting) > 0 {
		return false
	}
	if unread := c.in.unread(); len(unread) > 0 {
		waiting = append(bytes.Clone(unread), waiting...)
	}
	for len(waiting) > 0 {
		if !bytes.ContainsRune([]byte("SNA"), rune(waiting[0])) {
			return false
		}
		if len(waiting) < 5 {
			return true
		}
		length := int64(binary.BigEndian.Uint32(waiting[1:5])) + 1
		if length < 5 {
			return false
		}
		waiting = waiting[min(length, int64(len(waiting))):]
	}
	return true
}

// Ping checks that the server answers, in one round trip.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.begin(ctx, false); err != nil {
		return err
	}
	_, err := c.simple(";")
	return c.end(err, true)
}

// Close ends the session. It takes no longer than 100 ms, even if the server has
// stalled.
func (c *Conn) Close() error {
	if c.bad {
		return c.wire.Close()
	}
	c.bad = true
	c.wire.deadline(time.Now().Add(grace))
	c.out = appendTerminate(c.out[:0])
	_ = c.send()
	c.stream.Close()
	c.wire.Close()
	return nil
}

// CheckNamedValue converts an argument to what the methods of the connection
// accept: by its [driver.Valuer] if it has one, slices to PostgreSQL arrays, and
// else as database/sql does. It replaces nv.Value.
func (c *Conn) CheckNamedValue(nv *driver.NamedValue) (err error) {
	switch v := nv.Value.(type) {
	case nil, int64, float64, bool, []byte, string, time.Time:
		return nil
	case json.RawMessage:
		if !c.connector.pooler {
			break
		}
		// Bytes are sent as binary, which for jsonb is something else.
		nv.Value = nil
		if v != nil {
			nv.Value = string(v)
		}
		return nil
	case interface{ BinaryValue() ([]byte, error) }:
		// Only the value itself knows for which type its binary form is. Otherwise the type of
		// the parameter decides.
		if c.connector.pooler {
			nv.Value, err = v.BinaryValue()
			return err
		}
	}
	if _, ok := nv.Value.(driver.Valuer); !ok {
		if value, ok, err := checked(nv.Value); ok || err != nil {
			nv.Value = value
			return err
		}
	}
	nv.Value, err = driver.DefaultParameterConverter.ConvertValue(nv.Value)
	return err
}

// checked converts slices to arrays, and large unsigned integers to text.
func checked(value any) (_ driver.Value, ok bool, err error) {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil, false, nil
		}
		array, err := pq.Array(v.Interface()).Value()
		return array, true, err
	case reflect.Uint64:
		if n := v.Uint(); n >= math.MaxInt64 {
			return strconv.FormatUint(n, 10), true, nil
		}
		return int64(v.Uint()), true, nil
	}
	return nil, false, nil
}

// checkArgs returns an error for arguments that have no form in a message.
func checkArgs(args []driver.NamedValue) error {
	if len(args) > 65535 {
		return fmt.Errorf("%d arguments: PostgreSQL takes at most 65535", len(args))
	}
	for i := range args {
		if args[i].Name != "" {
			return fmt.Errorf("argument %q: PostgreSQL has no named arguments", args[i].Name)
		}
		switch args[i].Value.(type) {
		case nil, int64, float64, bool, []byte, string, time.Time:
		default:
			return fmt.Errorf("argument %d is %s: pass it through CheckNamedValue first", i+1, english.AType(args[i].Value))
		}
	}
	return nil
}

// Begin begins a transaction that no context bounds. Deprecated in database/sql;
// use BeginTx.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// isolation maps database/sql's levels to PostgreSQL's words.
func isolation(level sql.IsolationLevel) (string, error) {
	switch level {
	case sql.LevelDefault:
		return "", nil
	case sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable:
		return " ISOLATION LEVEL " + level.String(), nil
	}
	return "", fmt.Errorf("isolation level %s: PostgreSQL has read committed, repeatable read and serializable", level)
}
