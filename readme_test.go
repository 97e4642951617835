package backend_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// This file has the code of the section "Writing an operation" in README.md, and
// what is around it there. TestREADMEHasThisCode compares the two.

type Task struct {
	ID    backend.ID `db:"id" json:"id"`
	Owner string     `db:"owner" json:"-"`
	Title string     `db:"title" json:"title"`
	Note  *string    `db:"note" json:"note"`
}

type Tasks struct{ db *backend.DB }

type CreateTask struct {
	Title string `json:"title" validate:"required,max=200"`
}

func (t *Tasks) Create(ctx context.Context, in CreateTask) (Task, error) {
	return backend.One[Task](ctx, t.db, "INSERT INTO tasks (owner, title) VALUES (?, ?) RETURNING *", backend.CallerFrom(ctx).ID, in.Title)
}

type ListTasks struct {
	After backend.Cursor `json:"after,omitempty"`
}

func (t *Tasks) List(ctx context.Context, in ListTasks) (backend.Page[Task], error) {
	var last backend.ID
	if err := in.After.Read(ctx, &last); err != nil {
		return backend.Page[Task]{}, err
	}
	tasks, err := backend.All[Task](ctx, t.db, "SELECT * FROM tasks WHERE owner = ? AND id > ? ORDER BY id LIMIT 2", backend.CallerFrom(ctx).ID, last)
	if err != nil {
		return backend.Page[Task]{}, err
	}
	return backend.NewPage(ctx, tasks, 2, func(last Task) []any { return []any{last.ID} })
}

type UpdateTask struct {
	ID   backend.ID          `json:"id"`                                          // in the path
	Note backend.Opt[string] `json:"note,omitzero" validate:"omitempty,max=1000"` // in the body: absent, null or a value
}

func (t *Tasks) Update(ctx context.Context, in UpdateTask) (Task, error) {
	owner := backend.CallerFrom(ctx).ID
	if in.Note.Present { // null removes it
		if _, err := t.db.Exec(ctx, "UPDATE tasks SET note = ? WHERE id = ? AND owner = ?", in.Note, in.ID, owner); err != nil {
			return Task{}, err // undoes everything; what the database refuses is a 409 or a 422
		}
	}
	return backend.One[Task](ctx, t.db, "SELECT * FROM tasks WHERE id = ? AND owner = ?", in.ID, owner) // no row is a 404
}

func (t *Tasks) Operations() []backend.Definition {
	return []backend.Definition{
		backend.Query("tasks", backend.SignedIn, t.List, backend.Route("GET /tasks")),
		backend.Mutation("createTask", backend.SignedIn, t.Create, backend.Route("POST /tasks"), backend.Idempotent()),
		backend.Mutation("updateTask", backend.SignedIn, t.Update, backend.Route("PATCH /tasks/{id}"), backend.Doc("Change a task")),
	}
}

// Users is an Authenticator: a bearer token, whose hash is stored, says who calls.
type Users struct{ db *backend.DB }

type User struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

func (a *Users) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		return backend.Caller{}, nil // the anonymous caller
	}
	user, err := backend.Maybe[User](ctx, a.db, "SELECT id, name FROM users WHERE token_hash = ?", sha256.Sum256([]byte(token)))
	if err == nil && (user == nil || !strings.EqualFold(scheme, "Bearer")) {
		err = backend.Errorf(backend.Unauthenticated, "The token is not valid.")
	}
	if err != nil {
		return backend.Caller{}, err
	}
	return backend.Caller{ID: backend.AccountIDOf(user.ID), Method: "token", Account: user}, nil
}

func (a *Users) SecuritySchemes() []backend.SecurityScheme { // for the description and WWW-Authenticate
	return []backend.SecurityScheme{{Name: "token", HTTP: "bearer"}}
}

// cart is the key of a value in sessions.
var cart = backend.NewSessionKey[[]string]("cart")

type AddItem struct {
	Item string `json:"item" validate:"required,max=50"`
}

func (s *Shop) AddItem(ctx context.Context, in AddItem) (backend.None, error) {
	return backend.None{}, cart.Update(ctx, func(items *[]string) error { // of updates at the same time none is lost
		*items = append(*items, in.Item)
		return nil
	})
}

func (s *Shop) SignIn(ctx context.Context, in Credentials) (backend.None, error) {
	id, err := s.checkPassword(ctx, in)
	if err == nil {
		err = s.sessions.SignIn(ctx, id, backend.SignInConfig{Remember: in.Remember})
	}
	return backend.None{}, err
}

func (s *Shop) SignOut(ctx context.Context, _ backend.None) (backend.None, error) {
	return backend.None{}, s.sessions.SignOut(ctx)
}

type Shop struct{ sessions *backend.Sessions }

type Credentials struct {
	Name     string `json:"name"`
	Remember bool   `json:"remember,omitempty"`
}

func (*Shop) checkPassword(_ context.Context, in Credentials) (backend.AccountID, error) {
	return backend.AccountID(in.Name), nil
}

var tasksTable = fstest.MapFS{"0001_tasks.sql": {Data: []byte("-- +goose Up\n" +
	"CREATE TABLE tasks (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL UNIQUE, note TEXT);\n")}}

