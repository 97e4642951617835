package backend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/fingerprint"
)

// This file has idempotency keys (draft-ietf-httpapi-idempotency-key-header). A client
// that got no response sends the request again with the same key, and gets the output
// of the first call.

// Idempotent makes a mutation store its outputs under the keys of its calls for 24
// hours, for each caller, in the mutation's transaction. Over REST the key is the header
// Idempotency-Key, with or without quotes. A later call with the key gets the stored
// output, with the header Idempotency-Replayed: true. If its input is not that of the
// first call, it is [Invalid]. Failed calls are not stored. Calls without a key run as
// usual.
//
// The output is stored as JSON, with what the function has said about the response (see
// [SetHeader]), and with those fields tagged json:"-" that a [Relation] or
// a method ETag may read. Unexported fields are not stored. If a later release of the
// program has changed the type and cannot read the output, the call is [Internal] until
// the key expires.
//
// While the first call runs, other calls with the key are [Conflict] in every process,
// and may be sent again after a second. Two engines differ if the first call runs in
// another process. On SQLite, which has one writer, the other calls wait and then get
// its output. MySQL, unlike MariaDB, refuses them after a second.
//
// About one in 256 calls deletes up to 1000 expired keys. If that fails, the error is
// logged, and the call succeeds.
//
// All anonymous callers share their keys, so their keys must not be guessable.
// [DB.Migrate] creates the table.
func Idempotent() Option {
	return option{"Idempotent", forMutations, func(d *definition) { d.settings.key = max(d.settings.key, keyAccepted) }}
}

// RequireIdempotencyKey is [Idempotent], and makes a call without a key [Malformed].
// [Call] needs no key.
func RequireIdempotencyKey() Option {
	return option{"RequireIdempotencyKey", forMutations, func(d *definition) { d.settings.key = keyRequired }}
}

const (
	keyLifetime  = 24 * time.Hour
	maxKeyLength = 255
)

// storedCall is a row of the table of keys. Output is NULL until the function has
// returned, in the same transaction.
type storedCall struct {
	Input     string    `db:"input"`
	Output    []byte    `db:"output"`
	ExpiresAt time.Time `db:"expires_at"`
}

// checkKey returns an error for a key that cannot be used with an operation.
func (r *registered) checkKey(key string) error {
	switch {
	case r.settings.key == keyIgnored:
		return nil
	case key == "" && r.settings.key == keyRequired:
		return &Error{Code: Malformed, Message: "Send an Idempotency-Key header with a value that is new for each new request."}
	case len(key) > maxKeyLength:
		return &Error{Code: Malformed, Message: fmt.Sprintf("An Idempotency-Key may have %d characters.", maxKeyLength)}
	}
	return nil
}

// keyedCall is one call with an idempotency key.
type keyedCall struct {
	db     *DB
	op     *registered
	id     string // hash of caller, operation and key
	input  string // hash of the input
	logger *slog.Logger
	fresh  bool   // no output is stored under the key
	output []byte // the stored output, unless fresh
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part) // the lengths make different parts differ
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// runOnce runs a function in a transaction and stores its output under the key. If an
// output is stored already, it uses that output instead and reports true.
func (v *visit) runOnce(c *callContext, how callConfig, a *attempts) (replayed bool, err error) {
	k, err := v.keyed(c.op, how.key, a.in)
	if err != nil {
		return false, err
	}
	release, err := v.logic.reserveKey(k.id)
	if err != nil {
		return false, err
	}
	defer release()
	if err = v.logic.db.Tx(c, func(ctx context.Context) error { return k.once(ctx, a) }, how.mode); err != nil {
		return false, err
	}
	if !k.fresh {
		return true, a.transport.encode(c, a.out)
	}
	return false, nil
}

// keyed returns a call with a key.
func (v *visit) keyed(op *registered, key string, in any) (*keyedCall, error) {
	text, err := fingerprint.Append(nil, op.inPlan, reflect.ValueOf(in).Elem())
	if err != nil {
		return nil, err
	}
	return &keyedCall{db: v.logic.db, op: op, logger: v.log(), id: hash(string(v.caller.ID), op.name, key), input: hash(string(text))}, nil
}

