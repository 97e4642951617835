package pgconn

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// A kept statement has the parameter types that its columns had when it was prepared. The
// server never tells when they change: it casts a parameter to the new type, after the old
// one has cut it. So
//
//   - a statement that writes is analyzed anew whenever types may make a difference; see
//     mustAnalyze;
//   - statements are prepared anew after a statement of this connector that may have
//     changed types;
//   - what others change is noticed after narrowAge: by reads with a narrow parameter, and
//     by all statements in what they have to know before the server analyzes them. That is
//     which parameters are intervals, see checkArgs, which take bytes, see forms, and which
//     integers do not hold an argument, see fit.
const narrowAge = time.Second

// wide has the types that keep every value which Go programs pass to a read for them: if
// the column gets another type, the server's cast loses no more than that type does. All
// others are narrow, such as real, date or citext.
var wide = map[oid.Oid]bool{
	oid.T_bool: true, oid.T_int2: true, oid.T_int4: true, oid.T_int8: true, oid.T_float8: true, oid.T_numeric: true,
	oid.T_timestamptz: true, oid.T_bytea: true, oid.T_json: true, oid.T_jsonb: true, oid.T_uuid: true,
}

// newPrepared returns a statement that was prepared now.
func newPrepared(c *Conn, name, text string, params []oid.Oid, described *columns) *prepared {
	p := &prepared{
		conn: c, name: name, columns: described,
		at: time.Now(), params: params, utc: c.connector.utc, integers: integersOf(params), writes: mayWrite(text),
		zoned: slices.ContainsFunc(described.types, func(t columnType) bool { return t.oid == oid.T_timestamptz }),
	}
	p.decideForms(c.location == time.UTC)
	if p.writes {
		p.assigned = assigned(text, len(params))
	}
	return p
}

func (p *prepared) decideForms(utc bool) {
	p.inUTC, p.forms = utc, p.columns.forms(utc)
}

// results returns the part of a Bind that has the forms of the results.
func (p *prepared) results() []byte {
	if utc := p.conn.location == time.UTC; p.zoned && p.inUTC != utc {
		p.decideForms(utc)
	}
	return p.forms
}

// isOutdated reports whether the statement has to be prepared anew before it is used with
// the arguments.
func (p *prepared) isOutdated(args []driver.NamedValue) bool {
	if time.Since(p.at) < narrowAge {
		return false
	}
	if p.writes {
		return p.mustAnalyze(args)
	}
	if slices.ContainsFunc(p.integers, func(n integer) bool { return n.index < len(args) && !n.holds(args[n.index].Value) }) {
		return true
	}
	return slices.ContainsFunc(p.params, func(param oid.Oid) bool { return !wide[param] })
}

// mayWrite reports whether a text has a word of a statement that writes rows.
func mayWrite(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < utf8.RuneSelf && !isWordPart(byte(r)) }) {
		switch strings.ToUpper(word) {
		case "INSERT", "UPDATE", "DELETE", "MERGE":
			return true
		}
	}
	return false
}

// mustAnalyze reports whether a use of the statement sends its text once more. The server
// analyzes it in the same message in which it executes it, and from the one to the other it
// locks the tables. So no type can change in between, and none can have changed while the
// statement waited for the lock. That costs no round trip, but the server's work of
// analyzing and planning. It is saved if the types make no difference for the arguments.
func (p *prepared) mustAnalyze(args []driver.NamedValue) bool {
	if !p.writes {
		return false
	}
	for i := range min(len(args), len(p.params)) {
		if !p.isExact(i, args[i].Value) {
			return true
		}
	}
	return false
}

// isExact reports whether it makes no difference for an argument that its parameter has a
// type which the column may not have any more: the cast to any other type is an error, which
// prepares the statement anew, or has the value of the argument as that type reads it. Of a
// time, only its notation as text may differ.
func (p *prepared) isExact(i int, value driver.Value) bool {
	param := p.params[i]
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return param == oid.T_bool
	case int64:
		switch param {
		case oid.T_int2:
			return math.MinInt16 <= v && v <= math.MaxInt16
		case oid.T_int4:
			return math.MinInt32 <= v && v <= math.MaxInt32
		}
		return param == oid.T_int8 || param == oid.T_numeric
	case string: // of another type, as '007' for an integer, it is parsed by the old one
		return p.keepsText(i) || param == oid.T_uuid && isUUID(v)
	case []byte:
		return p.keepsText(i)
	case time.Time:
		// Not in another zone: a timestamp takes the hour as it is written.
		return p.assigned[i] && param == oid.T_timestamptz && p.utc && v.Location() == time.UTC
	}
	return false
}

// keepsText reports whether a parameter keeps any text. It does not if it is compared, as by
// citext or, without trailing blanks, by char(n).
func (p *prepared) keepsText(i int) bool {
	switch p.params[i] {
	case oid.T_text, oid.T_varchar, oid.T_json:
		return p.assigned[i]
	}
	return false
}

// isUUID reports whether a text is a UUID as the server writes it.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// changesTypes notes that a statement may have changed the types of columns: now, and again
// when its transaction commits, since others may have prepared statements in between.
func (c *Conn) changesTypes(text string, args []driver.NamedValue) {
	if len(args) == 0 && mayChangeTypes(text) {
		c.connector.types.Add(1)
		c.changed = c.inTransaction()
	}
}

// mayChangeTypes reports whether a text has a word of a statement that changes types.
func mayChangeTypes(text string) bool {
	for i := 0; i+4 <= len(text); i++ {
		switch text[i] | 0x20 {
		case 'a', 'c', 'd':
			for _, word := range [...]string{"alter", "create", "drop", "do"} {
				if len(text) >= i+len(word) && strings.EqualFold(text[i:i+len(word)], word) {
					return true
				}
			}
		}
	}
	return false
}

// checkArgs returns an error for arguments that the statement does not take. A number
// is no interval: the server would read it as seconds, and a time.Duration is a number
// of nanoseconds.
func (p *prepared) checkArgs(args []driver.NamedValue) error {
	if len(args) != len(p.params) {
		return fmt.Errorf("%s for a statement that takes %d", english.Count(len(args), "argument"), len(p.params))
	}
	for i, param := range p.params {
		if param != oid.T_interval {
			continue
		}
		switch args[i].Value.(type) {
		case int64, float64:
			return fmt.Errorf("argument %d is a number, such as a time.Duration, and its parameter an INTERVAL: pass text such as '90 seconds', or store the nanoseconds of a duration as BIGINT", i+1)
		}
	}
	return nil
}
