package backend

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file has the type of queries, which input cannot be made, and what is kept
// of each: its text in the engine's form, and how its rows are read.

// query is the type of every query parameter. Only constants convert to it by
// themselves, so a query that input was pasted into does not compile:
//
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", id)  // compiles
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = "+id)    // does not
type query string

// SQL returns a constant as a query that constants can be added to:
//
//	q := backend.SQL("SELECT * FROM notes WHERE owner_id = ?")
//	if tag != "" {
//		q += " AND tag = ?"
//		args = append(args, tag)
//	}
func SQL(constant query) query { return constant }

// UnsafeSQL makes a query of a string that is not a constant. Nothing checks
// it: whoever can influence the string can read and change everything in the
// database. Values belong into arguments; this is for names of tables and
// columns that the program itself chose.
func UnsafeSQL(text string) query { return query(text) }

// compiled is a query that was read once for this database.
type compiled struct {
	*sqltext.Query
	plan atomic.Pointer[scan.Plan] // the one last used; most queries have only one
}

// maxQueries bounds the queries that a DB remembers. A program that builds
// more different ones than that reads some of them again.
const maxQueries = 4096

func (db *DB) compile(q query) (*compiled, error) {
	db.mu.RLock()
	known := db.queries[q]
	db.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	read, err := sqltext.Parse(db.engine.dialect(), string(q))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, clip(q))
	}
	known = &compiled{Query: read}
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.queries) >= maxQueries {
		clear(db.queries)
	}
	db.queries[q] = known
	return known, nil
}

// planFor returns the plan for rows with these columns into values of type t.
func (c *compiled) planFor(t reflect.Type, columns []string) (*scan.Plan, error) {
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

// statement is a query with its arguments, in the engine's form.
type statement struct {
	*compiled
	query query
	text  string
	args  []driver.NamedValue
}

func (db *DB) statement(q query, args []any) (*statement, error) {
	c, err := db.compile(q)
	if err != nil {
		return nil, err
	}
	text, values, err := bind.Args(c.Query, args)
	if errors.Is(err, bind.ErrText) {
		return nil, (&Error{Code: Invalid, Message: "Text must be valid UTF-8 without NUL bytes."}).Wrap(err)
	}
	if errors.Is(err, bind.ErrRange) {
		return nil, (&Error{Code: Invalid, Message: "A number or time is out of range."}).Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, clip(q))
	}
	return &statement{c, q, text, values}, nil
}

// shownQuery is how many bytes of a query errors show: a migration may have
// megabytes.
const shownQuery = 1000

func clip(q query) query {
	if len(q) <= shownQuery {
		return q
	}
	return query(strings.ToValidUTF8(string(q[:shownQuery]), "")) + "…"
}
