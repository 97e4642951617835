package backend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func ExamplePaginate() {
	type ListTitles struct {
		Page    int `json:"page,omitempty" default:"1" validate:"min=1,max=1000"`
		PerPage int `json:"perPage,omitempty" default:"1" validate:"min=1,max=100"`
	}
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	titles := func(ctx context.Context, in ListTitles) (backend.Page[string], error) {
		return backend.Paginate[string](ctx, db, in.Page, in.PerPage, "SELECT title FROM notes ORDER BY title")
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Query("titles", backend.Public, titles, backend.Route("GET /titles")))
	api := logic.REST()

	request(api, "GET", "/titles", "")
	request(api, "GET", "/titles?page=2", "")
	request(api, "GET", "/titles?page=3", "")
	request(api, "GET", "/titles?page=1001", "")
	// Output:
	// 200 {"items":["Milk"],"total":2}
	// 200 {"items":["Rent"],"total":2}
	// 200 {"items":[],"total":2}
	// 422 {"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"The input is not valid.","code":"invalid","errors":[{"pointer":"/page","rule":"max","detail":"must be at most 1000"}]}
}

// Every page has its rows and the total, on every engine and for every form of query.
func TestPaginate(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   int    `db:"id"`
		Name string `db:"name"`
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		_, err := db.Exec(ctx, "CREATE TABLE list (id INTEGER PRIMARY KEY, name VARCHAR(20))")
		require.NoError(t, err)
		for id := range 5 {
			_, err := db.Exec(ctx, "INSERT INTO list VALUES (?, ?)", id, fmt.Sprint("n", id))
			require.NoError(t, err)
		}
		for _, test := range []struct {
			page, perPage int
			want          []int
		}{
			{0, 2, []int{4, 3}}, {1, 2, []int{4, 3}}, {2, 2, []int{2, 1}}, {3, 2, []int{0}}, {4, 2, nil}, {1, 5, []int{4, 3, 2, 1, 0}}, {2, 5, nil},
			{1, 10, []int{4, 3, 2, 1, 0}}, {math.MaxInt, 1, nil}, {math.MaxInt / 10, 10, nil},
		} {
			page, err := backend.Paginate[row](ctx, db, test.page, test.perPage, "SELECT * FROM list ORDER BY id DESC")
			require.NoError(t, err)
			var got []int
			for _, row := range page.Items {
				got = append(got, row.ID)
			}
			require.Equal(t, test.want, got, test)
			require.Equal(t, int64(5), *page.Total, test)
			require.Empty(t, page.Next)
		}
		where := backend.SQL("name <> ?", "n1").And("id IN (?)", []int{1, 2, 3})
		page, err := backend.Paginate[string](ctx, db, 1, 1, "WITH chosen AS (SELECT name, id FROM list WHERE ?) SELECT name FROM chosen WHERE id < ? ORDER BY id -- the end", where, 4)
		require.NoError(t, err)
		require.Equal(t, []string{"n2"}, page.Items)
		require.Equal(t, int64(2), *page.Total)

		none, err := backend.Paginate[row](ctx, db, 1, 2, "SELECT * FROM list WHERE id > ? ORDER BY id", 100)
		require.NoError(t, err)
		text, err := json.Marshal(none)
		require.NoError(t, err)
		require.JSONEq(t, `{"items":[],"total":0}`, string(text), "0 is a total")

		for _, wrong := range [][2]int{{-1, 1}, {1, 0}, {1, -1}, {math.MaxInt, 2}} {
			page, err := backend.Paginate[row](ctx, db, wrong[0], wrong[1], "SELECT * FROM list ORDER BY id")
			require.Equal(t, backend.Invalid, backend.CodeOf(err), wrong)
			require.Zero(t, page)
		}
		_, err = backend.Paginate[row](ctx, db, 1, 1, "SELECT * FROM nothing")
		require.Equal(t, backend.Internal, backend.CodeOf(err))
	})
}

// A page has no total unless it was counted, also when its output was stored.
func TestPageTotal(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	type input struct {
		Total *int64 `json:"total,omitempty"`
	}
	logic.Add(backend.Mutation("page", backend.Public, func(_ context.Context, in input) (backend.Page[int], error) {
		return backend.Page[int]{Items: []int{1}, Total: in.Total}, nil
	}, backend.Route("PUT /page"), backend.Idempotent()))
	rest := logic.REST()
	client := backendtest.NewClient(t, rest)
	for body, want := range map[string]string{`{}`: `{"items":[1]}`, `{"total":0}`: `{"items":[1],"total":0}`, `{"total":7}`: `{"items":[1],"total":7}`} {
		for _, replayed := range []string{"", "true"} {
			response := client.With("Idempotency-Key", "key "+body).Put("/page", body).Expect(http.StatusOK)
			require.Equal(t, want, string(response.Body))
			require.Equal(t, replayed, response.Header.Get("Idempotency-Replayed"))
		}
	}
	schema := string(logic.Operations()[0].OutputSchema())
	require.Contains(t, strings.ReplaceAll(schema, " ", ""), `"total":{"format":"int64","type":"integer"}`)
	require.Contains(t, schema, `"required":["items"]`)
}
