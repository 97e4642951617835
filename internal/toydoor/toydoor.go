// Package toydoor is a door as a stranger would write one, on what the package
// backend exports: POST /NAME with JSON calls the operation NAME, several at once
// as POST /NAME,NAME with a list,
// GET / lists the operations, and GET /NAME has the schemas of one. Its tests try to
// get around what no door can get around.
package toydoor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// Name is what Only and Except call the door.
const Name backend.Door = "example.com/toy"

type title string

// Title is an option of operations that only this door understands.
func Title(text string) backend.Option { return backend.ForDoor(Name, title(text)) }

// New returns the door of all operations that logic offers to it.
func New(logic *backend.Logic) http.Handler {
	d := &door{logic.Door(Name)}
	r := backend.NewRouter()
	r.Handle("GET /{$}", backend.Handler(d.list))
	r.Handle("GET /{name}", backend.Handler(d.describe))
	r.Handle("POST /{names}", backend.Handler(d.call))
	return r
}

type door struct{ custom *backend.CustomDoor }

func (d *door) list(w http.ResponseWriter, _ *http.Request) error {
	for _, op := range d.custom.Operations() {
		fmt.Fprintln(w, op.Name(), op.Mutates(), op.In(), op.Out(), op.Access(), op.Doc(), op.Settings(Name))
	}
	return nil
}

func (d *door) describe(w http.ResponseWriter, r *http.Request) error {
	op := d.custom.Operation(r.PathValue("name"))
	if op == nil {
		return backend.Errorf(backend.NotFound, "There is no such operation.")
	}
	return json.NewEncoder(w).Encode(map[string]any{"input": op.InputSchema(), "output": op.OutputSchema()})
}

func (d *door) call(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	inputs := []json.RawMessage{body}
	names := strings.Split(r.PathValue("names"), ",")
	if len(names) > 1 && (json.Unmarshal(body, &inputs) != nil || len(inputs) != len(names)) {
		return backend.Errorf(backend.Malformed, "Send a list of as many inputs.")
	}
	visit := d.custom.Visit(r)
	for i, name := range names {
		c := &call{op: d.custom.Operation(name), input: inputs[i]}
		replayed, err := visit.Call(r.Context(), c.op, c, backend.CallConfig{Key: r.Header.Get("Key")})
		if err != nil {
			return err
		}
		w.Header().Set("Replayed", fmt.Sprint(replayed))
		w.Write(append(c.output, '\n'))
	}
	return nil
}

// call is the transport of one call.
type call struct {
	op            *backend.Operation
	input, output []byte
}

func (c *call) Decode(ctx context.Context, in any) error { return c.op.DecodeJSON(ctx, c.input, in) }

func (c *call) Encode(_ context.Context, out any) (err error) {
	c.output, err = c.op.AppendJSON(nil, out)
	return err
}
