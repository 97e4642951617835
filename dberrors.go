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

// DBError is the cause of every *[Error] that comes from a database. Use [errors.As]
// to branch on the name of a constraint:
//
//	var failed *backend.DBError
//	if errors.As(err, &failed) && failed.Constraint == "accounts_email_key" { … }
//
// A name is empty if the engine does not report it. For a UNIQUE violation, SQLite
// reports the table and column, and MySQL the constraint. SQLite reports nothing for
// a foreign key.
//
// The code of the Error depends on what happened:
//
//   - [Conflict]: a UNIQUE violation (if the function of an operation returns it, it names
//     fields of the input, see [FieldError]), or a transaction or single statement that lost
//     against another one too often.
//   - [Invalid]: a foreign key, CHECK or NOT NULL violation, a row that WITH CHECK OPTION
//     or a row security policy refuses, RAISE or SIGNAL in a trigger or function of the
//     schema, a value that does not fit its column, or a division by zero. SQLite, and a
//     SELECT of MySQL, return NULL for a division by zero instead.
//   - [TooLarge]: a value larger than the engine can store.
//   - [Unavailable]: the database cannot be reached or is overloaded.
//   - [Timeout] or [Canceled]: the context has ended.
//   - [Internal]: anything else, such as a mistake in the SQL, or more arguments than the
//     engine takes. Only if a list in IN (?) has too many values, the code is Invalid, and
//     the cause no DBError.
type DBError struct {
	Engine     Engine
	Constraint string
	Table      string
	Column     string
	// Query is the whole text of the query, with the texts of its Fragments and
	// without arguments. It is empty if a transaction could not begin or commit.
	Query string

	err      error
	kind     dberr.Kind
	answered bool     // the engine itself answered
	columns  []string // all columns of a UNIQUE or foreign key violation, if they are known
	missing  bool     // of a foreign key violation: what the columns refer to is missing
	db       *DB
}

// Error returns the error of the driver and the beginning of the query. It is for
// logs and not for clients: some drivers quote the rejected value.
func (e *DBError) Error() string {
	text := e.err.Error()
	if general, special, _ := strings.Cut(text, ": "); says(special, general) { // as SQLite says of constraints
		text = special
	}
	if e.Query == "" {
		return fmt.Sprintf("%s: %s", e.Engine, text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Engine, text, sqltext.Clip(e.Query))
}

// Unwrap returns the driver's error.
func (e *DBError) Unwrap() error { return e.err }

// ErrCommitUnknown is wrapped by the error of a transaction whose COMMIT was sent but
// not answered. The transaction may have taken effect or not, and is never retried.
// The code of the error is [Timeout].
var ErrCommitUnknown = errors.New("the outcome of the commit is not known")

// dbCodes has the code and the message for clients for each kind of database error.
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

// overload marks the error of a request that was refused because others wait already.
type overload struct{ error }

func (o overload) Unwrap() error { return o.error }

// connWait is how long a request waits for its first connection, unless each use of one
// takes longer than that.
const connWait = time.Second

// failure returns the *Error for an error of the database, and nil for nil. If ctx
// has ended and may have caused the error, the Error says that it has ended.
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
		Query: query, err: err, kind: info.Kind, answered: info.Answered,
		columns: info.Columns, missing: info.Missing, db: db,
	}
	if ended := contextEnd(ctx, err, info); ended != nil {
		if !errors.Is(err, ended) {
			cause.err = fmt.Errorf("%w: %w", ended, err)
		}
		return &Error{Code: asError(ended).Code, cause: cause}
	}
	known := dbCodes[info.Kind]
	if _, refused := errors.AsType[overload](err); refused {
		cause.kind = dberr.Unavailable
		known = Error{Code: Unavailable, Message: busyMessage, RetryAfter: connWait}
	}
	return known.Wrap(cause)
}

// classify returns what is known about an error of an engine, or of our own
// connection to PostgreSQL.
func classify(err error) dberr.Info {
	info := dberr.Classify(err)
	switch {
	case pgconn.Stale(err):
		info.Kind = dberr.Serialization
	case errors.Is(err, pgconn.ErrOversizedError), strings.HasPrefix(err.Error(), "pq: server error: "):
		info.Kind = dberr.Data // the error quotes a long value; lib/pq does not read it
	case errors.Is(err, pgconn.ErrUnfit):
		info.Kind = dberr.Data
	case errors.Is(err, pgconn.ErrConnectionLost):
		info.Kind = dberr.Unavailable
	}
	return info
}

// contextEnd returns why ctx has ended, if that may have caused err.
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

// endsTx reports whether an error ends the whole transaction and not only the
// innermost savepoint.
func endsTx(err error) bool {
	var failed *DBError
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.kind {
	case dberr.Serialization, dberr.Timeout, dberr.Unavailable:
		return true
	}
	return !failed.answered
}

// commitUnknown returns the error of a transaction that may have taken effect.
func commitUnknown(cause error) error {
	return &Error{
		Code:    Timeout,
		Message: "It is not known whether this took effect; check before you try again.",
		cause:   errors.Join(ErrCommitUnknown, cause),
	}
}

// notFromDatabase marks an error that the program itself made while it used the
// database. It says nothing about the connection or the transaction.
type notFromDatabase struct{ error }

func fromProgram(err error) bool {
	_, ok := errors.AsType[notFromDatabase](err)
	return ok
}
