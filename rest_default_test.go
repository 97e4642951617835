package backend_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

type searchInput struct {
	Query  string        `json:"query,omitempty"`
	Limit  int           `json:"limit" default:"20" validate:"min=1,max=100"`
	Order  string        `json:"order" default:"title" validate:"oneof=title author"`
	Live   bool          `json:"live" default:"true"`
	Most   amount        `json:"most" default:"99.50"`
	Since  time.Time     `json:"since" default:"2026-01-02T03:04:05Z"`
	Within time.Duration `json:"within" default:"1000"`
	Lang   string        `json:"lang" in:"header=Lang" default:"en" validate:"required"`
}

// What is absent is its default, wherever it is read from; what is there is not,
// zero values included.
func TestDefaults(t *testing.T) {
	t.Parallel()
	type part struct {
		Copies int    `json:"copies" default:"1" validate:"min=0"`
		Note   string `json:"note" default:"-"`
	}
	type order struct {
		ID    backend.ID `json:"id"`
		Share float64    `json:"share" default:"0.5"`
		Parts []part     `json:"parts" validate:"max=3,dive"`
	}
	search := func(_ context.Context, in searchInput) (searchInput, error) { return in, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("search", backend.Public, search, backend.Route("GET /search")),
		backend.Mutation("order", backend.Public, func(_ context.Context, in order) (order, error) { return in, nil }, backend.Route("PUT /orders/{id}")),
	)
	client := backendtest.NewClient(t, logic.REST())

	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for query, want := range map[string]searchInput{
		"":                              {"", 20, "title", true, 9950, since, 1000, "en"},
		"?query=a&limit=1&order=author": {"a", 1, "author", true, 9950, since, 1000, "en"},
		"?live=false&most=0.00&within=0&since=0001-01-01T00:00:00Z": {"", 20, "title", false, 0, time.Time{}, 0, "en"},
	} {
		var got searchInput
		client.Get("/search" + query).Expect(http.StatusOK).JSON(&got)
		require.Equal(t, want, got, query)
	}
	client.Get("/search?limit=0&order=").Expect(http.StatusUnprocessableEntity)

	var got order
	client.Put("/orders/7", json.RawMessage(`{"parts":[{},{"copies":0,"note":""}]}`)).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, order{7, 0.5, []part{{1, "-"}, {0, ""}}}, got)
	client.Put("/orders/7", json.RawMessage(`{"parts":[{"copies":null}]}`)).Expect(http.StatusUnprocessableEntity)

	in, err := backend.Call[searchInput](t.Context(), logic, "search", searchInput{Limit: 3, Order: "title", Lang: "de"})
	require.NoError(t, err)
	require.Equal(t, searchInput{Limit: 3, Order: "title", Lang: "de"}, in, "Call takes the input as it is")
}

func TestDefaultsAreDescribed(t *testing.T) {
	t.Parallel()
	search := func(_ context.Context, in searchInput) (searchInput, error) { return in, nil }
	paths, text := described(t, backend.OpenAPIConfig{},
		backend.Query("search", backend.Public, search, backend.Route("GET /search")),
		backend.Mutation("store", backend.Public, search, backend.Route("POST /searches")))
	for _, param := range paths["/search"]["get"]["parameters"].([]any) {
		param := param.(map[string]any)
		require.NotContains(t, param, "required")
		if param["name"] != "query" {
			require.Contains(t, param["schema"], "default", param["name"])
		}
	}
	require.Contains(t, strings.Join(strings.Fields(text), ""), `"limit":{"default":20,"format":"int64","maximum":100,"minimum":1,"type":"integer"}`)
	require.NotContains(t, strings.Join(strings.Fields(text), ""), `"additionalProperties":false,"required"`, "of the body nothing is")
}

func TestDefaultsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	type wrong struct {
		Maybe  *int                `json:"maybe" default:"1"`
		Opt    backend.Opt[string] `json:"opt" default:"a"`
		Tags   []string            `json:"tags" default:"a" validate:"max=2"`
		Number int64               `json:"number,string" default:"1"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	op := backend.Query("search", backend.Public, func(context.Context, wrong) (backend.None, error) { return backend.None{}, nil })
	message := panicText(func() { logic.Add(op) })
	const unfit = ": a default is for booleans, numbers, text and times that may be absent"
	for _, want := range []string{
		`wrong.Maybe` + unfit, `wrong.Opt` + unfit, `wrong.Tags` + unfit, `wrong.Number` + unfit,
	} {
		require.Contains(t, message, want)
	}
	type unfitting struct {
		Limit int       `json:"limit" default:"many"`
		Few   int       `json:"few" default:"0" validate:"min=1"`
		Order string    `json:"order" default:"x" validate:"oneof=a b"`
		At    time.Time `json:"at" default:"today"`
		Most  amount    `json:"most" default:"12"`
	}
	op = backend.Query("search", backend.Public, func(context.Context, unfitting) (backend.None, error) { return backend.None{}, nil })
	message = panicText(func() { logic.Add(op) })
	for _, want := range []string{
		`unfitting.Limit: the default "many" must be JSON of an int`,
		`unfitting.Few: the default "0" breaks a rule of the field: minimum 1`,
		`unfitting.Order: the default "x" breaks a rule of the field: enum`,
		`unfitting.At: the default "today" must be a time such as`,
		`unfitting.Most: the default "12" must be the text of a`,
	} {
		require.Contains(t, message, want)
	}
}
