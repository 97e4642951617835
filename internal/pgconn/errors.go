package pgconn

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

var (
	// ErrTxAborted is returned by Commit for a transaction in which a statement had
	// failed. PostgreSQL rolls such a transaction back and calls that a success;
	// nothing was committed.
	ErrTxAborted = errors.New("the transaction had failed: it was rolled back, not committed")

	// ErrCommitUnknown is returned by Commit when the connection was lost, or the
	// context ended, between sending COMMIT and hearing the outcome: the
	// transaction may have been committed or not.
	ErrCommitUnknown = errors.New("no answer to COMMIT: the transaction may have been committed or not")

	// ErrConnectionLost is returned when the connection broke and the statement may
	// have been executed, and inside a transaction, which is lost with it and was
	// certainly not committed.
	ErrConnectionLost = errors.New("connection to PostgreSQL lost")

	// ErrOversizedError is returned for an error message of the server of more than
	// 30 kB, which lib/pq cannot read. It is what a long value in the wrong form
	// gets, because PostgreSQL quotes the value: the input is at fault. The
	// statement was not executed; the connection is dropped.
	ErrOversizedError = errors.New("PostgreSQL refused the statement with an error of over 30 kB, as for a long value in the wrong form")

	// ErrRowsOpen is returned for a statement on a connection whose rows have not
	// been read to the end or closed. Nothing was sent.
	ErrRowsOpen = errors.New("rows are open on this connection: read them to the end or close them first")

	// ErrRowsUnread is returned when rows were closed so far before their end that
	// reading on took too long. The statement was stopped, and with it whatever it
	// would have changed; inside a transaction the connection is lost with it.
	ErrRowsUnread = errors.New("rows were closed long before their end: the statement was stopped")

	// ErrTxOpen is returned for a transaction begun inside a transaction. Nothing
	// was sent.
	ErrTxOpen = errors.New("a transaction is open on this connection: commit it or roll it back first")

	// ErrNoTx is returned for a commit or rollback without a transaction. Nothing
	// was sent.
	ErrNoTx = errors.New("no transaction is open on this connection")
)

// Stale reports whether err says that a statement failed inside a transaction
// only because the schema had changed since it was prepared. The transaction is
// lost; run from the start, on this connection or another, it will not fail for
// this reason again. Outside transactions such failures are repaired and never
// seen.
func Stale(err error) bool {
	_, ok := errors.AsType[*staleError](err)
	return ok
}

// staleError marks an error of a statement that was prepared under another schema.
type staleError struct{ cause error }

func (e *staleError) Error() string { return e.cause.Error() }
func (e *staleError) Unwrap() error { return e.cause }

// interruptedError is the end of a context (or of another bound on time) and what
// it made of the call.
type interruptedError struct{ reason, cause error }

func (e *interruptedError) Error() string {
	return fmt.Sprintf("%v: %v", e.reason, e.cause)
}

func (e *interruptedError) Unwrap() []error {
	return []error{e.reason, e.cause}
}

// lost describes a connection that broke for the reason cause.
func lost(cause error) error {
	if errors.Is(cause, driver.ErrBadConn) {
		// database/sql must not see it: it would run the statement again.
		cause = errors.New("the server closed it")
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, cause)
}

// serverError returns the error the server answered with, or nil if err is none.
func serverError(err error) *pq.Error {
	if err == nil {
		return nil
	}
	answer, _ := errors.AsType[*pq.Error](err)
	return answer
}

// isOversized recognizes lib/pq's error for an ErrorResponse that it does not read.
func isOversized(err error) bool {
	return strings.HasPrefix(err.Error(), "pq: server error: ")
}

// rescue turns a panic of lib/pq, which has some for messages it does not
// expect, into an error. Like any error that the server did not send, it costs
// the connection.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("lib/pq panicked: %v", p)
	}
}

// isFailover reports whether the server said that it is going away, or that it
// does not take writes any more. readOnly says that no writes were asked for.
// 08P01 is not among them: as an ordinary error it only says that a message,
// such as one with too few arguments, was wrong.
func isFailover(err *pq.Error, readOnly bool) bool {
	switch err.Code {
	case pqerror.ReadOnlySQLTransaction:
		return !readOnly
	case pqerror.AdminShutdown, pqerror.CrashShutdown, pqerror.CannotConnectNow:
		return true
	case pqerror.ProtocolViolation:
		return err.Fatal()
	}
	return strings.HasPrefix(string(err.Code), string(pqerror.ClassConnectionException))
}

// outdated is how a statement found in the cache fails after a schema change.
type outdated int

const (
	notOutdated   outdated = iota
	maybeOutdated          // so does a wrong argument, far more often
	likelyOutdated
)

// howOutdated tells from the error of a kept statement whether preparing it again
// may help. What PostgreSQL fixes when it prepares are the result's columns and
// the parameters' types: a column that went from integer to bigint leaves the
// parameter compared with it an integer, so larger values are refused. A wrong
// argument is refused with the same code; it costs three more round trips, and
// is then refused again.
func howOutdated(err *pq.Error) outdated {
	switch err.Code {
	case pqerror.FeatureNotSupported:
		if err.Routine == "RevalidateCachedQuery" {
			return likelyOutdated
		}
	case pqerror.InvalidSQLStatementName, // the server has dropped it
		pqerror.UndefinedFunction, // no operator for the old parameter's type
		pqerror.DatatypeMismatch:
		return likelyOutdated
	case pqerror.NumericValueOutOfRange, pqerror.InvalidTextRepresentation:
		return maybeOutdated
	}
	return notOutdated
}
