package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// No text of an error says the same thing twice, which happens where errors are wrapped
// with what they say already.
func TestErrorsSayThingsOnce(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T) addError {
		return func(name string, err error) {
			t.Helper()
			require.Error(t, err, name)
			for line := range strings.SplitSeq(err.Error(), "\n") { // of a list, in which each says what it says
				require.Empty(t, saidTwice(line), "%s: %s", name, line)
			}
		}
	}
	t.Run("open", func(t *testing.T) { t.Parallel(); failOpen(t, check(t)) })
	t.Run("serve", func(t *testing.T) { t.Parallel(); failServe(t, check(t)) })
	t.Run("decode", func(t *testing.T) { t.Parallel(); failDecoding(t, check(t)) })
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		failQueries(t, db, check(t))
		failMigrations(t, db, check(t))
		failCalls(t, db, check(t))
	})
}

// addError checks the text of an error, which has a name for messages.
type addError func(name string, err error)

var word = regexp.MustCompile(`[\pL\pN_$.]*[\pL\pN_$]`)

// saidTwice returns the phrases of two words that are in a text more than once.
func saidTwice(text string) (twice []string) {
	seen := map[string]bool{}
	words := word.FindAllString(strings.ToLower(text), -1)
	for i := range words[:max(len(words)-1, 0)] {
		phrase := words[i] + " " + words[i+1]
		if seen[phrase] {
			twice = append(twice, phrase)
		}
		seen[phrase] = true
	}
	return twice
}

func failOpen(t *testing.T, add addError) {
	missing := filepath.Join(t.TempDir(), "none", "a.db")
	for _, url := range []string{
		"", "nonsense", "oracle://a@h/d", "sqlite:" + missing, "sqlite:" + t.TempDir(), "postgres://localhost:1/d", "mysql://localhost:1/d",
		"postgres://localhost:1/d?nonsense=1", "sqlite:a.db?nonsense=1", "postgres://u:p@:x/d", "postgres://h:99999/d", "mysql://h:x/d", "postgres://[::1/d",
	} {
		_, err := backend.Open(t.Context(), url, backend.DBConfig{ConnectTimeout: 200 * time.Millisecond})
		add("open "+url, err)
	}
	_, err := backend.Open(t.Context(), "sqlite::memory:", backend.DBConfig{MaxConns: -1, Timeout: -1})
	add("open with a wrong config", err)
	_, err = backend.Open(t.Context(), "sqlite::memory:", backend.DBConfig{}, backend.DBConfig{})
	add("open with two configs", err)
}

func failServe(t *testing.T, add addError) {
	h := http.NotFoundHandler()
	for name, config := range map[string]backend.ServerConfig{
		"address": {Addr: "nonsense"}, "port": {Addr: "127.0.0.1:99999"}, "socket": {Addr: "unix:" + filepath.Join(t.TempDir(), "none", "s")},
		"systemd": {Addr: "systemd:x"}, "certificate": {Addr: "127.0.0.1:0", CertFile: "none.pem", KeyFile: "none.key"}, "one file": {CertFile: "none.pem"},
		"negative": {MaxHeaderBytes: -1, IdleTimeout: -1, ShutdownTimeout: -1},
	} {
		add("serve "+name, backend.Serve(t.Context(), h, config))
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	add("serve taken", backend.Serve(t.Context(), h, backend.ServerConfig{Addr: strings.TrimPrefix(server.URL, "http://")}))
}

// runText runs a text that needs not be constant.
func runText(ctx context.Context, db *backend.DB, text string, args ...any) error {
	_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text, args...))
	return err
}

func failQueries(t *testing.T, db *backend.DB, add addError) {
	ctx := t.Context()
	run := func(ctx context.Context, text string, args ...any) error { return runText(ctx, db, text, args...) }
	require.NoError(t, run(ctx, "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL UNIQUE)"))
	require.NoError(t, run(ctx, "INSERT INTO t VALUES (1, 'a')"))
	for what, err := range map[string]error{
		"unique": run(ctx, "INSERT INTO t VALUES (2, 'a')"), "null": run(ctx, "INSERT INTO t VALUES (2, NULL)"), "syntax": run(ctx, "SELEC"), "table": run(ctx, "SELECT 1 FROM nothing"),
		"few": run(ctx, "SELECT ?"), "many": run(ctx, "SELECT 1", 1), "dollar": run(ctx, "SELECT $1", 1), "argument": run(ctx, "SELECT ?", make(chan int)), "list": run(ctx, "SELECT 1 FROM t WHERE id = ?", []int{1}),
		"quote": run(ctx, "SELECT 'a"), "commit": run(ctx, "COMMIT"), "empty": run(ctx, ""), "mode": db.Tx(ctx, nil, backend.ReadOnly, backend.ReadOnly), "no mode": db.Tx(ctx, nil, 99),
	} {
		add(what, err)
	}
	_, err := backend.One[int](ctx, db, "SELECT id FROM t WHERE id = 9")
	add("no row", err)
	_, err = backend.One[int](ctx, db, "SELECT id FROM t UNION ALL SELECT 2")
	add("two rows", err)
	_, err = backend.One[int](ctx, db, "SELECT name FROM t")
	add("type", err)
	_, err = backend.One[int](ctx, db, "SELECT * FROM t")
	add("columns", err)
	failTransactions(t, db, add)
}

