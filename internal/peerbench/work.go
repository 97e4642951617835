package main

// The work that is measured by requests: what is sent, and the answer that is right.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"mime/multipart"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// work is one row of the table.
type work struct {
	name, title string
	requests    [][]byte
	status      int
	// check returns an error unless the answer to the request with an index is right.
	check func(index int, a answer) error
}

// engine returns pg, sqlite or "".
func (w work) engine() string { return contestants.Env{Work: w.name}.Engine() }

// writes reports whether the database grows by the work.
func (w work) writes() bool {
	return strings.HasPrefix(w.name, "insert") || strings.HasPrefix(w.name, "updates")
}

const (
	jsonType  = "application/json"
	validBody = `{"title":"A title","text":"Some text that is not short.","email":"ann@example.com","quantity":3,"price":12.5,"kind":"book","tags":["a","b"],"gift":true}`
	wrongBody = `{"title":"","text":"Some text that is not short.","email":"ann@example.com","quantity":3,"price":12.5,"kind":"book","tags":["a","b"],"gift":true}`
	entryBody = `{"owner":3,"title":"A title","price":12.5}`
)

// works are all rows that are measured by the time of requests.
var works = slices.Concat([]work{
	{"plain", "12 bytes of text", get("/plain"), 200, same("text/plain", contestants.Text)},
	{"json", "a small object as JSON", get("/json"), 200, sameJSON(contestants.Message{Message: contestants.Text})},
	{"post", "typed POST, 8 fields", post("/orders", validBody), 201, sameJSON(order())},
	{"post-invalid", "the same, one field invalid", post("/orders", wrongBody), 422, namesField("title")},
	{"errors-sqlite", "no such row (404), SQLite", get("/items/1000000"), 404, isError},
},
	onBoth("row", "one row", each(16, "/items/%d", rowID), 200, func(i int) any { return contestants.SeedItem(rowID(i)) }),
	onBoth("list", "list of 50 × 7", each(contestants.Owners, "/owners/%d/items", func(i int) int64 { return int64(i + 1) }), 200, ownersItems),
	onBoth("lookups", "20 lookups one by one", get("/lookups/20"), 200, seedWorlds),
	onBoth("batch", "20 lookups, best form", get("/batch/20"), 200, seedWorlds),
	[]work{
		{"insert-pg", "insert in a transaction, PostgreSQL", post("/entries", entryBody), 201, isInserted},
		{"insert-sqlite", "insert in a transaction, SQLite", post("/entries", entryBody), 201, isInserted},
		{"fortunes-pg", "HTML page, PostgreSQL", get("/fortunes"), 200, same("text/html", fortunesPage())},
		{"updates-pg", "20 updates, PostgreSQL", post("/updates/20", "{}"), 200, isUpdated},
		{"equal", "text, equal features", get("/plain"), 200, same("text/plain", contestants.Text)},
	})

// uploadWork is the form of which the memory is measured.
var uploadWork = work{"upload", "upload of 20 MB", [][]byte{uploadRequest(20 << 20)}, 201, sameJSON(contestants.Received{Size: 20 << 20})}

// uploadRequest sends a form with a file of n bytes.
func uploadRequest(n int) []byte {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "picture.bin")
	if err == nil {
		_, err = file.Write(bytes.Repeat([]byte("0123456789abcde\n"), n/16))
	}
	if err = errors.Join(err, form.Close()); err != nil {
		panic(err) // the buffer takes all
	}
	return request("POST", "/upload", form.FormDataContentType(), body.String())
}

// onBoth is work that both engines do.
func onBoth(name, title string, requests [][]byte, status int, want func(i int) any) []work {
	check := func(i int, a answer) error { return sameJSON(want(i))(i, a) }
	return []work{
		{name + "-pg", title + ", PostgreSQL", requests, status, check},
		{name + "-sqlite", title + ", SQLite", requests, status, check},
	}
}

func get(path string) [][]byte { return [][]byte{request("GET", path, "", "")} }

