package backend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file runs several statements at once.

// BatchQuery is one statement of [DB.Batch]. [BatchOne], [BatchMaybe], [BatchAll] and
// [BatchExec] make it. It is used once.
type BatchQuery struct {
	query query
	args  []any
	row   reflect.Type // the type of a row; nil: rows are discarded
	dst   batchDst
}

// batchDst takes the rows of one statement. It is a pointer, which needs no memory as an
// interface.
type batchDst interface {
	reset()                                      // forgets the rows of an earlier try
	store(*scan.Plan, []column.Value) error      // stores a row
	end(found int, s *statement.Statement) error // checks the number of rows
	takes(found int) bool                        // reports whether that row is stored
}

// BatchOne is [One] for [DB.Batch]: it stores the row in *dst, which it sets to the zero
// value if there is an error.
func BatchOne[T any](dst *T, q query, args ...any) BatchQuery {
	return BatchQuery{q, args, reflect.TypeFor[T](), batchOne[T]{dst}}
}

type batchOne[T any] struct{ dst *T }

func (b batchOne[T]) reset() {
	var zero T
	*b.dst = zero
}

func (b batchOne[T]) store(plan *scan.Plan, row []column.Value) error {
	return plan.Row(reflect.ValueOf(b.dst).Elem(), row)
}

func (b batchOne[T]) end(found int, s *statement.Statement) error {
	if found == 0 {
		return (&Error{Code: NotFound}).Wrap(sql.ErrNoRows)
	}
	return oneRow(found, s)
}

func (b batchOne[T]) takes(found int) bool { return found == 1 }

// BatchMaybe is [Maybe] for [DB.Batch]: it sets *dst to the row, or to nil.
func BatchMaybe[T any](dst **T, q query, args ...any) BatchQuery {
	return BatchQuery{q, args, reflect.TypeFor[T](), batchMaybe[T]{dst}}
}

type batchMaybe[T any] struct{ dst **T }

func (b batchMaybe[T]) reset() { *b.dst = nil }

func (b batchMaybe[T]) store(plan *scan.Plan, row []column.Value) error {
	*b.dst = new(T)
	return plan.Row(reflect.ValueOf(*b.dst).Elem(), row)
}

func (b batchMaybe[T]) end(found int, s *statement.Statement) error { return oneRow(found, s) }
func (b batchMaybe[T]) takes(found int) bool                        { return found == 1 }

func oneRow(found int, s *statement.Statement) error {
	if found > 1 {
		return fmt.Errorf("more than one row: %s", sqltext.Clip(s.Query()))
	}
	return nil
}

// BatchAll is [All] for [DB.Batch]: it sets *dst to the rows, which are not nil if there are
// none.
func BatchAll[T any](dst *[]T, q query, args ...any) BatchQuery {
	return BatchQuery{q, args, reflect.TypeFor[T](), batchAll[T]{dst}}
}

type batchAll[T any] struct{ dst *[]T }

func (b batchAll[T]) reset() { *b.dst = []T{} }

func (b batchAll[T]) store(plan *scan.Plan, row []column.Value) error {
	*b.dst = extend(*b.dst)
	return plan.Row(reflect.ValueOf(&(*b.dst)[len(*b.dst)-1]).Elem(), row)
}

func (b batchAll[T]) end(int, *statement.Statement) error { return nil }
func (b batchAll[T]) takes(int) bool                      { return true }

// BatchExec is [DB.Exec] for [DB.Batch], without a result.
func BatchExec(q query, args ...any) BatchQuery { return BatchQuery{q, args, nil, batchNone{}} }

type batchNone struct{}

func (batchNone) reset()                                 {}
func (batchNone) store(*scan.Plan, []column.Value) error { return nil }
func (batchNone) end(int, *statement.Statement) error    { return nil }
func (batchNone) takes(int) bool                         { return false }

