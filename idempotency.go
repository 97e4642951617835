package backend

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file makes mutations that can be sent twice, as
// draft-ietf-httpapi-idempotency-key-header describes: a client that heard no
// answer sends the call again under the same key, and gets the answer of the
// first one.

// IdempotencyPolicy says what [Idempotent] does with calls without a key.
type IdempotencyPolicy uint8

const (
	// Accepted makes calls with a key idempotent, and others as usual.
	Accepted IdempotencyPolicy = iota + 1
	// Required refuses calls without a key, as [Malformed].
	Required
)

// Idempotent makes a mutation remember the keys of its calls (over REST the
// header Idempotency-Key, in quotes or not) for 24 hours, in the transaction of
// the mutation, for each caller. A call with a key that is known gets the answer
// that was stored, with the header Idempotency-Replayed: true, or [Invalid] if
// its input is another one. While the first call is running, others in the same
// process are [Conflict]; those in another process wait for it. A call that
// failed is not remembered.
//
// Callers who are not signed in share their keys: such an operation should take
// keys that cannot be guessed. The table is made by [DB.Migrate].
func Idempotent(policy IdempotencyPolicy) Option {
	return optionFunc(func(o *Operation) {
		switch policy {
		case Accepted:
			o.options.key = keyAccepted
		case Required:
			o.options.key = keyRequired
		default:
			o.fault("Idempotent takes backend.Accepted or backend.Required")
		}
	})
}

const (
	keyLifetime  = 24 * time.Hour
	maxKeyLength = 255
)

// storedCall is a row of the table. Output is NULL until the call has ended, in
// the same transaction.
type storedCall struct {
	Input  string `db:"input"`
	Output []byte `db:"output"`
}

// checkKey returns an error for a key that cannot be used with an operation.
func (r *registered) checkKey(key string) error {
	switch {
	case r.options.key == keyIgnored:
		return nil
	case key == "" && r.options.key == keyRequired:
		return &Error{Code: Malformed, Message: "Send an Idempotency-Key header with a value that is new for each new request."}
	case len(key) > maxKeyLength:
		return &Error{Code: Malformed, Message: fmt.Sprintf("An Idempotency-Key may have %d characters.", maxKeyLength)}
	}
	return nil
}

// keyed is one call under a key.
type keyed struct {
	db     *DB
	op     *registered
	id     string // of caller, operation and key
	input  string // hash of the input
	fresh  bool
	answer []byte
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part) // so that no two lists of parts are alike
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func (l *Logic) keyedCall(ctx context.Context, op *registered, key string, in any) (*keyed, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return &keyed{db: l.db, op: op, id: hash(CallerFrom(ctx).ID, op.name, key), input: hash(string(text), string(presence(nil, op.inPlan, reflect.ValueOf(in).Elem())))}, nil
}

// presence appends for each Opt whether it is there, since its JSON is null
// whether it is absent or null.
func presence(dst []byte, t *plan.Type, v reflect.Value) []byte {
	switch t.Kind {
	case plan.Opt:
		dst = strconv.AppendBool(dst, v.Field(plan.OptPresent).Bool())
		return presence(dst, t.Elem, v.Field(plan.OptValue))
	case plan.Struct:
		for _, field := range t.Fields {
			dst = presence(dst, field.Type, v.FieldByIndex(field.Index))
		}
	case plan.Pointer:
		if !v.IsNil() {
			return presence(dst, t.Elem, v.Elem())
		}
	case plan.Slice, plan.Array:
		for i := range v.Len() {
			dst = presence(dst, t.Elem, v.Index(i))
		}
	}
	return dst
}

