package backend_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// request prints how a handler answers a request with JSON. headers are pairs of
// name and value.
func request(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(w.Code, w.Body)))
	return w
}

// tokens is an Authenticator: a bearer token says who calls.
type tokens map[string]backend.Caller

func (t tokens) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return backend.Caller{}, nil // nobody
	}
	caller, known := t[token]
	if !known {
		return backend.Caller{}, backend.Errorf(backend.Unauthenticated, "The token is not valid.")
	}
	return caller, nil
}

func ExampleQuery() {
	type greet struct {
		Name  string `json:"name" validate:"max=10"`
		Times int    `json:"times,omitempty" validate:"max=3"`
	}
	hello := func(_ context.Context, in greet) ([]string, error) {
		var greetings []string
		for range max(in.Times, 1) {
			greetings = append(greetings, "Hello, "+in.Name+"!")
		}
		return greetings, nil
	}

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("hello", backend.Public, hello, backend.Route("GET /hello/{name}")))
	api := logic.REST()
	request(api, "GET", "/hello/Ada", "")
	request(api, "GET", "/hello/Ada?times=2", "")
	request(api, "GET", "/hello/Ada?times=4", "")
	request(api, "GET", "/hello/Ada?loud=yes", "")
	// Output:
	// 200 ["Hello, Ada!"]
	// 200 ["Hello, Ada!","Hello, Ada!"]
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"The input is not valid.","code":"invalid","errors":[{"pointer":"/times","rule":"max","detail":"must be at most 3"}]}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"The input is not valid.","code":"invalid","errors":[{"pointer":"/loud","rule":"unknown","detail":"is not a parameter of this request"}]}
}

