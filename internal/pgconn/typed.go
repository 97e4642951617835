package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file sends bytes through a pooler. Without one, the server tells the types of the
// parameters when it prepares a statement, and only those for a bytea get bytes in
// another form than text. With one, lib/pq sends all bytes as binary: those for a jsonb
// or a uuid fail, and eight of them for a bigint are another number.

// typed returns a statement that is not kept with arguments that the types of its parameters
// take. It asks the server for the types, in one round trip, where they matter: for bytes
// that could mean different things as a bytea and as text, and as [Conn.fitted] says.
// changed reports whether the text differs.
func (c *Conn) typed(ctx context.Context, text string, args []driver.NamedValue) (_ string, _ []driver.NamedValue, changed bool, err error) {
	if len(args) == 0 {
		return text, args, false, nil
	}
	if c.connector.pooler && slices.ContainsFunc(args, isBytes) {
		if args, err = c.withBytes(ctx, text, args); err != nil {
			return text, args, false, err
		}
	}
	return c.fitted(ctx, text, args)
}

// withBytes returns the arguments for a connection with a pooler. Bytes that are not for a
// bytea become text.
func (c *Conn) withBytes(ctx context.Context, text string, args []driver.NamedValue) ([]driver.NamedValue, error) {
	args = slices.Clone(args)
	ask := false
	for i := range args {
		if raw, ok := args[i].Value.([]byte); ok && raw != nil && isPlain(raw) {
			args[i].Value = string(raw)
		} else {
			ask = ask || ok && raw != nil
		}
	}
	if !ask || !canPrepare(text) {
		return args, nil
	}
	types, err := c.paramTypes(ctx, text)
	if err != nil {
		return nil, err
	}
	for i := range min(len(args), len(types)) {
		if raw, ok := args[i].Value.([]byte); ok && raw != nil && types[i] != oid.T_bytea {
			args[i].Value = string(raw)
		}
	}
	return args, nil
}

func isBytes(arg driver.NamedValue) bool {
	_, ok := arg.Value.([]byte)
	return ok
}

// isPlain reports whether the text of a bytea would be the bytes themselves.
func isPlain(raw []byte) bool {
	return !slices.ContainsFunc(raw, func(b byte) bool { return b == 0 || b >= 0x80 || b == '\\' })
}

// canPrepare reports whether PREPARE takes a text: it is one statement of certain kinds.
func canPrepare(text string) bool {
	word := ""
	for _, token := range sqltext.Lead(sqltext.Postgres, text, 9) {
		if word = token.Text; word != "(" {
			break
		}
	}
	switch strings.ToUpper(word) {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "WITH":
	default:
		return false
	}
	if strings.IndexByte(text, ';') < 0 {
		return true
	}
	// A second statement would be executed.
	statements, err := sqltext.Split(sqltext.Postgres, text)
	return err == nil && len(statements) == 1
}

// paramTypes returns the types of a statement's parameters. The server prepares the
// statement and forgets it within one message, which a pooler sends to one session.
func (c *Conn) paramTypes(ctx context.Context, text string) (types []oid.Oid, err error) {
	rows, err := c.query(ctx, "PREPARE backend_types AS "+text+`
; SELECT t.type::pg_catalog.oid::pg_catalog.int8 FROM pg_catalog.pg_prepared_statements s, pg_catalog.unnest(s.parameter_types) WITH ORDINALITY t(type, number)
WHERE s.name = 'backend_types' ORDER BY t.number; DEALLOCATE backend_types`, nil, false)
	if err != nil {
		return nil, visible(err)
	}
	row := make([]driver.Value, 1)
	for err = rows.Next(row); err == nil; err = rows.Next(row) {
		number, _ := row[0].(int64)
		types = append(types, oid.Oid(number))
	}
	if err == io.EOF {
		err = nil
	}
	return types, errors.Join(err, rows.Close())
}