// checkReplay notes types with which inputs cannot be compared, or answers not
// be read again.
func checkReplay(o *Operation) {
	visit(o.inPlan, map[*plan.Type]bool{}, func(t *plan.Type) {
		if p := reflect.PointerTo(t.Go); t.Kind == plan.Text && !p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			o.fault("Idempotent: inputs with a %s cannot be compared; give it MarshalText", t.Go)
		}
	})
	visit(o.outPlan, map[*plan.Type]bool{}, func(t *plan.Type) {
		p := reflect.PointerTo(t.Go)
		if t.Kind == plan.Text && !p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
			t.Kind == plan.Custom && !p.Implements(reflect.TypeFor[json.Unmarshaler]()) {
			o.fault("Idempotent: a stored answer with a %s cannot be read again; give it the method that reads what it writes", t.Go)
		}
	})
}

// visit calls f for t and all types in it.
func visit(t *plan.Type, seen map[*plan.Type]bool, f func(*plan.Type)) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	f(t)
	visit(t.Elem, seen, f)
	for _, field := range t.Fields {
		visit(field.Type, seen, f)
	}
}

// once calls f and stores what it put into out, or puts there what was stored.
func (k *keyed) once(ctx context.Context, f func(context.Context) error, out *any) (err error) {
	if err := k.claim(ctx); err != nil {
		return err
	}
	if !k.fresh {
		*out, err = k.replay()
		return err
	}
	if err := f(ctx); err != nil {
		return err
	}
	return k.store(ctx, *out)
}

// claim takes the key in the transaction of ctx, or finds what was stored under
// it. A call in another process that has the key makes it wait.
func (k *keyed) claim(ctx context.Context) error {
	if err := k.forgetOld(ctx); err != nil {
		return err
	}
	insert := SQL("INSERT INTO backend_idempotency_keys (id, input, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
	if k.db.engine == MySQL {
		insert = "INSERT IGNORE INTO backend_idempotency_keys (id, input, expires_at) VALUES (?, ?, ?)"
	}
	result, err := k.db.Exec(ctx, insert, k.id, k.input, time.Now().Add(keyLifetime))
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil || n == 1 {
		k.fresh = n == 1
		return err
	}
	stored, err := One[storedCall](ctx, k.db, "SELECT input, output FROM backend_idempotency_keys WHERE id = ?", k.id)
	if err != nil {
		return err
	}
	if stored.Input != k.input {
		return &Error{Code: Invalid, Message: "This Idempotency-Key was used with another input; use a new one."}
	}
	k.answer = stored.Output
	return nil
}

// forgetOld deletes this key if it has expired, and now and then all that have.
func (k *keyed) forgetOld(ctx context.Context) error {
	q := SQL("DELETE FROM backend_idempotency_keys WHERE expires_at < ?")
	args := []any{time.Now()}
	if rand.N(100) > 0 {
		q += " AND id = ?"
		args = append(args, k.id)
	}
	_, err := k.db.Exec(ctx, q, args...)
	return err
}

// store keeps the answer in the transaction of ctx.
func (k *keyed) store(ctx context.Context, out any) error {
	text, err := k.op.encode.Append(nil, reflect.ValueOf(out).Elem())
	if err != nil {
		return err
	}
	_, err = k.db.Exec(ctx, "UPDATE backend_idempotency_keys SET output = ? WHERE id = ?", text, k.id)
	return err
}

// replay returns the stored answer as a *Out.
func (k *keyed) replay() (any, error) {
	out := reflect.New(k.op.out)
	if err := json.Unmarshal(k.answer, out.Interface()); err != nil {
		return nil, fmt.Errorf("the stored answer of %s cannot be read: %w", k.op.name, err)
	}
	return out.Interface(), nil
}

// enter notes that a call with a key runs in this process, or says that one does.
func (l *Logic) enter(id string) (leave func(), err error) {
	l.flights.Lock()
	defer l.flights.Unlock()
	if l.inFlight[id] {
		return nil, &Error{Code: Conflict, Message: "A request with this Idempotency-Key is being worked on; try again when it has ended.", RetryAfter: time.Second}
	}
	l.inFlight[id] = true
	return func() {
		l.flights.Lock()
		defer l.flights.Unlock()
		delete(l.inFlight, id)
	}, nil
}
