package pgconn

import (
	"bufio"
	"bytes"
	"database/sql/driver"
	"errors"
	"net"
	"reflect"
	"time"
	"unsafe"

	"github.com/lib/pq"
)

// This file reads fields of lib/pq's connection that it does not export. Once lib/pq has
// connected, its connection is taken apart: the socket belongs to a [Conn] from then on, and
// lib/pq's connection is not used any more. A test fails if the version in go.mod lacks one
// of the fields, and [Connector.Connect] then returns an error.

// handover is what a Conn gets from a connection of lib/pq.
type handover struct {
	stream   net.Conn       // with TLS, if that was negotiated
	unread   []byte         // bytes that lib/pq has received and not read
	location *time.Location // of the session's TimeZone, or nil
	status   byte           // of the transaction
	identity identity
}

// identity is what it takes to ask the server to cancel a statement of a session.
type identity struct {
	pid int
	key []byte
}

var errInsides = errors.New("the connection of lib/pq lacks fields of the version this package was written for")

// takeOver takes a connection of lib/pq apart.
func takeOver(conn any) (h handover, err error) {
	v := insideOf(conn)
	stream, found := field[net.Conn](v, "c")
	if !found || stream == nil {
		return handover{}, errInsides
	}
	reader, found := field[*bufio.Reader](v, "buf")
	if !found {
		return handover{}, errInsides
	}
	if reader != nil {
		waiting, _ := reader.Peek(reader.Buffered())
		h.unread = bytes.Clone(waiting)
	}
	status := v.FieldByName("txnStatus")
	pid, foundPID := field[int](v, "pid")
	key, foundKey := field[[]byte](v, "secretKey")
	parameters := v.FieldByName("parameterStatus")
	if status.Kind() != reflect.Uint8 || !foundPID || !foundKey || parameters.Kind() != reflect.Struct {
		return handover{}, errInsides
	}
	location, found := field[*time.Location](parameters, "currentLocation")
	if !found {
		return handover{}, errInsides
	}
	h.stream, h.status, h.location = stream, byte(status.Uint()), location
	h.identity = identity{pid, bytes.Clone(key)}
	return h, nil
}

// insideOf returns the struct that v points to, or the zero Value.
func insideOf(v any) reflect.Value {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return p.Elem()
}

// field returns a field of an addressable struct, which may be unexported.
func field[T any](v reflect.Value, name string) (value T, found bool) {
	if v.Kind() != reflect.Struct {
		return value, false
	}
	f := v.FieldByName(name)
	if !f.IsValid() || !f.CanAddr() || f.Type() != reflect.TypeFor[T]() {
		return value, false
	}
	return *(*T)(unsafe.Pointer(f.UnsafeAddr())), true
}

// setQuery sets the text to which the position in an error refers. The text of the error
// then has the position.
func setQuery(err *pq.Error, text string) {
	if f := reflect.ValueOf(err).Elem().FieldByName("query"); f.Kind() == reflect.String {
		*(*string)(unsafe.Pointer(f.UnsafeAddr())) = text
	}
}

// The states of a session, as ReadyForQuery tells them (PostgreSQL protocol,
// "Message Formats").
const (
	statusIdle   byte = 'I'
	statusInTx   byte = 'T'
	statusFailed byte = 'E'
)

// InTransaction reports whether a transaction is open on a connection of this package or
// of lib/pq, which may be wrapped, as far as that is known without asking the server.
func InTransaction(conn any) (open, known bool) {
	if own, ok := conn.(*Conn); ok {
		return own.inTransaction(), true
	}
	if wrapper, ok := conn.(interface{ Unwrap() driver.Conn }); ok {
		conn = wrapper.Unwrap()
	}
	v := insideOf(conn)
	if !v.IsValid() {
		return false, false
	}
	status := v.FieldByName("txnStatus")
	if status.Kind() != reflect.Uint8 || status.Uint() == 0 {
		return false, false
	}
	return byte(status.Uint()) != statusIdle, true
}
