package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file has what other packages need to make doors.

// CustomDoor calls operations for a protocol that this package does not have. [Logic.Door]
// makes one. It is safe for concurrent use.
//
// Your door reads a message, chooses the operation, and provides a [Transport] that
// decodes the input and encodes the output. CustomDoor does the rest: authentication,
// rate limit, access, validation, idempotency, transaction. The options [Route],
// [Status], [MaxAge], [MaxBody] and [RequireIfMatch], and relations, are for REST only.
//
//	type call struct {
//		op            *backend.Operation
//		input, output []byte
//	}
//
//	func (c *call) Decode(ctx context.Context, in any) error { return c.op.DecodeJSON(ctx, c.input, in) }
//
//	func (c *call) Encode(_ context.Context, out any) (err error) {
//		c.output, err = c.op.AppendJSON(nil, out)
//		return err
//	}
//
//	func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		c := &call{op: d.custom.Operation(r.PathValue("name")), input: readAll(r.Body)}
//		if _, err := d.custom.Visit(r).Call(r.Context(), c.op, c, backend.CallConfig{}); err != nil {
//			backend.WriteError(w, r, err)
//		} else {
//			w.Write(c.output)
//		}
//	}
type CustomDoor struct {
	logic  *Logic
	name   Door
	ops    []*Operation
	byName map[string]*registered
}

// Door returns the door of a protocol. Its name begins with a domain, such as
// "example.com/toy". Use the same name in [Only], [Except] and [ForDoor]. An invalid
// name panics. After Door, [Logic.Add] panics.
func (l *Logic) Door(name Door) *CustomDoor {
	if err := name.check(); err != nil || name.isOf(REST) {
		panic("backend: Logic.Door: the name \"" + string(name) + "\" must begin with a domain, as in \"example.com/toy\"")
	}
	offered, _ := l.seal(name)
	d := &CustomDoor{logic: l, name: name, byName: map[string]*registered{}}
	for _, op := range offered {
		d.ops = append(d.ops, op.Operation)
		d.byName[op.name] = op
	}
	return d
}

// Operation returns the operation with a name, or nil if the door does not offer one.
func (d *CustomDoor) Operation(name string) *Operation {
	if op := d.byName[name]; op != nil {
		return op.Operation
	}
	return nil
}

// Operations returns the operations that the door offers, in the order in which
// they were added.
func (d *CustomDoor) Operations() []*Operation { return append([]*Operation(nil), d.ops...) }

// Operations returns all operations, in the order in which they were added. A door
// offers those of [CustomDoor.Operations].
func (l *Logic) Operations() []*Operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*Operation
	for _, op := range l.ops {
		all = append(all, op.Operation)
	}
	return all
}

// Visit is one request or message that a [CustomDoor] handles. It may call several
// operations, and is authenticated once, at the first call. It is safe for concurrent
// use.
type Visit struct {
	visit visit
	door  *CustomDoor
}

// Visit returns a Visit for an HTTP request. The [Authenticator] identifies its caller.
func (d *CustomDoor) Visit(r *http.Request) *Visit {
	v := &Visit{door: d}
	d.logic.visit(&v.visit, d.name, r)
	return v
}

// VisitAs returns a Visit for something other than an HTTP request, such as a message
// from a queue. The Authenticator is not called: the door is responsible for the caller.
func (d *CustomDoor) VisitAs(ctx context.Context, caller Caller) *Visit {
	v := &Visit{door: d}
	d.logic.visitAs(ctx, &v.visit, d.name, caller)
	return v
}

// Caller returns the caller of the visit. The error is that of the Authenticator.
func (v *Visit) Caller(ctx context.Context) (Caller, error) {
	if err := v.visit.identify(ctx); err != nil {
		return Caller{}, err
	}
	return v.visit.caller, nil
}

// Transport is what a door does within one call of an operation.
type Transport interface {
	// Decode decodes into the input that in points to; see [Operation.DecodeJSON]. It
	// is called after the access rule has allowed the call. If the transaction runs
	// again, Decode is called again, with a new input. An error without a code is
	// [Internal].
	Decode(ctx context.Context, in any) error
	// Encode encodes the output that out points to; see [Operation.AppendJSON]. It is
	// called in the transaction, so that an error undoes the call. If the transaction
	// runs again, Encode is called again. The door must not send anything before Call
	// has returned.
	Encode(ctx context.Context, out any) error
}

// CallConfig says how a [Visit] calls an operation.
type CallConfig struct {
	// Key is the idempotency key, of at most 255 bytes. If an operation with
	// [Idempotent] was called with the key before, the call returns the stored output.
	// Other operations ignore the key. Empty means none, which [RequireIdempotencyKey]
	// refuses.
	Key string
}

// Call calls an operation of the door. The call ends with ctx or with the operation's
// own [Deadline]. Call reports whether the output is that of an earlier call with the
// same idempotency key. The error is that of the operation, or says why it was not
// called: use [CodeOf] to translate it, [PublicError] for what a client may see, and
// [ReportError] for the log, unless [WriteError] writes it. A nil operation, and one
// that the door does not offer, are [NotFound].
func (v *Visit) Call(ctx context.Context, operation *Operation, t Transport, config CallConfig) (replayed bool, err error) {
	if operation == nil || v.door.byName[operation.name] == nil || v.door.byName[operation.name].Operation != operation {
		return false, &Error{Code: NotFound, Message: "There is no such operation."}
	}
	op := v.door.byName[operation.name]
	transport := &customTransport{t, v.visit.beginMemory()}
	defer transport.memory.End()
	result, err := v.visit.call(ctx, op, transport, callConfig{mode: op.settings.tx, key: config.Key, needsKey: true})
	if err == nil && result.said != nil {
		result.said.addTo(replyFrom(ctx))
	}
	return result.replayed, err
}