// What the section says about what is not in its code.
func TestWhatTheREADMESaysOfOperations(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), tasksTable))
	logic := backend.NewLogic(db, backendtest.Callers{}, backend.LogicConfig{})
	logic.Add((&Tasks{db}).Operations()...)
	client := backendtest.NewClient(t, logic.REST())
	client.Get("/tasks").Expect(401)
	ann, bob := client.As(backend.Caller{ID: "ann"}), client.As(backend.Caller{ID: "bob"})
	for _, title := range []string{"Milk", "Tea", "Bread"} {
		ann.With("Idempotency-Key", title).Post("/tasks", CreateTask{Title: title}).Expect(201)
		again := ann.With("Idempotency-Key", title).Post("/tasks", CreateTask{Title: title}).Expect(201)
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	}
	require.Equal(t, "conflict", ann.Post("/tasks", CreateTask{Title: "Tea"}).Expect(409).Problem().Code)
	for _, patch := range []struct{ body, note string }{{`{"note":"oat"}`, "oat"}, {`{}`, "oat"}, {`{"note":null}`, ""}} {
		var task Task
		ann.Patch("/tasks/1", patch.body).Expect(200).JSON(&task)
		require.Equal(t, patch.note == "", task.Note == nil, patch.body)
		require.True(t, task.Note == nil || *task.Note == patch.note, patch.body)
	}
	bob.Patch("/tasks/1", `{"note":"mine"}`).Expect(404)
	ann.Patch("/tasks/1", `{"note":"oat","owner":"bob"}`).Expect(422)
	var first, second backend.Page[Task]
	ann.Get("/tasks").Expect(200).JSON(&first)
	ann.Get("/tasks?after=" + string(first.Next)).Expect(200).JSON(&second)
	require.Len(t, first.Items, 2)
	require.Len(t, second.Items, 1)
	require.Empty(t, second.Next)
	task, err := (&Tasks{db}).Update(backend.WithCaller(t.Context(), backend.Caller{ID: "ann"}), UpdateTask{ID: 1, Note: backend.Some("soy")})
	require.NoError(t, err, "a function can be called without a server")
	require.Equal(t, "soy", *task.Note)
}

// What the section says about who calls.
func TestWhatTheREADMESaysOfCallers(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		hash := backend.SQL("token_hash BLOB")
		if db.Engine() == backend.Postgres {
			hash = backend.SQL("token_hash BYTEA")
		}
		_, err := db.Exec(t.Context(), "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL, ?)", hash)
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), "INSERT INTO users (id, name, token_hash) VALUES (?, ?, ?)", 7, "Ann", sha256.Sum256([]byte("secret")))
		require.NoError(t, err)
		logic := backend.NewLogic(db, &Users{db}, backend.LogicConfig{})
		logic.Add(backend.Query("whoami", backend.SignedIn, func(ctx context.Context, _ backend.None) (string, error) {
			user, _ := backend.AccountFrom[*User](ctx)
			return user.Name + " " + string(backend.CallerFrom(ctx).ID), nil
		}, backend.Route("GET /me")))
		client := backendtest.NewClient(t, logic.REST())
		require.Equal(t, []string{"Bearer"}, client.Get("/me").Expect(401).Header["Www-Authenticate"])
		for _, right := range []string{"Bearer secret", "bearer secret"} {
			require.Equal(t, `"Ann 7"`, string(client.With("Authorization", right).Get("/me").Expect(200).Body))
		}
		for _, wrong := range []string{"Bearer other", "Bearer", "Basic secret", "secret"} {
			client.With("Authorization", wrong).Get("/me").Expect(401)
		}
	})
}

// What the section says about sessions.
func TestWhatTheREADMESaysOfSessions(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		shop := &Shop{backend.NewSessions(db, backend.SessionConfig{})}
		logic := backend.NewLogic(db, shop.sessions, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("addItem", backend.Public, shop.AddItem, backend.Route("POST /cart")),
			backend.Query("cart", backend.Public, func(ctx context.Context, _ backend.None) ([]string, error) { return cart.Get(ctx) }, backend.Route("GET /cart")),
			backend.Mutation("signIn", backend.Public, shop.SignIn, backend.Route("POST /sign-in")),
			backend.Mutation("signOut", backend.SignedIn, shop.SignOut, backend.Route("POST /sign-out")),
		)
		r := backend.NewRouter()
		r.Use(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}), shop.sessions.Middleware)
		r.Mount("/", logic.REST())
		client := backendtest.NewClient(t, r)
		client.Post("/cart", AddItem{"tea"}).Expect(204)
		client.Post("/sign-out", nil).Expect(401)
		client.Post("/sign-in", Credentials{Name: "ann"}).Expect(204)
		client.Post("/cart", AddItem{"milk"}).Expect(204)
		require.Equal(t, `["tea","milk"]`, string(client.Get("/cart").Expect(200).Body))
		client.Post("/sign-out", nil).Expect(204)
		require.Equal(t, `[]`, string(client.Get("/cart").Expect(200).Body))
		client.Post("/sign-out", nil).Expect(401)
	})
}

func TestREADMEHasThisCode(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	here, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "\n## Writing an operation\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```go\n")[1:]
	require.Len(t, blocks, 3)
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		require.Contains(t, string(here), code)
	}
}

// Links and pictures lead to files of the repository, and what the pictures add to the module
// is little.
func TestREADMELinksToFiles(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text := regexp.MustCompile("(?s)```.*?```|`[^`]+`").ReplaceAll(readme, nil) // code has [Type](argument)
	links := regexp.MustCompile(`\]\(([^)#\s]+)\)|(?:src|srcset)="([^"]+)"`).FindAllSubmatch(text, -1)
	require.NotEmpty(t, links)
	var pictures int64
	for _, link := range links {
		path := string(link[1]) + string(link[2])
		if strings.HasPrefix(path, "https://") {
			continue
		}
		file, err := os.Stat(path)
		require.NoError(t, err)
		if link[2] != nil {
			pictures += file.Size()
		}
	}
	require.Positive(t, pictures)
	require.Less(t, pictures, int64(200_000))
}
