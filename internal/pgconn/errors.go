package pgconn

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

var (
	// ErrTxAborted is returned by Commit for a transaction in which a statement has failed.
	// PostgreSQL rolls back such a transaction and reports success. Nothing was committed.
	ErrTxAborted = errors.New("the transaction had failed: it was rolled back, not committed")

	// ErrCommitUnknown is returned by Commit if the connection was lost, or the context
	// ended, after COMMIT was sent and before the outcome was received. The transaction may
	// have been committed or not.
	ErrCommitUnknown = errors.New("no answer to COMMIT: the transaction may have been committed or not")

	// ErrConnectionLost is returned if the connection was lost and the statement may have
	// been executed. It is also returned inside a transaction, which is lost with the
	// connection and was certainly not committed.
	ErrConnectionLost = errors.New("connection to PostgreSQL lost")

	// ErrOversizedError is returned for an error message of the server of more than 30 kB.
	// PostgreSQL sends one for a long value in a wrong form, because it quotes the value: the
	// input is wrong. The statement was not executed. The error wraps the *[pq.Error] with the
	// beginning of each text.
	ErrOversizedError = errors.New("PostgreSQL refused the statement with an error of over 30 kB, as for a long value in the wrong form")

	// ErrTxNotBegun is returned by the first statement of a transaction if the connection was
	// lost before its BEGIN was answered. Nothing was committed: run the transaction from the start,
	// on another connection. It is an ErrConnectionLost, too.
	ErrTxNotBegun = errors.New("the connection was lost before the transaction had begun")

	// ErrRowsOpen is returned for a statement on a connection whose rows have not
	// been read to the end or closed. Nothing was sent.
	ErrRowsOpen = errors.New("rows are open on this connection: read them to the end or close them first")

	// ErrRowsUnread is returned if rows were closed before their end, and reading the rest
	// took too long. The statement was stopped, and its changes were undone. Inside a
	// transaction the connection is lost, too.
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

// notBegunError is an ErrConnectionLost that is an ErrTxNotBegun.
type notBegunError struct{ cause error }

func (e *notBegunError) Error() string        { return e.cause.Error() }
func (e *notBegunError) Unwrap() error        { return e.cause }
func (e *notBegunError) Is(target error) bool { return target == ErrTxNotBegun }

// interruptedError has the error of a context (or of another time limit) and the outcome
// of the call that it ended.
type interruptedError struct{ reason, cause error }

func (e *interruptedError) Error() string {
	return fmt.Sprintf("%v: %v", e.reason, e.cause)
}

func (e *interruptedError) Unwrap() []error {
	return []error{e.reason, e.cause}
}

// lost returns the error of a connection that broke because of cause.
func lost(cause error) error {
	if errors.Is(cause, driver.ErrBadConn) {
		// database/sql must not see it: it would run the statement again.
		cause = errors.New("the server closed it")
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, cause)
}

// serverError returns the error that the server has sent, or nil if err is not one.
func serverError(err error) *pq.Error {
	if err == nil {
		return nil
	}
	answer, _ := errors.AsType[*pq.Error](err)
	return answer
}

// oversizedError is an error of the server that is an ErrOversizedError.
type oversizedError struct{ cause *pq.Error }

func (e *oversizedError) Error() string {
	return fmt.Sprintf("%v (%s)", ErrOversizedError, e.cause.Code)
}
func (e *oversizedError) Unwrap() error        { return e.cause }
func (e *oversizedError) Is(target error) bool { return target == ErrOversizedError }

// rescue returns an error for a panic of lib/pq, which panics for some unexpected
// messages while it connects.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("lib/pq panicked: %v", p)
	}
}

// isFailover reports whether the server says that it is shutting down, or that it does
// not accept writes any more. readOnly says that the session is meant to be read-only.
// 08P01 does not count: it may only say that a message was wrong, such as one with too
// few arguments.
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

// howOutdated decides by the error of a kept statement whether preparing it again may
// help. PostgreSQL fixes the columns of the result and the types of the parameters when
// it prepares a statement. If a column changes from integer to bigint, the parameter
// compared with it stays an integer, and larger values are refused. A wrong argument is
// refused with the same code; it then costs three more round trips.
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
	case pqerror.InternalError:
		if strings.HasPrefix(err.Message, "cache lookup failed") { // the type of a parameter was dropped
			return likelyOutdated
		}
	case pqerror.NumericValueOutOfRange, pqerror.InvalidTextRepresentation:
		return maybeOutdated
	}
	return notOutdated
}

// howOutdatedForm is howOutdated for a statement that was analyzed anew. Only the form of an
// argument can be outdated then: binary, for a column that takes other bytes now.
func howOutdatedForm(err *pq.Error, args []driver.NamedValue) outdated {
	if !slices.ContainsFunc(args, isBytes) {
		return notOutdated
	}
	switch err.Code {
	case pqerror.InvalidBinaryRepresentation, pqerror.ProtocolViolation,
		pqerror.InternalError: // such as an unsupported version of jsonb
		return likelyOutdated
	case pqerror.ProgramLimitExceeded: // of the dimensions of an array
		return maybeOutdated
	}
	return notOutdated
}