// customTransport makes a transport from a Transport.
type customTransport struct {
	Transport
	memory admission.Portion // for the input
}

// memoryKey is the key in a context of the memory for the input of a call.
type memoryKey struct{}

func (t *customTransport) decode(ctx context.Context, in any) error {
	t.memory.Shrink(0) // what an earlier try of the transaction has decoded is garbage
	return t.Decode(context.WithValue(ctx, memoryKey{}, &t.memory), in)
}

func (t *customTransport) before(context.Context) error              { return nil }
func (t *customTransport) encode(ctx context.Context, out any) error { return t.Encode(ctx, out) }

// DecodeJSON decodes the whole input from one JSON object into in, which points to
// an input of the operation. It is as strict as a [RESTDoor] about a body: broken
// JSON, a name twice in one object and trailing data are a [Malformed] error, and
// unknown, missing and wrongly typed fields are one [Invalid] error that lists them. The
// options [IgnoreUnknown] and [OptionalBody] make it less strict, as for REST.
// A text whose value would take more memory than 1 MiB and 10 times its length is
// [TooLarge]. With the ctx of [Transport].Decode, the text and its value count in
// LogicConfig.InputMemory until the call ends. Fields have the names of their json tags.
// DecodeJSON ignores the tag in: a field that REST takes from the path, a header or a
// cookie is a field of the object. The input [None] is {}. An empty text is {} for None
// and with OptionalBody, and otherwise a Malformed error.
func (o *Operation) DecodeJSON(ctx context.Context, text []byte, in any) error {
	decoder, err := o.decoder()
	if err != nil {
		return err
	}
	memory, _ := ctx.Value(memoryKey{}).(*admission.Portion)
	if memory == nil {
		memory = new(admission.Portion) // any amount
	}
	if !memory.Use(int64(len(text))) {
		return noMemory(errNoMemory)
	}
	if jsonin.Empty(text) && (o.settings.optionalBody || len(o.inPlan.Fields) == 0) {
		text = emptyObject
	}
	var wrong []FieldError
	if err := decodeJSON(decoder, text, reflect.ValueOf(in).Elem(), "", &wrong, memory); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return &Error{Code: Invalid, Fields: wrong}
	}
	return nil
}

// InputSchema returns the JSON Schema (draft 2020-12) of the whole input as one
// object, as [Operation.DecodeJSON] takes it. It panics for an operation that could
// not be added to a [Logic].
func (o *Operation) InputSchema() json.RawMessage { return o.schema(o.inPlan, plan.In) }

// OutputSchema returns the JSON Schema (draft 2020-12) of the output, without
// relations, as [Operation.AppendJSON] writes it.
func (o *Operation) OutputSchema() json.RawMessage { return o.schema(o.outPlan, plan.Out) }

func (o *Operation) schema(t *plan.Type, direction plan.Direction) json.RawMessage {
	text, err := jsonschema.Document(t, direction, o.settings.ignoreUnknown)
	if err != nil || o.mistyped {
		panic(fmt.Sprintf("backend: the operation %q has types that are not supported: %v", o.name, errors.Join(o.wrong...)))
	}
	return text
}

// AppendJSON appends the JSON of the output that out points to.
func (o *Operation) AppendJSON(dst []byte, out any) ([]byte, error) {
	return o.encoder().Append(dst, reflect.ValueOf(out).Elem())
}

// decodeJSON decodes text into a value. It appends the errors of fields to wrong, with
// at before their pointers, and returns any other error.
func decodeJSON(decoder *jsonin.Decoder, text []byte, into reflect.Value, at string, wrong *[]FieldError, memory jsonin.Memory) error {
	err := decoder.Decode(text, into, memory)
	switch err {
	case nil:
		return nil
	case jsonin.ErrEmpty:
		return (&Error{Code: Malformed, Message: "The body is missing."}).Wrap(err)
	case jsonin.ErrMemory:
		return (&Error{Code: TooLarge, Message: "The body is too large: " + err.Error() + "."}).Wrap(err)
	case jsonin.ErrNoMemory:
		return noMemory(err)
	}
	if fields, ok := errors.AsType[*jsonin.FieldsError](err); ok {
		for i, field := range fields.Fields {
			field.Pointer = at + field.Pointer
			*wrong = append(*wrong, FieldError(field).explainedBy(fields.Causes[i]))
		}
		return nil
	}
	return (&Error{Code: Malformed, Message: "The body is not valid: " + err.Error() + "."}).Wrap(err)
}

// emptyObject is the text of an input that was not sent.
var emptyObject = []byte("{}")

var errNoMemory = errors.New("the inputs of all calls have LogicConfig.InputMemory")

// noMemory returns the error of a request whose input there is no memory for.
func noMemory(cause error) error {
	return (&Error{Code: Unavailable, Message: busyMessage, RetryAfter: time.Second}).Wrap(cause)
}

// explainedBy returns f with the rule and message of cause, which is the error of the
// field's own UnmarshalText. Only an *Error that is Invalid or Malformed may be shown.
func (f FieldError) explainedBy(cause error) FieldError {
	e, ok := errors.AsType[*Error](cause)
	switch {
	case !ok || e.Code != Invalid && e.Code != Malformed:
	case len(e.Fields) > 0:
		f.Rule, f.Message = e.Fields[0].Rule, e.Fields[0].Message
	case e.Message != "":
		f.Message = e.Message
	}
	return f
}

// wrongFields returns the errors of fields from path, query, headers and cookies.
func wrongFields(wrong []httpin.Wrong) (fields []FieldError) {
	for _, w := range wrong {
		fields = append(fields, FieldError{Pointer: w.Pointer, Rule: w.Rule, Message: w.Message}.explainedBy(w.Cause))
	}
	return fields
}