// once runs the function and stores its output, or reads the stored output.
func (k *keyedCall) once(ctx context.Context, a *attempts) (err error) {
	if err := k.claim(ctx); err != nil {
		return err
	}
	if !k.fresh {
		if err := k.replay(ctx, a); err != nil {
			return fmt.Errorf("the stored output of %s cannot be read: %w", k.op.name, err)
		}
		return nil
	}
	if err := a.run(ctx); err != nil {
		return err
	}
	return k.store(ctx, a.out)
}

// replay takes the output, and what was said about the response, from what is stored.
func (k *keyedCall) replay(ctx context.Context, a *attempts) (err error) {
	var said []byte
	if a.out, said, err = k.op.stored().Read(k.output); err != nil {
		return err
	}
	return replyFrom(ctx).restore(said)
}

// store stores the output, and what was said about the response, in the transaction of
// ctx.
func (k *keyedCall) store(ctx context.Context, out any) error {
	text, err := k.op.stored().Append(nil, reflect.ValueOf(out).Elem())
	if err == nil {
		text, err = replyFrom(ctx).appendStored(text)
	}
	if err != nil {
		return err
	}
	_, err = k.db.Exec(ctx, "UPDATE backend_idempotency_keys SET output = ? WHERE id = ?", text, k.id)
	return err
}

// claim takes the key in the transaction of ctx, or reads the output stored under it.
// If another call has the key, claim returns an error without waiting. On SQLite the
// transaction has waited for that call when it began.
func (k *keyedCall) claim(ctx context.Context) (err error) {
	now := time.Now().Truncate(time.Microsecond) // as it is stored
	if k.fresh, err = k.take(ctx, now); err != nil {
		return err
	}
	if k.fresh {
		k.cleanSometimes(ctx)
		return nil
	}
	stored, err := Maybe[storedCall](ctx, k.db, findKey[k.db.engine], k.id)
	switch {
	case err != nil:
		return err
	case stored == nil: // the other call has not committed yet, or was just undone
		return keyInUse(nil)
	case stored.ExpiresAt.Before(now):
		return k.renew(ctx, now)
	case stored.Output == nil:
		return keyInUse(nil)
	case stored.Input != k.input:
		return &Error{Code: Invalid, Message: "This Idempotency-Key was used with another input; use a new one."}
	}
	k.output = stored.Output
	return nil
}

// takeKey inserts the row of a key, or replaces it if it has expired. It runs before
// any search for the row: on MySQL, a locking search for a missing row locks the gap
// where the row would be, and calls with other keys would wait.
//
//   - PostgreSQL would wait for a row that another transaction has inserted. The
//     advisory lock prevents that: without it, nothing is inserted. It ends with the
//     transaction.
//   - SQLite has only one transaction that writes.
//   - MariaDB is told not to wait. MySQL, which reads that as a comment, is told to
//     wait for a second, the shortest time that it has. Neither can replace a row here
//     without locking it against calls that read their stored output: see renew.
var takeKey = map[Engine]query{
	Postgres: "INSERT INTO backend_idempotency_keys (id, input, expires_at) SELECT ?, ?, ? WHERE pg_try_advisory_xact_lock(?)" + orTakeExpired,
	SQLite:   "INSERT INTO backend_idempotency_keys (id, input, expires_at) VALUES (?, ?, ?)" + orTakeExpired,
	MySQL: "/*M! SET STATEMENT innodb_lock_wait_timeout = 0 FOR */ INSERT /*+ SET_VAR(innodb_lock_wait_timeout = 1) */ IGNORE " +
		"INTO backend_idempotency_keys (id, input, expires_at) VALUES (?, ?, ?)",
}

const orTakeExpired = " ON CONFLICT (id) DO UPDATE SET input = excluded.input, output = NULL, expires_at = excluded.expires_at" +
	" WHERE backend_idempotency_keys.expires_at < ?"

// findKey reads the committed row of a key. On MySQL it needs a lock, because the
// snapshot of an outer transaction may be older than the row.
var findKey = map[Engine]query{
	Postgres: "SELECT input, output, expires_at FROM backend_idempotency_keys WHERE id = ?",
	SQLite:   "SELECT input, output, expires_at FROM backend_idempotency_keys WHERE id = ?",
	MySQL:    "SELECT input, output, expires_at FROM backend_idempotency_keys WHERE id = ? LOCK IN SHARE MODE",
}

