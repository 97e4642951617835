package backend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// plainDoor serves POST /NAME, with the input and the output as JSON.
type plainDoor struct{ door *backend.CustomDoor }

func (d plainDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	input, err := io.ReadAll(r.Body)
	if err != nil {
		backend.WriteError(w, r, err)
		return
	}
	c := &plainCall{op: d.door.Operation(strings.Trim(r.URL.Path, "/")), input: input}
	if _, err := d.door.Visit(r).Call(r.Context(), c.op, c, backend.CallConfig{Key: r.Header.Get("Key")}); err != nil {
		backend.ReportError(r, err)
		refused := backend.PublicError(err)
		http.Error(w, refused.Code.String()+": "+refused.Message, refused.Code.Status())
		return
	}
	w.Write(c.output)
}

// plainCall is the transport of one call.
type plainCall struct {
	op            *backend.Operation
	input, output []byte
}

func (c *plainCall) Decode(ctx context.Context, in any) error {
	return c.op.DecodeJSON(ctx, c.input, in)
}

func (c *plainCall) Encode(_ context.Context, out any) (err error) {
	c.output, err = c.op.AppendJSON(nil, out)
	return err
}

// A door of another package calls operations as REST does.
func ExampleLogic_Door() {
	type Greet struct {
		Name string `json:"name" validate:"required,max=20"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("greet", backend.Public, func(_ context.Context, in Greet) (string, error) { return "Hello, " + in.Name + "!", nil }))
	door := plainDoor{logic.Door("example.com/plain")}

	for _, call := range []string{`greet {"name":"Ann"}`, `greet {"name":""}`, `part {}`} {
		name, input, _ := strings.Cut(call, " ")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest("POST", "/"+name, strings.NewReader(input)))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 "Hello, Ann!"
	// 422 invalid: The input is not valid.
	// 404 not_found: There is no such operation.
}

func ExampleObserver() {
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{Observer: printer{}})
	logic.Add(backend.Query("ping", backend.Public, func(context.Context, backend.None) (string, error) { return "pong", nil }, backend.Route("GET /ping")))
	rest := logic.REST()
	rest.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/ping", nil))
	rest.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/ping?loud=1", nil))
	// Output:
	// call ping by rest: ok
	// call ping by rest: invalid
}

// printer is an Observer that prints how work has ended.
type printer struct{}

func (printer) Begin(ctx context.Context, _ *backend.Event) context.Context { return ctx }

func (printer) End(_ context.Context, e *backend.Event) {
	outcome := "ok"
	if e.Err != nil {
		outcome = backend.CodeOf(e.Err).String()
	}
	fmt.Printf("%s %s by %s: %s\n", e.Kind, e.Operation, e.Door, outcome)
}