// Batch runs statements in their order. On PostgreSQL they take one round trip together, and
// one more if a connection has not run some of them before:
//
//	var note Note
//	var tags []Tag
//	err := db.Batch(ctx,
//		backend.BatchOne(&note, "SELECT * FROM notes WHERE id = ?", id),
//		backend.BatchAll(&tags, "SELECT * FROM tags WHERE note_id = ?", id))
//
// On MySQL each takes a round trip, and SQLite needs none.
//
// If a statement writes, they are a transaction together, see [DB.Tx]: all take effect or
// none. BEGIN travels with them, and COMMIT takes a round trip of its own. If all of them only
// read, each sees what was committed before it, except on SQLite, where all see one state of
// the database; for that on every engine, call Batch in a transaction with [ReadOnly]. In a
// transaction of ctx, they are part of it.
//
// The first error ends the batch, and is returned. What was stored by then is not of use.
// Statements that begin or end a transaction, or change the session, are errors.
func (db *DB) Batch(ctx context.Context, queries ...BatchQuery) error {
	b := &batch{db: db, queries: queries, statements: make([]*statement.Statement, len(queries)), requests: make([]dbconn.Request, len(queries))}
	writes, err := b.prepare()
	switch {
	case err != nil || len(queries) == 0:
		return err
	case db.scope(ctx) != nil:
	case writes:
		return db.Tx(ctx, b.run)
	case db.engine == SQLite && len(queries) > 1: // so that it takes and gives back its locks once
		return db.Tx(ctx, b.run, ReadOnly)
	}
	return b.run(ctx)
}

// batch is a call of DB.Batch.
type batch struct {
	db         *DB
	queries    []BatchQuery
	statements []*statement.Statement
	requests   []dbconn.Request
	rows       int                  // that were read by all of them
	heaviest   *statement.Statement // one that writes, or else one that must not be sent again, or else any
}

// prepare makes the statements. It reports whether one of them writes.
func (b *batch) prepare() (writes bool, err error) {
	for i, q := range b.queries {
		if q.dst == nil {
			return false, errors.New("batch: a BatchQuery is empty; make it with BatchOne, BatchMaybe, BatchAll or BatchExec")
		}
		s, err := b.db.statement(q.query, q.args)
		if err == nil {
			err = b.db.mayRun(s)
		}
		if err == nil && s.Session() != sqltext.SessionKept {
			err = fmt.Errorf("the statement changes the session: run it by itself: %s", sqltext.Clip(s.Query()))
		}
		if err != nil {
			return false, err
		}
		b.statements[i], b.requests[i] = s, dbconn.Request{Text: s.Text, Args: s.Args}
		switch {
		case b.heaviest == nil, !s.Reads(), b.heaviest.Reads() && !s.Repeats():
			b.heaviest = s
		}
	}
	return b.heaviest != nil && !b.heaviest.Reads(), nil
}

// run runs the statements on one connection. Those that only read run again as those of a
// transaction do, also if the first have succeeded: all rows are stored anew.
func (b *batch) run(ctx context.Context) error {
	for try := 1; ; try++ {
		err := b.runOnce(ctx)
		if b.db.scope(ctx) != nil || !retryable(err) || try == txTries || !pause(ctx, try) {
			return err
		}
	}
}

func (b *batch) runOnce(ctx context.Context) (err error) {
	if b.db.config.Observer == nil {
		return b.db.runStatement(ctx, b.heaviest, b.work)
	}
	begun := make([]observation, len(b.statements))
	for i, s := range b.statements {
		begun[i] = beginWork(nil)
		defer begun[i].end(&err)
		begun[i].observe(ctx, b.db.config.Observer, statementEvent(ctx, s))
	}
	err = b.db.runStatement(ctx, b.heaviest, b.work)
	for i := range begun {
		begun[i].returned = true
	}
	return err
}

func (b *batch) work(ctx context.Context, conn dbconn.Conn, _ *statement.Statement) error {
	for _, q := range b.queries {
		q.dst.reset()
	}
	done, err := dbconn.QueryBatch(ctx, conn, b.requests, func(i int, rows driver.Rows) error { return b.read(ctx, i, rows) })
	if err == nil || fromProgram(err) {
		return err
	}
	return b.db.failure(ctx, b.statements[done].Query(), err)
}

// read stores the rows of a statement, or none of them if there is an error.
func (b *batch) read(ctx context.Context, i int, rows driver.Rows) (err error) {
	q, s := b.queries[i], b.statements[i]
	defer func() {
		if err != nil {
			q.dst.reset()
		}
	}()
	var plan *scan.Plan
	if q.row != nil {
		if plan, err = s.PlanFor(q.row, rows.Columns()); err != nil {
			return notFromDatabase{fmt.Errorf("%w: %s", err, sqltext.Clip(s.Query()))}
		}
	}
	found, looks := 0, looksAt(rows)
	failed, err := dbconn.ReadAll(rows, func(row []column.Value) error {
		if b.rows%looks == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		b.rows++
		found++
		if !q.dst.takes(found) {
			return nil
		}
		return q.dst.store(plan, row)
	})
	if err == nil && failed == nil {
		err = q.dst.end(found, s)
	}
	switch {
	case failed != nil:
		return failed
	case err != nil && err != ctx.Err():
		return notFromDatabase{err}
	}
	return err
}
