package pgconn

import (
	"bytes"
	"database/sql/driver"
	"reflect"

	"github.com/lib/pq/oid"
)

// insides reads three fields of lib/pq's connection that it does not export:
// whether the server says that a transaction is open, and what it takes to ask
// the server to cancel. They are only read, through package reflect, and each
// may be missing in another version of lib/pq: then transactions are known only
// if they were begun through [Conn.StartTx] or [Conn.BeginTx], and a context
// that ends costs the connection. A test fails if the version in go.mod lacks
// one.
type insides struct {
	status reflect.Value // byte
	pid    int
	key    []byte
}

// The states of a session, as ReadyForQuery tells them (PostgreSQL protocol,
// "Message Formats"). statusUnknown is ours.
const (
	statusUnknown byte = 0
	statusIdle    byte = 'I'
	statusInTx    byte = 'T'
	statusFailed  byte = 'E'
)

func lookInside(c any) insides {
	v := reflect.ValueOf(c)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return insides{}
	}
	var in insides
	if status := v.FieldByName("txnStatus"); status.Kind() == reflect.Uint8 {
		in.status = status
	}
	pid, key := v.FieldByName("pid"), v.FieldByName("secretKey")
	if pid.Kind() == reflect.Int && key.Kind() == reflect.Slice && key.Type().Elem().Kind() == reflect.Uint8 {
		in.pid, in.key = int(pid.Int()), bytes.Clone(key.Bytes())
	}
	return in
}

// txStatus returns what the server said last about the session's transaction.
func (in *insides) txStatus() byte {
	if !in.status.IsValid() {
		return statusUnknown
	}
	return byte(in.status.Uint())
}

// InTransaction reports whether a transaction is open on a connection of this package or
// of lib/pq, which may be wrapped, as far as that is known without asking the server.
func InTransaction(conn any) (open, known bool) {
	if own, ok := conn.(*Conn); ok {
		return own.inTransaction(), true
	}
	if wrapper, ok := conn.(interface{ Unwrap() driver.Conn }); ok {
		conn = wrapper.Unwrap()
	}
	in := lookInside(conn)
	status := in.txStatus()
	return status != statusIdle, status != statusUnknown
}

// paramsOf returns the types of the parameters of a prepared statement, which lib/pq does
// not export either. In another version they may not be known.
func paramsOf(stmt any) (params []oid.Oid, known bool) {
	v := reflect.ValueOf(stmt)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, false
	}
	types := v.FieldByName("paramTyps")
	if types.Kind() != reflect.Slice || types.Type().Elem().Kind() != reflect.Uint32 {
		return nil, false
	}
	for i := range types.Len() {
		params = append(params, oid.Oid(types.Index(i).Uint()))
	}
	return params, true
}
