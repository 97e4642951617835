package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file decides in which form arguments are sent: a []byte as binary and everything else
// as text. As text, bytes are something else for a bytea than for all other
// types. As binary, they are the same for a bytea and for text, but fail for a jsonb or a
// uuid, and eight of them for a bigint are another number.

// raw has the types whose binary form is the bytes themselves. If the column gets another one
// of them, which is not known yet, the form is right all the same.
var raw = map[oid.Oid]bool{
	oid.T_bytea: true, oid.T_text: true, oid.T_varchar: true, oid.T_bpchar: true, oid.T_json: true,
}

// formsOf returns the arguments in the forms for the parameters of the statement.
func (p *prepared) formsOf(args []driver.NamedValue) []driver.NamedValue {
	return forms(args, func(i int) bool { return raw[p.params[i]] })
}

// forms returns the arguments with each []byte and string in the form in which it is sent:
// as binary if the parameter takes that and the text for a bytea would be other bytes, and
// else as text.
func forms(args []driver.NamedValue, takesBinary func(i int) bool) []driver.NamedValue {
	own := false
	for i := range args {
		var form driver.Value
		switch v := args[i].Value.(type) {
		case []byte:
			if v != nil && (isPlain(v) || !takesBinary(i)) {
				form = string(v)
			}
		case string:
			if !isPlain(v) && takesBinary(i) {
				form = []byte(v)
			}
		}
		if form == nil {
			continue
		}
		if !own {
			args, own = slices.Clone(args), true
		}
		args[i].Value = form
	}
	return args
}

// isPlain reports whether the text of a bytea would be the bytes themselves.
func isPlain[T string | []byte](value T) bool {
	for i := range len(value) {
		if b := value[i]; b == 0 || b >= utf8.RuneSelf || b == '\\' {
			return false
		}
	}
	return true
}

// typed returns the arguments for a statement that is not kept, whose parameters have
// unknown types. If bytes could mean different things as a bytea and as text, it asks the
// server, in one round trip. With a pooler it does so for a []byte only: strings are text.
func (c *Conn) typed(ctx context.Context, text string, args []driver.NamedValue) ([]driver.NamedValue, error) {
	if !slices.ContainsFunc(args, c.isAmbiguous) || !canPrepare(text) {
		return forms(args, func(i int) bool { return isBytes(args[i]) }), nil
	}
	types, err := c.paramTypes(ctx, text)
	if err != nil {
		return nil, err
	}
	return forms(args, func(i int) bool { return i < len(types) && types[i] == oid.T_bytea }), nil
}

func isBytes(arg driver.NamedValue) bool {
	_, ok := arg.Value.([]byte)
	return ok
}

// isAmbiguous reports whether an argument may mean different things as a bytea and as text.
func (c *Conn) isAmbiguous(arg driver.NamedValue) bool {
	switch v := arg.Value.(type) {
	case []byte:
		return !isPlain(v)
	case string:
		return !c.connector.pooler && !isPlain(v)
	}
	return false
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
