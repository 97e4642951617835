package migration

import (
	"strings"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file finds the statements that can run again after the program was cut off while
// one of them ran, so that nobody knows whether it took effect.

// Again says when such a statement can run again.
type Again uint8

const (
	AgainNever   Again = iota
	AgainAlways        // it has no more effect a second time, or its effect was on the session
	AgainMissing       // the thing that it makes is not there
	AgainThere         // the thing that it drops is there
)

// Thing is what a statement makes or drops.
type Thing struct {
	Kind   string // TABLE, VIEW, INDEX, SEQUENCE, TRIGGER, FUNCTION, PROCEDURE, EVENT or COLUMN
	Schema string // "" if the name has none
	Table  string // of an index or a column, if it is known
	Name   string
}

// things are the kinds whose presence can be looked up by name.
var things = map[string]bool{"TABLE": true, "VIEW": true, "INDEX": true, "SEQUENCE": true, "TRIGGER": true, "FUNCTION": true, "PROCEDURE": true, "EVENT": true}

// stateless are those that OR REPLACE replaces without losing rows or numbers.
var stateless = map[string]bool{"VIEW": true, "TRIGGER": true, "FUNCTION": true, "PROCEDURE": true, "EVENT": true}

// Resume returns when the statement with the index running of a file can run again. A table
// of the session ends with it, and may have hidden another one of the same name; so after
// such a table, and after ATTACH and USE, it returns AgainNever for things.
func Resume(dialect sqltext.Dialect, statements []string, running int) (Again, Thing) {
	statement := statements[running]
	if parts := Expand(dialect, []string{statement}); len(parts) != 1 {
		return AgainNever, Thing{}
	}
	tokens := sqltext.Lead(dialect, statement, 40)
	p := words{dialect, tokens}
	if setsOrLocks(dialect, statement) {
		return AgainAlways, Thing{}
	}
	if q, err := sqltext.Parse(dialect, statement); err == nil && q.Repeats() {
		return AgainAlways, Thing{}
	}
	for _, before := range statements[:running+1] {
		if hides(dialect, before) {
			return AgainNever, Thing{}
		}
	}
	switch {
	case p.take("CREATE"):
		return p.create()
	case p.take("DROP") && dialect != sqltext.Postgres: // where search_path may have another one
		return p.drop()
	case p.take("ALTER"):
		return p.alter()
	}
	return AgainNever, Thing{}
}

// hides reports whether a statement makes names mean something else in the session.
func hides(dialect sqltext.Dialect, statement string) bool {
	for _, part := range Expand(dialect, []string{statement}) {
		q, err := sqltext.Parse(dialect, part)
		if err != nil {
			return true
		}
		if p := (words{dialect, sqltext.Lead(dialect, part, 1)}); p.is("ATTACH") {
			return true
		}
		if q.Session() != sqltext.SessionKept && !setsOrLocks(dialect, part) {
			return true
		}
	}
	return false
}

// setsOrLocks reports whether the effect of a statement ends with the session, and does
// not change what names mean.
func setsOrLocks(dialect sqltext.Dialect, statement string) bool {
	p := words{dialect, sqltext.Lead(dialect, statement, 1)}
	return SetsSession(dialect, statement) || dialect == sqltext.MySQL && (p.is("LOCK") || p.is("UNLOCK"))
}

// words are the next tokens of a statement.
type words struct {
	dialect sqltext.Dialect
	tokens  []sqltext.Token
}

func (p *words) is(word string) bool { return len(p.tokens) > 0 && p.tokens[0].Is(word) }

func (p *words) take(list ...string) bool {
	for i, word := range list {
		if i >= len(p.tokens) || !p.tokens[i].Is(word) {
			return false
		}
	}
	p.tokens = p.tokens[len(list):]
	return true
}

// kind skips the words before what is made or dropped, such as UNIQUE and DEFINER.
func (p *words) kind() string {
	for i, token := range p.tokens {
		if word := strings.ToUpper(token.Text); !token.Quoted && things[word] {
			p.tokens = p.tokens[i+1:]
			return word
		}
	}
	return ""
}

// name reads a name with or without a schema. The name is "" if there is none.
func (p *words) name() (schema, name string) {
	read := func() string {
		if len(p.tokens) == 0 {
			return ""
		}
		token := p.tokens[0]
		if first := token.Text[:min(1, len(token.Text))]; !token.Quoted && !isName(first) {
			return ""
		}
		p.tokens = p.tokens[1:]
		if p.dialect == sqltext.Postgres && !token.Quoted {
			return strings.ToLower(token.Text)
		}
		return token.Text
	}
	if name = read(); name != "" && p.take(".") {
		schema, name = name, read()
	}
	if p.dialect == sqltext.Postgres && len(name) > 63 { // which PostgreSQL cuts
		return "", ""
	}
	return schema, name
}

func isName(first string) bool {
	return first != "" && strings.Trim(first, "()=,;.?*'\"`[]<>+-/%@#&|:!$") != ""
}

func (p *words) create() (Again, Thing) {
	replaces := p.take("OR", "REPLACE")
	thing := Thing{Kind: p.kind()}
	concurrently := p.take("CONCURRENTLY")
	unless := p.take("IF", "NOT", "EXISTS")
	switch {
	case thing.Kind == "":
		return AgainNever, thing
	case replaces && stateless[thing.Kind], unless && !concurrently: // an interrupted index is there, and invalid
		return AgainAlways, thing
	case p.dialect == sqltext.Postgres && (thing.Kind == "FUNCTION" || thing.Kind == "PROCEDURE"): // several may have one name
		return AgainNever, thing
	case thing.Kind == "INDEX" && p.is("ON"): // PostgreSQL chooses the name
		return AgainNever, thing
	}
	thing.Schema, thing.Name = p.name()
	if thing.Kind == "INDEX" && p.dialect == sqltext.MySQL {
		for len(p.tokens) > 0 && !p.take("ON") {
			p.tokens = p.tokens[1:]
		}
		thing.Schema, thing.Table = p.name()
		if thing.Table == "" {
			return AgainNever, thing
		}
	}
	if thing.Name == "" {
		return AgainNever, thing
	}
	return AgainMissing, thing
}

func (p *words) drop() (Again, Thing) {
	thing := Thing{Kind: p.kind()}
	unless := p.take("IF", "EXISTS")
	if thing.Kind == "" {
		return AgainNever, thing
	}
	if unless {
		return AgainAlways, thing
	}
	thing.Schema, thing.Name = p.name()
	if thing.Kind == "INDEX" && p.take("ON") {
		thing.Schema, thing.Table = p.name()
	}
	if thing.Name == "" || p.is(",") || thing.Kind == "INDEX" && p.dialect == sqltext.MySQL && thing.Table == "" {
		return AgainNever, thing
	}
	return AgainThere, thing
}

// alter reads ALTER TABLE … ADD COLUMN. All of the statement takes effect, or nothing.
func (p *words) alter() (Again, Thing) {
	if p.kind() != "TABLE" {
		return AgainNever, Thing{}
	}
	p.take("IF", "EXISTS")
	p.take("ONLY")
	thing := Thing{Kind: "COLUMN"}
	thing.Schema, thing.Table = p.name()
	p.take("*")
	if thing.Table == "" || !p.take("ADD") {
		return AgainNever, thing
	}
	if column := p.take("COLUMN"); !column && len(p.tokens) > 0 {
		switch word := strings.ToUpper(p.tokens[0].Text); word {
		case "INDEX", "KEY", "UNIQUE", "PRIMARY", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK", "PERIOD", "SYSTEM", "PARTITION", "EXCLUDE", "VECTOR":
			if !p.tokens[0].Quoted {
				return AgainNever, thing
			}
		}
	}
	p.take("IF", "NOT", "EXISTS")
	if _, thing.Name = p.name(); thing.Name == "" {
		return AgainNever, thing
	}
	return AgainMissing, thing
}
