package backend_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func ExampleAlways() {
	type Tag struct {
		NoteID int64  `db:"note_id" json:"-"`
		Text   string `db:"text" json:"text"`
	}
	type Note struct {
		ID    int64  `db:"id" json:"id"`
		Title string `db:"title" json:"title"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	notes := func(ctx context.Context, _ backend.None) ([]Note, error) {
		return backend.All[Note](ctx, db, "SELECT id, title FROM notes ORDER BY id")
	}
	tags := func(ctx context.Context, notes []Note) ([][]Tag, error) { // a query, in a program
		found := []Tag{{1, "shop"}, {1, "soon"}}
		return backend.HasMany(notes, found, func(n Note) int64 { return n.ID }, func(t Tag) int64 { return t.NoteID }), nil
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("notes", backend.Public, notes, backend.Route("GET /notes")),
		backend.Relation("tags", tags, backend.Always()),
	)
	w := httptest.NewRecorder()
	logic.REST().ServeHTTP(w, httptest.NewRequest("GET", "/notes", nil))
	fmt.Println(w.Body)
	// Output:
	// [{"id":1,"title":"Milk","tags":[{"text":"shop"},{"text":"soon"}]},{"id":2,"title":"Rent","tags":[]}]
}

// cover is a relation whose children have an Always relation themselves.
type (
	cover  struct{ Colour string }
	artist struct{ Name string }
)

func covers(_ context.Context, films []film) ([]cover, error) { return make([]cover, len(films)), nil }

func artists(_ context.Context, covers []cover) ([]*artist, error) {
	return make([]*artist, len(covers)), nil
}

// What is always loaded is in every output, at every depth, and may be asked for, too.
func TestAlways(t *testing.T) {
	t.Parallel()
	many := backend.Query("many", backend.Public, func(context.Context, backend.None) ([]film, error) { return make([]film, 10_001), nil }, backend.Route("GET /many"))
	c, logic := cinema(t, many, backend.Relation("cover", covers), backend.Relation("artist", artists, backend.Always(), backend.Doc("who drew it")),
		backend.Relation("rating", func(_ context.Context, films []film) ([]int, error) { return make([]int, len(films)), nil }, backend.Always()))
	for _, row := range []struct{ path, want string }{
		{"/films/0", `{"id":1,"rating":0}`},
		{"/films/0?include=rating", `{"id":1,"rating":0}`},
		{"/films", `[{"id":1,"rating":0},{"id":2,"sequels":[{"id":3,"rating":0}],"rating":0},{"id":4,"rating":0}]`},
		{"/films/0?include=cover", `{"id":1,"cover":{"Colour":"","artist":null},"rating":0}`},
		{"/films/0?include=cover.artist,director", `{"id":1,"director":{"name":"Ann"},"cover":{"Colour":"","artist":null},"rating":0}`},
		{"/byName", `{"a":{"id":1,"rating":0},"b":null,"c":{"id":4,"rating":0}}`},
		{"/pages", `{"items":[{"id":1,"rating":0}],"next":"next"}`},
		{"/none", `[]`},
	} {
		w := c.do("GET", row.path, "")
		require.Equal(t, 200, w.Code, "%s: %s", row.path, w.Body)
		require.Equal(t, row.want, w.Body.String(), row.path)
	}
	require.Equal(t, `{"id":9,"rating":0}`, c.do("POST", "/films", "").Body.String())
	require.Equal(t, 422, c.do("GET", "/many", "").Code, "the budget of relations applies")

	var document struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]map[string]any
			}
		}
	}
	backendtest.NewClient(t, logic.REST().OpenAPI(backend.OpenAPIConfig{})).Get("/").Expect(200).JSON(&document)
	schemas := document.Components.Schemas
	require.Equal(t, []string{"id", "rating"}, schemas["film"].Required)
	require.Equal(t, map[string]any{"type": "integer", "format": "int64"}, schemas["film"].Properties["rating"], "not null, and not only if asked for")
	require.Contains(t, schemas["cover"].Required, "artist")
	require.Equal(t, "who drew it", schemas["cover"].Properties["artist"]["description"])
}

// A record with a version of its own.
type record struct {
	ID      int `json:"id" db:"id"`
	Version int `json:"-" db:"version"`
}

func (r record) ETag() string { return fmt.Sprint(r.Version) }

// With relations that are always loaded, a response has a strong ETag that If-Match
// takes, and another one as soon as the record or a child has changed.
func TestAlwaysAndVersions(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	for _, text := range []string{"CREATE TABLE records (id INTEGER PRIMARY KEY, version INTEGER)", "INSERT INTO records VALUES (1, 1)", "CREATE TABLE makers (name TEXT)", "INSERT INTO makers VALUES ('Ann')"} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
		require.NoError(t, err)
	}
	logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
	type input struct {
		ID int `json:"id"`
	}
	logic.Add(
		backend.Query("record", backend.SignedIn, func(ctx context.Context, in input) (record, error) {
			return backend.One[record](ctx, db, "SELECT * FROM records WHERE id = ?", in.ID)
		}, backend.Route("GET /records/{id}")),
		backend.Mutation("change", backend.SignedIn, func(ctx context.Context, in input) (record, error) {
			return backend.One[record](ctx, db, "UPDATE records SET version = version + 1 WHERE id = ? RETURNING *", in.ID)
		}, backend.Route("PATCH /records/{id}"), backend.RequireIfMatch()),
		backend.Relation("maker", func(ctx context.Context, records []record) ([]string, error) {
			return backend.All[string](ctx, db, "SELECT name FROM makers LIMIT ?", len(records))
		}, backend.Always()),
	)
	c := newRESTClient(t, logic)
	first := c.do("GET", "/records/1", "")
	require.Equal(t, `{"id":1,"maker":"Ann"}`, first.Body.String())
	tag := first.Header().Get("ETag")
	require.Regexp(t, `^"[\w-]+"$`, tag)
	require.Equal(t, 304, c.do("GET", "/records/1", "", "If-None-Match", tag).Code)

	changed := c.do("PATCH", "/records/1", "", "If-Match", tag)
	require.Equal(t, 200, changed.Code, changed.Body)
	second := c.do("GET", "/records/1", "")
	require.Equal(t, second.Header().Get("ETag"), changed.Header().Get("ETag"), "it is that of the GET")
	require.NotEqual(t, tag, second.Header().Get("ETag"), "the version is not in the content, and counts")
	require.Equal(t, 412, c.do("PATCH", "/records/1", "", "If-Match", tag).Code)

	tag = second.Header().Get("ETag")
	require.Empty(t, c.do("PATCH", "/records/1?include=maker", "", "If-Match", tag).Header().Get("ETag"))
	_, err := db.Exec(t.Context(), "UPDATE makers SET name = 'Bob'")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "UPDATE records SET version = 2")
	require.NoError(t, err)
	third := c.do("GET", "/records/1", "", "If-None-Match", tag)
	require.Equal(t, 200, third.Code, "a child has changed")
	require.Equal(t, 412, c.do("PATCH", "/records/1", "", "If-Match", tag).Code)
	require.Equal(t, 200, c.do("PATCH", "/records/1", "", "If-Match", third.Header().Get("ETag")).Code)
	require.Regexp(t, `^W/"`, c.do("GET", "/records/1?include=maker", "").Header().Get("ETag"))
}

// Loading that would never end is a mistake at the start.
func TestAlwaysWithoutEnd(t *testing.T) {
	t.Parallel()
	back := func(_ context.Context, covers []cover) ([][]film, error) { return make([][]film, len(covers)), nil }
	self := func(_ context.Context, films []film) ([]*film, error) { return make([]*film, len(films)), nil }
	build := func(relations ...backend.Definition) string {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Query("films", backend.Public, func(context.Context, backend.None) ([]film, error) { return nil, nil }, backend.Route("GET /films")))
		logic.Add(relations...)
		return panicOf(func() { logic.REST() })
	}
	require.Regexp(t, `(?s)^backend: relation "film.cover", registered at \S*always_test.go:\d+: Always has no end: film.cover → cover.shows → film.cover; take Always from one of them$`,
		build(backend.Relation("artist", artists, backend.Always()), backend.Relation("cover", covers, backend.Always()), backend.Relation("shows", back, backend.Always())))
	require.Regexp(t, `Always has no end: film.first → film.first; take`, build(backend.Relation("first", self, backend.Always())))
	require.Empty(t, build(backend.Relation("cover", covers, backend.Always()), backend.Relation("shows", back)))
	require.Empty(t, build(backend.Relation("cover", covers), backend.Relation("shows", back, backend.Always())))
	require.Empty(t, build(backend.Relation("cover", covers, backend.Always()), backend.Relation("shows", back, backend.Always(), backend.Except(backend.REST))))
	require.Contains(t, panicOf(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Query("a", backend.Public, func(context.Context, backend.None) (int, error) { return 0, nil }, backend.Always()))
	}), "Always is for relations, but this is a query")
}

// panicOf returns the text of the panic of f, or "".
func panicOf(f func()) (text string) {
	defer func() {
		if value := recover(); value != nil {
			text = fmt.Sprint(value)
		}
	}()
	f()
	return ""
}