func post(path, body string) [][]byte { return [][]byte{request("POST", path, jsonType, body)} }

// each returns n requests with different ids.
func each(n int, path string, id func(i int) int64) [][]byte {
	var requests [][]byte
	for i := range n {
		requests = append(requests, request("GET", fmt.Sprintf(path, id(i)), "", ""))
	}
	return requests
}

func rowID(i int) int64 { return int64(i*61 + 7) }

func ownersItems(i int) any {
	var items []contestants.Item
	for k := range contestants.ItemsPerOwner {
		items = append(items, contestants.SeedItem(int64(i*contestants.ItemsPerOwner+k+1)))
	}
	return items
}

func seedWorlds(int) any {
	var worlds []contestants.World
	for _, id := range contestants.LookupIDs(20) {
		worlds = append(worlds, contestants.SeedWorld(id))
	}
	return worlds
}

func order() contestants.Order {
	var in contestants.NewOrder
	if err := json.Unmarshal([]byte(validBody), &in); err != nil {
		panic(err)
	}
	return contestants.Accept(in)
}

func fortunesPage() string {
	var text bytes.Buffer
	if err := contestants.Page(&text, slices.Clone(contestants.SeedFortunes)); err != nil {
		panic(err)
	}
	return text.String()
}

// same wants a body, byte for byte.
func same(mediaType, body string) func(int, answer) error {
	return func(_ int, a answer) error {
		if err := hasType(a, mediaType); err != nil {
			return err
		}
		if string(a.body) != body {
			return fmt.Errorf("%q instead of %q", short(string(a.body)), short(body))
		}
		return nil
	}
}

// sameJSON wants the bytes that encoding/json writes. A line break at the end may follow.
func sameJSON(value any) func(int, answer) error {
	want, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return func(i int, a answer) error {
		a.body = bytes.TrimSuffix(a.body, []byte("\n"))
		return same(jsonType, string(want))(i, a)
	}
}

// namesField wants an error that names a field, in whatever form.
func namesField(field string) func(int, answer) error {
	return func(_ int, a answer) error {
		if !strings.Contains(strings.ToLower(string(a.body)), field) {
			return fmt.Errorf("%q does not name the field %s", short(string(a.body)), field)
		}
		return nil
	}
}

// isError wants an error in JSON, in whatever form.
func isError(_ int, a answer) error {
	var body map[string]any
	if err := json.Unmarshal(a.body, &body); err != nil || len(body) == 0 {
		return fmt.Errorf("%q is no error in JSON", short(string(a.body)))
	}
	if err := hasType(a, jsonType); err != nil {
		return hasType(a, "application/problem+json")
	}
	return nil
}

// isInserted wants an id that the database chose.
func isInserted(_ int, a answer) error {
	var in contestants.Inserted
	if err := json.Unmarshal(a.body, &in); err != nil || in.ID < 1 {
		return fmt.Errorf("%q has no id", short(string(a.body)))
	}
	return sameJSON(in)(0, a)
}

// isUpdated wants the worlds with new numbers.
func isUpdated(_ int, a answer) error {
	var worlds []contestants.World
	if err := json.Unmarshal(a.body, &worlds); err != nil {
		return fmt.Errorf("%q: %w", short(string(a.body)), err)
	}
	ids := contestants.LookupIDs(20)
	if len(worlds) != len(ids) {
		return fmt.Errorf("%d worlds instead of %d", len(worlds), len(ids))
	}
	for i, world := range worlds {
		if world.ID != ids[i] || world.Number < 1 || world.Number > 10000 {
			return fmt.Errorf("world %d is %v", ids[i], world)
		}
	}
	return sameJSON(worlds)(0, a)
}

func hasType(a answer, want string) error {
	got, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || got != want {
		return fmt.Errorf("the content type is %q instead of %s", a.contentType, want)
	}
	return nil
}

// short cuts a text for a message.
func short(text string) string {
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