func failTransactions(t *testing.T, db *backend.DB, add addError) {
	ctx := t.Context()
	taken := func(ctx context.Context) error { return runText(ctx, db, "INSERT INTO t VALUES (2, 'a')") }
	add("undone", db.Tx(ctx, func(ctx context.Context) error { taken(ctx); return runText(ctx, db, "SELECT 1") }))
	add("hidden", db.Tx(ctx, func(ctx context.Context) error { taken(ctx); return errors.New("no") }))
	add("nested", db.Tx(ctx, func(ctx context.Context) error { return db.Tx(ctx, taken) }))
	add("read-only", db.Tx(ctx, func(ctx context.Context) error { return runText(ctx, db, "INSERT INTO t VALUES (3, 'c')") }, backend.ReadOnly))
	var inner context.Context
	require.NoError(t, db.Tx(ctx, func(ctx context.Context) error { inner = ctx; return nil }))
	add("ended", runText(inner, db, "SELECT 1"))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	add("canceled", runText(canceled, db, "SELECT 1"))
	add("canceled transaction", db.Tx(canceled, func(context.Context) error { return nil }))
	add("canceled migration", db.Migrate(canceled, oneFile("SELECT 1;")))
}

// oneFile returns a folder with one migration.
func oneFile(up string) fstest.MapFS {
	return fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\n" + up)}}
}

func failMigrations(t *testing.T, db *backend.DB, add addError) {
	ctx := t.Context()
	for _, up := range []string{"-- +goose StatementBegin\nSELECT 1;", "-- +goose Nonsense\n", "SELECT 'a;", "-- +goose Up\n"} {
		add(up, db.Migrate(ctx, oneFile(up)))
	}
	empty := &fstest.MapFile{Data: []byte("-- +goose Up\n")}
	add("no numbers", db.Migrate(ctx, fstest.MapFS{"a.sql": empty, "b.sql": empty}))
	add("twice", db.Migrate(ctx, fstest.MapFS{"1_a.sql": empty, "01_b.sql": empty}))
	add("none", db.MigrateDown(ctx, 0, fstest.MapFS{}))
	require.NoError(t, db.Migrate(ctx, oneFile("SELECT 1;")))
	add("changed", db.Migrate(ctx, oneFile("SELECT 2;")))
	other := backendtest.NewDB(t, db.Engine())
	for range 2 { // on MySQL, the second time it goes on where it has stopped
		add("syntax", other.Migrate(ctx, oneFile("CREATE TABLE made (id INTEGER);\nSELEC;")))
	}
}

// namedInput is the input of operations that fail.
type namedInput struct {
	Name string `json:"name" validate:"required,max=3"`
	How  string `json:"how,omitempty"`
}

func failCalls(t *testing.T, db *backend.DB, add addError) {
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("add", backend.Public, func(ctx context.Context, in namedInput) (backend.None, error) {
		err := runText(ctx, db, "INSERT INTO t VALUES (2, ?)", in.Name)
		if in.How == "wrapped" {
			err = fmt.Errorf("add: %w", err)
		}
		return backend.None{}, err
	}), backend.Query("signed", backend.SignedIn, func(context.Context, namedInput) (backend.None, error) { return backend.None{}, nil }))
	call := func(operation string, in namedInput) error {
		_, err := backend.Call[backend.None](t.Context(), logic, operation, in)
		return err
	}
	add("unique", call("add", namedInput{Name: "a"}))
	add("wrapped", call("add", namedInput{Name: "a", How: "wrapped"}))
	add("invalid", call("add", namedInput{Name: "long"}))
	add("unknown", call("nothing", namedInput{}))
	add("anonymous", call("signed", namedInput{Name: "a"}))
	_, err := backend.Call[int](t.Context(), logic, "add", 1)
	add("other types", err)
}

func failDecoding(t *testing.T, add addError) {
	op := backend.Query("a", backend.Public, func(context.Context, namedInput) (backend.None, error) { return backend.None{}, nil })
	for _, text := range []string{"", "{", "[]", `{"name":1}`, `{"name":"a","x":1}`, `{"name":"a","name":"b"}`, `{} {}`, "{\"name\":\"\xff\"}", `{"name":"a","how":2,"y":1}`} {
		add(text, op.DecodeJSON(t.Context(), []byte(text), new(namedInput)))
	}
}

// A message that has the text of its cause is the whole text, whatever else the two say.
func TestErrorText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ message, cause, want string }{
		{"It is full: no space left.", "no space left", "conflict: It is full: no space left."},
		{"It is full.", "no space left", "conflict: It is full.: no space left"},
		{"It is fuller.", "full", "conflict: It is fuller.: full"},
		{"It is refull.", "full", "conflict: It is refull.: full"},
		{"refull, full", "full", "conflict: refull, full"},
		{"", "conflict", "conflict"},
		{"No.", "", "conflict: No."},
		{"Größe", "e", "conflict: Größe: e"},
	} {
		e := &backend.Error{Code: backend.Conflict, Message: test.message}
		require.Equal(t, test.want, e.Wrap(errors.New(test.cause)).Error())
	}
	fault := backend.Errorf(backend.Internal, "no disk")
	require.Equal(t, "internal: no disk", (&backend.Error{Code: backend.Internal}).Wrap(fault).Error())
	require.Equal(t, "internal: no disk: internal: no space", fault.Wrap(backend.Errorf(backend.Internal, "no space")).Error())
	require.Equal(t, "invalid; the input: must be an object", backend.InvalidField("", "type", "must be an object").Error())
}