func ExampleMutation() {
	type Note struct {
		ID    backend.ID `db:"id" json:"id"`
		Title string     `db:"title" json:"title"`
	}
	type NoteID struct {
		ID backend.ID `json:"id"`
	}
	type CreateNote struct {
		Title string `json:"title" validate:"required,max=200"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	note := func(ctx context.Context, in NoteID) (Note, error) {
		return backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", in.ID)
	}
	createNote := func(ctx context.Context, in CreateNote) (Note, error) {
		return backend.One[Note](ctx, db, "INSERT INTO notes (title, tags) VALUES (?, '[]') RETURNING *", in.Title)
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("note", backend.Public, note, backend.Route("GET /notes/{id}")),
		backend.Mutation("createNote", backend.Public, createNote, backend.Route("POST /notes")),
	)
	api := logic.REST()
	w := request(api, "POST", "/notes", `{"title":"Call Ann"}`)
	request(api, "GET", w.Header().Get("Location"), "")
	request(api, "POST", "/notes", `{"title":"Call Ann"}`) // titles are unique in this database
	// Output:
	// 201 {"id":"3","title":"Call Ann"}
	// 200 {"id":"3","title":"Call Ann"}
	// 409 {"type":"about:blank","title":"Conflict","status":409,"detail":"This exists already.","code":"conflict","errors":[{"pointer":"/title","rule":"unique","detail":"is already taken"}]}
}

func ExampleIdempotent() {
	type Payment struct {
		Cents int `json:"cents" validate:"min=1"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	pay := func(_ context.Context, in Payment) (string, error) {
		fmt.Println("paying", in.Cents)
		return "paid", nil
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("pay", backend.Public, pay, backend.Route("POST /payments"), backend.RequireIdempotencyKey()))
	api := logic.REST()
	for range 2 { // the answer to the first one was lost on its way
		w := request(api, "POST", "/payments", `{"cents":500}`, "Idempotency-Key", "5cbd37b0")
		fmt.Printf("replayed: %q\n", w.Header().Get("Idempotency-Replayed"))
	}
	// Output:
	// paying 500
	// 201 "paid"
	// replayed: ""
	// 201 "paid"
	// replayed: "true"
}

func ExampleNewPage() {
	type ListTitles struct {
		After backend.Cursor `json:"after,omitempty"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	titles := func(ctx context.Context, in ListTitles) (backend.Page[string], error) {
		last := ""
		if err := in.After.Read(ctx, &last); err != nil {
			return backend.Page[string]{}, err
		}
		found, err := backend.All[string](ctx, db, "SELECT title FROM notes WHERE title > ? ORDER BY title LIMIT 1", last)
		if err != nil {
			return backend.Page[string]{}, err
		}
		return backend.NewPage(ctx, found, 1, func(title string) []any { return []any{title} })
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Query("titles", backend.Public, titles, backend.Route("GET /titles")))
	api := logic.REST()

	for next := "/titles"; next != ""; {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("GET", next, nil))
		var page backend.Page[string]
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			fmt.Println(err)
		}
		fmt.Println(page.Items)
		next = strings.TrimPrefix(strings.TrimSuffix(w.Header().Get("Link"), `>; rel="next"`), "<")
	}
	request(api, "GET", "/titles?after=bWFkZSB1cA", "")
	// Output:
	// [Milk]
	// [Rent]
	// []
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"The cursor is not one of this list; begin with the first page.","code":"malformed"}
}

// A PATCH changes what it names, and null removes. What cannot be removed is no
// Opt, and takes no null.
func ExampleOpt() {
	type Person struct {
		Name  string  `json:"name"`
		Phone *string `json:"phone"`
	}
	type ChangePerson struct {
		Name  string              `json:"name,omitempty" validate:"max=50"`
		Phone backend.Opt[string] `json:"phone,omitzero" validate:"omitempty,e164"`
	}
	phone := "+4930123456"
	person := Person{"Ann", &phone}
	change := func(_ context.Context, in ChangePerson) (Person, error) {
		person.Name = cmp.Or(in.Name, person.Name)
		switch {
		case in.Phone.Null:
			person.Phone = nil
		case in.Phone.Present:
			person.Phone = &in.Phone.V
		}
		return person, nil
	}

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("changePerson", backend.Public, change, backend.Route("PATCH /person")))
	api := logic.REST()
	request(api, "PATCH", "/person", `{"name":"Anna"}`)
	request(api, "PATCH", "/person", `{"phone":null}`, "Content-Type", "application/merge-patch+json")
	request(api, "PATCH", "/person", `{"name":null}`)
	// Output:
	// 200 {"name":"Anna","phone":"+4930123456"}
	// 200 {"name":"Anna","phone":null}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"The input is not valid.","code":"invalid","errors":[{"pointer":"/name","rule":"null","detail":"must not be null"}]}
}

// Whoever changes a note says which version, and hears of it if there is another
// one by now.
func ExampleRequireIfMatch() {
	type Note struct {
		Title string `db:"title" json:"title"`
	}
	type NoteID struct {
		ID backend.ID `json:"id"`
	}
	type RenameNote struct {
		ID    backend.ID `json:"id"`
		Title string     `json:"title" validate:"required,max=200"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	note := func(ctx context.Context, in NoteID) (Note, error) {
		return backend.One[Note](ctx, db, "SELECT title FROM notes WHERE id = ?", in.ID)
	}
	rename := func(ctx context.Context, in RenameNote) (Note, error) {
		_, err := db.Exec(ctx, "UPDATE notes SET title = ? WHERE id = ?", in.Title, in.ID)
		return Note{in.Title}, err
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("note", backend.Public, note, backend.Route("GET /notes/{id}")),
		backend.Mutation("renameNote", backend.Public, rename, backend.Route("PATCH /notes/{id}"), backend.RequireIfMatch()),
	)
	api := logic.REST()
	version := request(api, "GET", "/notes/1", "").Header().Get("ETag")
	request(api, "PATCH", "/notes/1", `{"title":"Oat milk"}`)
	request(api, "PATCH", "/notes/1", `{"title":"Oat milk"}`, "If-Match", version)
	request(api, "PATCH", "/notes/1", `{"title":"Soy milk"}`, "If-Match", version)
	// Output:
	// 200 {"title":"Milk"}
	// 428 {"type":"about:blank","title":"Precondition Required","status":428,"detail":"Name the version you are changing with an If-Match header.","code":"precondition_required"}
	// 200 {"title":"Oat milk"}
	// 412 {"type":"about:blank","title":"Precondition Failed","status":412,"detail":"This was changed in the meantime; read it again first.","code":"precondition_failed"}
}

// A method Validate has the rules that tags have not, such as those about two
// fields.
func ExampleInvalidField() {
	book := func(_ context.Context, in stay) (stay, error) { return in, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("book", backend.Public, book, backend.Route("POST /stays"), backend.Status(200)))
	api := logic.REST()
	request(api, "POST", "/stays", `{"from":"2026-01-02","to":"2026-01-09"}`)
	request(api, "POST", "/stays", `{"from":"2026-01-09","to":"2026-01-02"}`)
	// Output:
	// 200 {"from":"2026-01-02","to":"2026-01-09"}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"The input is not valid.","code":"invalid","errors":[{"pointer":"/to","rule":"after","detail":"must be after from"}]}
}

type stay struct {
	From string `json:"from" validate:"datetime=2006-01-02"`
	To   string `json:"to" validate:"datetime=2006-01-02"`
}

func (s stay) Validate(context.Context) error {
	if s.To <= s.From {
		return backend.InvalidField("/to", "after", "must be after from")
	}
	return nil
}

// What belongs to somebody else looks as if it was not there.
func ExampleOwned() {
	type Letter struct {
		Owner string `json:"-"`
		Text  string `json:"text"`
	}
	type LetterID struct {
		ID string `json:"id"`
	}
	letters := map[string]Letter{"1": {"ann", "Dear Ann"}, "2": {"bob", "Dear Bob"}}
	letter := func(ctx context.Context, in LetterID) (Letter, error) {
		found := letters[in.ID]
		return found, backend.Owned(ctx, found.Owner)
	}

	logic := backend.NewLogic(nil, tokens{"secret": {ID: "ann"}}, backend.LogicConfig{})
	logic.Add(backend.Query("letter", backend.SignedIn, letter, backend.Route("GET /letters/{id}")))
	api := logic.REST()
	request(api, "GET", "/letters/1", "", "Authorization", "Bearer secret")
	request(api, "GET", "/letters/2", "", "Authorization", "Bearer secret")
	request(api, "GET", "/letters/3", "", "Authorization", "Bearer secret")
	// Output:
	// 200 {"text":"Dear Ann"}
	// 404 {"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing here.","code":"not_found"}
	// 404 {"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing here.","code":"not_found"}
}

// A rule that needs the input.
func ExampleAllow() {
	type Transfer struct {
		Cents int `json:"cents" validate:"min=1"`
	}
	transfer := func(context.Context, Transfer) (backend.None, error) { return backend.None{}, nil }
	onlySmall := func(ctx context.Context, in Transfer) error {
		if in.Cents > 100_00 && backend.CallerFrom(ctx).Method != "passkey" {
			return backend.Errorf(backend.Forbidden, "Sign in with a passkey to transfer more than 100.")
		}
		return nil
	}

	logic := backend.NewLogic(nil, tokens{"secret": {ID: "ann", Method: "token"}}, backend.LogicConfig{})
	logic.Add(backend.Mutation("transfer", backend.SignedIn, transfer, backend.Route("POST /transfers"), backend.Allow(onlySmall)))
	api := logic.REST()
	request(api, "POST", "/transfers", `{"cents":5000}`, "Authorization", "Bearer secret")
	request(api, "POST", "/transfers", `{"cents":50000}`, "Authorization", "Bearer secret")
	// Output:
	// 204
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"Sign in with a passkey to transfer more than 100.","code":"forbidden"}
}

// An Authenticator tells nobody from somebody with wrong credentials.
func ExampleAuthenticator() {
	var auth backend.Authenticator = tokens{
		"ann's":   {ID: "ann", Roles: []string{"admin"}},
		"robot's": {ID: "robot", Scopes: []string{"stats:read"}},
		"bob's":   {ID: "bob"},
	}
	stats := func(ctx context.Context, _ backend.None) (string, error) {
		return "for " + string(backend.CallerFrom(ctx).ID), nil
	}
	logic := backend.NewLogic(nil, auth, backend.LogicConfig{})
	logic.Add(backend.Query("stats", backend.AnyOf(backend.Role("admin"), backend.Scope("stats:read")), stats, backend.Route("GET /stats")))
	api := logic.REST()
	request(api, "GET", "/stats", "", "Authorization", "Bearer ann's")
	request(api, "GET", "/stats", "", "Authorization", "Bearer robot's")
	request(api, "GET", "/stats", "", "Authorization", "Bearer bob's")
	request(api, "GET", "/stats", "", "Authorization", "Bearer stolen")
	request(api, "GET", "/stats", "")
	// Output:
	// 200 "for ann"
	// 200 "for robot"
	// 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"You may not do this.","code":"forbidden"}
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"The token is not valid.","code":"unauthenticated"}
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"Sign in first.","code":"unauthenticated"}
}

