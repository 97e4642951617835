package backendtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// These environment variables name the servers that tests may use. Each test creates
// its own databases there and drops them again, so the account needs the right to create
// databases.
const (
	// PostgresVariable holds a URL such as postgres://postgres@127.0.0.1/postgres.
	PostgresVariable = "TEST_POSTGRES_URL"
	// MySQLVariable holds a URL such as mysql://root@127.0.0.1/test.
	MySQLVariable = "TEST_MYSQL_URL"
	// RequireVariable, set to 1, makes a server that is not configured a
	// failure instead of a skip.
	RequireVariable = "TEST_REQUIRE_ENGINES"
)

// Engines are all engines, in the order in which [EachDB] runs them.
var engines = []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL}

// EachDB runs test on an empty database of every engine. The subtests have the names of
// the engines and run in parallel. If the server of an engine is not configured, the
// subtest is skipped with a line that says how to enable it, or fails if
// TEST_REQUIRE_ENGINES is 1.
//
// The test program must import the drivers that it uses.
func EachDB(t *testing.T, test func(t *testing.T, db *backend.DB), config ...backend.DBConfig) {
	t.Helper()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, NewDB(t, engine, config...))
		})
	}
}

// NewDB returns an empty database of an engine, which is closed and dropped when the
// test ends. A database of SQLite is a file. See [EachDB] for servers that are not
// configured.
func NewDB(t testing.TB, engine backend.Engine, config ...backend.DBConfig) *backend.DB {
	t.Helper()
	db, err := backend.Open(t.Context(), NewURL(t, engine), config...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// NewURL returns the URL of an empty database of an engine, which is dropped
// when the test ends.
func NewURL(t testing.TB, engine backend.Engine) string {
	t.Helper()
	if engine == backend.SQLite {
		return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	}
	server, err := url.Parse(serverURL(t, engine))
	if err != nil {
		t.Fatal("the server's URL in the environment cannot be parsed")
	}
	name := "backendtest_" + strings.ToLower(rand.Text()[:12])
	execute(t, server.String(), "CREATE DATABASE "+name)
	t.Cleanup(func() {
		drop := "DROP DATABASE " + name
		if engine == backend.Postgres {
			drop += " WITH (FORCE)"
		}
		execute(t, server.String(), drop)
	})
	fresh := *server
	fresh.Path = "/" + name
	return fresh.String()
}

// serverURL returns the URL of an engine's server. It skips or fails the test if the
// server is not configured.
func serverURL(t testing.TB, engine backend.Engine) string {
	t.Helper()
	variable, example := PostgresVariable, "postgres://postgres@127.0.0.1/postgres"
	if engine == backend.MySQL {
		variable, example = MySQLVariable, "mysql://root@127.0.0.1/test"
	}
	server := os.Getenv(variable)
	switch {
	case server != "":
	case os.Getenv(RequireVariable) == "1":
		t.Fatalf("%s is not set, and %s=1 demands every engine", variable, RequireVariable)
	default:
		t.Skipf("to run this on %s as well, set %s=%s", engine, variable, example)
	}
	return server
}

// execute runs one statement on its own connection. It has its own context, since the
// context of a test has ended when its cleanup runs.
func execute(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := backend.Open(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(ctx, "?", backend.UnsafeSQL(statement)); err != nil {
		t.Fatal(err)
	}
}
