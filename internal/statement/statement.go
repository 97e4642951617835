// Package statement makes of a query and its arguments what a database driver
// takes. It reads each distinct text once.
package statement

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/fragment"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

const (
	// maxQueries and maxBytes bound what a Set remembers. A program with more
	// different texts, or longer ones, reads some of them again.
	maxQueries = 4096
	maxBytes   = 8 << 20
	// maxText is the length above which a text is not remembered, and the memory
	// of its expansion is not kept for the next.
	maxText = 512 << 10
)

// Set remembers the queries of one database. It is safe for concurrent use.
type Set struct {
	dialect sqltext.Dialect

	mu      sync.RWMutex
	queries map[string]*compiled
	bytes   int // about what queries take

	expansions sync.Pool // of *fragment.Expansion
}

// New returns an empty Set for queries in a dialect.
func New(dialect sqltext.Dialect) *Set {
	return &Set{
		dialect: dialect, queries: map[string]*compiled{},
		expansions: sync.Pool{New: func() any { return new(fragment.Expansion) }},
	}
}

// compiled is a query that was read once.
type compiled struct {
	*sqltext.Query
	plan atomic.Pointer[scan.Plan] // the one last used; most queries have only one
}

// Statement is a query with its arguments, in the form of the engine.
type Statement struct {
	*compiled
	// Text is the query as the engine takes it.
	Text string
	// Args are the arguments of Text.
	Args []driver.NamedValue

	few [fewArgs]driver.NamedValue // the memory of Args, unless they are more
}

// fewArgs is how many arguments take no memory of their own: more than most statements have.
const fewArgs = 4

// Query returns the query with ? for its parameters, and with the texts of its
// pieces.
func (s *Statement) Query() string { return s.Source() }

// Statement returns the statement for a query and its arguments. Arguments of
// the type *[fragment.Node] stand for their text and their arguments. Errors
// wrap those of [bind.Args], and contain the query.
func (s *Set) Statement(query string, args []any) (*Statement, error) {
	if !fragment.HasPieces(args) {
		c, err := s.compile(query)
		if err != nil {
			return nil, err
		}
		return bound(c, args)
	}
	expansion := s.expansions.Get().(*fragment.Expansion)
	defer func() {
		if cap(expansion.Text) <= maxText {
			expansion.Reset()
			s.expansions.Put(expansion)
		}
	}()
	c, err := s.expand(expansion, query, args)
	if err != nil {
		return nil, err
	}
	return bound(c, expansion.Args)
}

// Parse reads a text, or returns what was read of it before.
func (s *Set) Parse(text string) (*sqltext.Query, error) {
	c, err := s.compile(text)
	if err != nil {
		return nil, err
	}
	return c.Query, nil
}

// Reads reports whether a query certainly only reads, see
// [sqltext.Query.Reads]. It does not for a query that is wrong.
func (s *Set) Reads(query string, args []any) bool {
	if !fragment.HasPieces(args) {
		c, err := s.compile(query)
		return err == nil && c.Reads()
	}
	c, err := s.expand(new(fragment.Expansion), query, args)
	return err == nil && c.Reads()
}

// compile returns what was read of a query.
func (s *Set) compile(query string) (*compiled, error) {
	s.mu.RLock()
	known := s.queries[query]
	s.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	return s.add(query)
}

// add reads a query and remembers it.
func (s *Set) add(query string) (*compiled, error) {
	read, err := sqltext.Parse(s.dialect, query)
	if err != nil {
		return nil, withQuery(err, query)
	}
	c := &compiled{Query: read}
	if len(query) > maxText {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.queries[query]; known != nil {
		return known, nil
	}
	size := 2*len(query) + 64*read.Params() // the text in both forms, and about what a parameter takes
	if len(s.queries) >= maxQueries || s.bytes+size > maxBytes {
		clear(s.queries)
		s.bytes = 0
	}
	s.queries[query] = c
	s.bytes += size
	return c, nil
}

// expand returns what was read of a query with pieces.
func (s *Set) expand(expansion *fragment.Expansion, query string, args []any) (*compiled, error) {
	if err := expansion.Expand(s, query, args); err != nil {
		return nil, err
	}
	s.mu.RLock()
	c := s.queries[string(expansion.Text)] // does not copy the text
	s.mu.RUnlock()
	if c == nil {
		var err error
		if c, err = s.add(string(expansion.Text)); err != nil {
			return nil, err
		}
	}
	if err := expansion.Check(c.Query); err != nil {
		return nil, withQuery(err, c.Source())
	}
	return c, nil
}

// bound returns the statement for a query that has no pieces.
func bound(c *compiled, args []any) (*Statement, error) {
	if len(args) != c.Params() {
		return nil, c.WrongNumber("the query", len(args))
	}
	s := &Statement{compiled: c}
	var err error
	if s.Text, s.Args, err = bind.Args(c.Query, args, s.few[:0]); err != nil {
		return nil, withQuery(err, c.Source())
	}
	return s, nil
}

func withQuery(err error, query string) error {
	return fmt.Errorf("%w: %s", err, sqltext.Clip(query))
}

// PlanFor returns the plan for rows with these columns into values of type t.
func (c *compiled) PlanFor(t reflect.Type, columns []string) (*scan.Plan, error) {
	if plan := c.plan.Load(); plan != nil && plan.Fits(t, columns) {
		return plan, nil
	}
	plan, err := scan.NewPlan(t, columns)
	if err != nil {
		return nil, err
	}
	c.plan.Store(plan)
	return plan, nil
}