// A page or a job calls operations the way that doors do.
func ExampleCall() {
	type Greet struct {
		Name string `json:"name" validate:"max=5"`
	}
	greet := func(ctx context.Context, in Greet) (string, error) {
		return fmt.Sprintf("Hello, %s, from %s!", in.Name, backend.CallerFrom(ctx).ID), nil
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("greet", backend.SignedIn, greet))

	ctx := backend.WithCaller(context.Background(), backend.Caller{ID: "ann"})
	fmt.Println(backend.Call[string](ctx, logic, "greet", Greet{"Bob"}))
	_, err := backend.Call[string](ctx, logic, "greet", Greet{"Barbara"})
	fmt.Println(err)
	_, err = backend.Call[string](context.Background(), logic, "greet", Greet{"Bob"})
	fmt.Println(backend.CodeOf(err))
	// Output:
	// Hello, Bob, from ann! <nil>
	// invalid; /name: may have at most 5 characters
	// unauthenticated
}

func ExampleRESTDoor_OpenAPI() {
	type CreateNote struct {
		Title string `json:"title" validate:"required,max=200" doc:"what it is about" example:"Milk"`
	}
	createNote := func(context.Context, CreateNote) (backend.None, error) { return backend.None{}, nil }

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("createNote", backend.Public, createNote, backend.Route("POST /notes"), backend.Doc("Write a note")))
	r := backend.NewRouter()
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes", Version: "2"}))

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var description struct {
		Info       map[string]string
		Paths      map[string]map[string]struct{ OperationID, Summary string }
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &description); err != nil {
		fmt.Println(err)
	}
	fmt.Println(description.Info)
	fmt.Println(description.Paths)
	fmt.Println(strings.Join(strings.Fields(string(description.Components.Schemas["CreateNote"].Properties["title"])), " "))
	// Output:
	// map[title:Notes version:2]
	// map[/notes:map[post:{createNote Write a note}]]
	// { "description": "what it is about", "examples": [ "Milk" ], "maxLength": 200, "minLength": 1, "type": "string" }
}

func ExampleLogic_Stats() {
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("lucky", backend.Public, func(_ context.Context, in struct {
		Number int `json:"number" validate:"max=10"`
	}) (bool, error) {
		return in.Number == 7, nil
	}))
	for _, number := range []int{7, 8, 99} {
		_, _ = backend.Call[bool](context.Background(), logic, "lucky", struct {
			Number int `json:"number" validate:"max=10"`
		}{number})
	}
	for _, s := range logic.Stats() {
		fmt.Println(s.Name, s.Calls, s.Failed)
	}
	// Output: lucky 3 map[invalid:1]
}
