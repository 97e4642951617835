package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// DBError is the cause of every *[Error] that comes from a database. Find it
// with [errors.As] where the name of a constraint decides what to do:
//
//	var failed *backend.DBError
//	if errors.As(err, &failed) && failed.Constraint == "accounts_email_key" { … }
//
// The names are empty where the engine does not tell them: SQLite names table
// and column but no constraint of a UNIQUE violation, MySQL the other way
// round, neither names anything of SQLite's foreign keys.
//
// The codes: unique violations are [Conflict]; foreign keys, CHECK, NOT NULL
// and values that do not fit their column are [Invalid]; values over an
// engine's limits are [TooLarge]; a transaction, or a statement on its own, that
// lost against another one too often is [Conflict]; a database that cannot be reached or is overloaded
// is [Unavailable]; the end of the context is [Timeout] or [Canceled];
// everything else, such as an error in the SQL, is [Internal].
type DBError struct {
	Engine     Engine
	Constraint string
	Table      string
	Column     string
	// Query is all of the query as it was written, without arguments. It is empty for
	// beginning and ending transactions.
	Query string

	err   error
	kind  dberr.Kind
	known bool // the engine itself answered
}

// Error returns the driver's error and the beginning of the query. It is for
// logs: some drivers quote the value that was refused.
func (e *DBError) Error() string {
	if e.Query == "" {
		return fmt.Sprintf("%s: %v", e.Engine, e.err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Engine, e.err, sqltext.Clip(e.Query))
}

// Unwrap returns the driver's error.
func (e *DBError) Unwrap() error { return e.err }

// ErrCommitUnknown is wrapped by the error of a transaction whose COMMIT was
// sent and not answered: it may have taken effect or not. Such a transaction
// is never run again by itself. Its code is [Timeout].
var ErrCommitUnknown = errors.New("the outcome of the commit is not known")

// dbCodes has the code for each kind of database error, and what a client is
// told.
var dbCodes = map[dberr.Kind]Error{
	dberr.Unique:        {Code: Conflict, Message: "This exists already."},
	dberr.ForeignKey:    {Code: Invalid, Message: "This refers to something that does not exist, or something else refers to it."},
	dberr.Check:         {Code: Invalid, Message: "A value is not allowed here."},
	dberr.NotNull:       {Code: Invalid, Message: "A value is missing."},
	dberr.Data:          {Code: Invalid, Message: "A value does not fit."},
	dberr.TooLarge:      {Code: TooLarge, Message: "A value is too large to be stored."},
	dberr.Serialization: {Code: Conflict, Message: "Somebody else changed this at the same time; try again."},
	dberr.Timeout:       {Code: Timeout},
	dberr.Unavailable:   {Code: Unavailable},
	dberr.ReadOnly:      {Code: Unavailable}, // a server that was demoted; see txScope.run
	dberr.Other:         {Code: Internal},
}

// failure returns the *Error for an error of the database; nil for nil. The
// end of ctx explains whatever error it caused.
func (db *DB) failure(ctx context.Context, query string, err error) error {
	if err == nil {
		return nil
	}
	var done *DBError
	if errors.As(err, &done) {
		return err
	}
	info := classify(err)
	cause := &DBError{
		Engine: db.engine, Constraint: info.Constraint, Table: info.Table, Column: info.Column,
		Query: query, err: err, kind: info.Kind, known: info.Answered,
	}
	if ended := contextEnd(ctx, err, info); ended != nil {
		if !errors.Is(err, ended) {
			cause.err = fmt.Errorf("%w: %w", ended, err)
		}
		return &Error{Code: asError(ended).Code, cause: cause}
	}
	known := dbCodes[info.Kind]
	return known.Wrap(cause)
}

// classify adds to what engines say what our own PostgreSQL connection does.
func classify(err error) dberr.Info {
	info := dberr.Classify(err)
	switch {
	case pgconn.Stale(err):
		info.Kind = dberr.Serialization
	case errors.Is(err, pgconn.ErrOversizedError), strings.HasPrefix(err.Error(), "pq: server error: "):
		info.Kind = dberr.Data // lib/pq does not read errors that quote a long value
	case errors.Is(err, pgconn.ErrConnectionLost):
		info.Kind = dberr.Unavailable
	}
	return info
}

// contextEnd returns why ctx ended if err may come from that.
func contextEnd(ctx context.Context, err error, info dberr.Info) error {
	for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, end) {
			return end
		}
	}
	if info.Answered && info.Kind != dberr.Timeout || info.Kind == dberr.Data {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded // a socket's deadline may come just before its context's
	}
	return ctx.Err()
}

// retryable reports whether the whole transaction should run again.
func retryable(err error) bool {
	var failed *DBError
	return errors.As(err, &failed) && failed.kind == dberr.Serialization
}

// endsTx reports whether the whole transaction is lost, not just the innermost
// savepoint.
func endsTx(err error) bool {
	var failed *DBError
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.kind {
	case dberr.Serialization, dberr.Timeout, dberr.Unavailable:
		return true
	}
	return !failed.known
}