// take inserts the row of the key. It reports whether it did.
func (k *keyedCall) take(ctx context.Context, now time.Time) (bool, error) {
	args := []any{k.id, k.input, now.Add(keyLifetime)}
	switch k.db.engine {
	case Postgres:
		args = append(args, k.lock(), now)
	case SQLite:
		args = append(args, now)
	}
	result, err := k.db.Exec(ctx, takeKey[k.db.engine], args...)
	if err != nil {
		if err = notWaited(err); CodeOf(err) == Internal {
			err = fmt.Errorf("keys of Idempotent, whose table DB.Migrate makes: %w", err)
		}
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// lock returns the number of the key's advisory lock on PostgreSQL. It is 64 bits of a
// hash, so it differs from the numbers of other keys in use and from those that the
// program itself locks.
func (k *keyedCall) lock() int64 {
	number, _ := strconv.ParseUint(k.id[:16], 16, 64) // a hash in hex
	return int64(number)
}

// notWaited translates the error of MariaDB and MySQL for a lock that another call has.
// It keeps the transaction from running again.
func notWaited(err error) error {
	const lockWaitTimeout = 1205
	if failed, ok := errors.AsType[*DBError](err); ok && dberr.MySQLNumber(failed.err) == lockWaitTimeout {
		failed.kind = dberr.Unavailable // not Serialization, the kind of this error elsewhere
		return keyInUse(err)
	}
	return err
}

// renew takes a key that has expired, on MySQL. On other engines take has done so,
// unless another call has the key. If several calls renew a key at the same time, they
// deadlock: one gets the key, the others run again and find it in use.
func (k *keyedCall) renew(ctx context.Context, now time.Time) error {
	if k.db.engine != MySQL {
		return keyInUse(nil)
	}
	result, err := k.db.Exec(ctx, "UPDATE backend_idempotency_keys SET input = ?, output = NULL, expires_at = ? WHERE id = ? AND expires_at < ?",
		k.input, now.Add(keyLifetime), k.id, now)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = keyInUse(nil)
	}
	k.fresh = n == 1
	return err
}

// maxCleaned bounds how many expired keys are deleted at once. About 256 keys expire
// between two cleanings, since one in 256 calls cleans.
const maxCleaned = 1000

// cleanSometimes deletes expired keys, in one of 256 calls, after the transaction of ctx
// has committed. Within it, the deleted rows would stay locked until its end.
func (k *keyedCall) cleanSometimes(ctx context.Context) {
	if !strings.HasPrefix(k.id, "00") { // true for one in 256 ids: they are hashes in hex
		return
	}
	AfterCommit(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // the caller waits
		defer cancel()
		if err := k.clean(ctx, time.Now()); err != nil {
			k.logger.LogAttrs(ctx, slog.LevelWarn, "expired idempotency keys were not deleted; a later call will try again", slog.Any("error", err))
		}
	})
}

// clean finds expired keys, and then deletes them by their ids: on MySQL, a DELETE locks
// every row that it examines, and so would wait for the calls that run.
func (k *keyedCall) clean(ctx context.Context, now time.Time) error {
	ids, err := All[string](ctx, k.db, "SELECT id FROM backend_idempotency_keys WHERE expires_at < ? LIMIT ?", now, maxCleaned)
	if err != nil || len(ids) == 0 {
		return err
	}
	var q query = "DELETE FROM backend_idempotency_keys WHERE id IN (?) AND expires_at < ?"
	if k.db.engine == MySQL {
		q = "DELETE k FROM backend_idempotency_keys k FORCE INDEX (PRIMARY) WHERE id IN (?) AND expires_at < ?"
	}
	_, err = k.db.Exec(ctx, q, ids, now)
	return err
}

// keyInUse returns the error of a call whose key another call has.
func keyInUse(cause error) error {
	busy := Error{Code: Conflict, Message: "A request with this Idempotency-Key is being worked on; try again when it has ended.", RetryAfter: time.Second}
	return busy.Wrap(cause)
}

// reserveKey marks a key as in use in this process until release. It returns an error if
// the key is in use already.
func (l *Logic) reserveKey(id string) (release func(), err error) {
	l.keysMu.Lock()
	defer l.keysMu.Unlock()
	if l.keysInUse[id] {
		return nil, keyInUse(nil)
	}
	l.keysInUse[id] = true
	return func() {
		l.keysMu.Lock()
		defer l.keysMu.Unlock()
		delete(l.keysInUse, id)
	}, nil
}
