package backend_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A key that no column holds is the key of no row: the response is 404, on every engine.
func TestKeyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID   int    `db:"id" json:"id"`
		Name string `db:"name" json:"name"`
	}
	type byNumber struct {
		ID int64 `json:"id"`
	}
	type byText struct {
		ID string `json:"id"`
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		for _, statement := range []string{"CREATE TABLE things (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO things VALUES (0, 'none'), (12, 'a')"} {
			_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(statement))
			require.NoError(t, err)
		}
		find := func(ctx context.Context, id any) (thing, error) {
			return backend.One[thing](ctx, db, "SELECT * FROM things WHERE id = ?", id)
		}
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(
			backend.Query("number", backend.Public, func(ctx context.Context, in byNumber) (thing, error) { return find(ctx, in.ID) }, backend.Route("GET /numbers/{id}")),
			backend.Query("text", backend.Public, func(ctx context.Context, in byText) (thing, error) { return find(ctx, in.ID) }, backend.Route("GET /texts/{id}")),
			backend.Mutation("rename", backend.Public, func(ctx context.Context, in byText) (thing, error) {
				if _, err := db.Exec(ctx, "UPDATE things SET name = 'b' WHERE id = ? AND id IN (?)", in.ID, []string{in.ID}); err != nil {
					return thing{}, err
				}
				return find(ctx, in.ID)
			}, backend.Route("POST /texts/{id}/rename"), backend.Status(200)),
			backend.Relation("same", func(ctx context.Context, parents []thing) ([][]thing, error) {
				keys := []string{"12abc", "99999999999"}
				for _, parent := range parents {
					keys = append(keys, parent.Name)
				}
				found, err := backend.All[thing](ctx, db, "SELECT * FROM things WHERE id IN (?)", keys)
				return make([][]thing, len(parents)), errorUnlessEmpty(found, err)
			}),
		)
		door := logic.REST()
		for _, test := range []struct {
			method, path string
			want         int
		}{
			{"GET", "/numbers/12", 200}, {"GET", "/numbers/5000000000", 404}, {"GET", "/numbers/9223372036854775807", 404}, {"GET", "/numbers/-5000000000", 404},
			{"GET", "/texts/12", 200}, {"GET", "/texts/5000000000", 404}, {"GET", "/texts/99999999999999999999", 404}, {"GET", "/texts/abc", 404}, {"GET", "/texts/12abc", 404}, {"GET", "/texts/12%20or%201=1", 404},
			{"GET", "/texts/12?include=same", 200}, {"POST", "/texts/12/rename", 200}, {"GET", "/texts/12", 200},
		} {
			w := httptest.NewRecorder()
			door.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
			require.Equal(t, test.want, w.Code, "%s %s: %s", test.method, test.path, w.Body)
		}
		_, err := backend.Call[thing](t.Context(), logic, "rename", byText{"12abc"})
		if err != nil { // MySQL may refuse it
			require.Contains(t, []backend.Code{backend.NotFound, backend.Invalid}, backend.CodeOf(err))
		}
		names, err := backend.All[string](t.Context(), db, "SELECT name FROM things ORDER BY id")
		require.NoError(t, err)
		require.Equal(t, []string{"none", "b"}, names)
	})
}

func errorUnlessEmpty[T any](found []T, err error) error {
	if err == nil && len(found) > 0 {
		return backend.Errorf(backend.Internal, "found %v", found)
	}
	return err
}

// SQLite has 15 digits for a number that is no int64. A column that promises more would hold
// other numbers than were stored.
func TestDecimalColumnsOfSQLite(t *testing.T) { // not parallel: the logger is the process's
	file := func(column string) fstest.MapFS {
		return fstest.MapFS{"1_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE \"a t\" (id INTEGER PRIMARY KEY, price " + column + ");")}}
	}
	migrate := func(column string) string {
		db := backendtest.NewDB(t, backend.SQLite)
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		defer slog.SetDefault(before)
		require.NoError(t, db.Migrate(t.Context(), file(column)), column)
		text := log.String()
		require.NoError(t, db.Migrate(t.Context(), file(column)))
		require.Equal(t, text, log.String(), "once")
		return text
	}
	for _, column := range []string{"DECIMAL(16, 2)", "decimal (30,10) NOT NULL DEFAULT 0", "NUMERIC(38)", "NUMERIC(19,0)", "DEC(20,4)", "NUMBER(17, 2)"} {
		log := migrate(column)
		require.Contains(t, log, `declare it TEXT`, column)
		require.Contains(t, log, `table="a t" column=price`, column)
	}
	for _, column := range []string{"DECIMAL(15, 2)", "DECIMAL(10,5)", "DECIMAL", "NUMERIC", "NUMERIC(18)", "NUMERIC(18, 0)", "TEXT", "DECIMAL_TEXT(30,2)", "VARCHAR(20)"} {
		require.Empty(t, migrate(column), column)
	}
	// What is allowed holds its digits.
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), file("DECIMAL(15, 2)")))
	for _, want := range []string{"9999999999999.99", "0.1", "-1234567890123.45", "999999999999999"} {
		got, err := backend.One[string](t.Context(), db, `INSERT INTO "a t" (price) VALUES (?) RETURNING price`, want)
		require.NoError(t, err)
		exact, _ := new(big.Rat).SetString(want)
		read, ok := new(big.Rat).SetString(got)
		require.True(t, ok && exact.Cmp(read) == 0, "%s is read as %s", want, got)
	}
}
