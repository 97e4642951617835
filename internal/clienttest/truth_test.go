package clienttest_test

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/clienttest"
)

// document is what TestDescriptionIsTrue reads of the description. Generated
// clients look at less of it: they take any credentials, and any headers.
type document struct {
	Servers    []struct{ URL string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]struct{ Properties map[string]any }
		Responses       map[string]response
		Headers         map[string]any
		SecuritySchemes map[string]struct{ Type, Scheme, In, Name string }
	}
}

type operation struct {
	OperationID string
	Deprecated  bool
	Security    *[]map[string][]string
	Responses   map[string]response
}

type response struct {
	Ref         string `json:"$ref"`
	Description string
	Headers     map[string]struct{ Required bool }
	Content     map[string]any
}

// find returns what the description says of answers with a status.
func (d document) find(t *testing.T, op operation, status string) response {
	t.Helper()
	found, known := op.Responses[status]
	if !known {
		found, known = op.Responses[status[:1]+"XX"]
	}
	require.True(t, known, "%s answers %s", op.OperationID, status)
	if name, ok := strings.CutPrefix(found.Ref, "#/components/responses/"); ok {
		found = d.Components.Responses[name]
	}
	return found
}

// check compares an answer with the description, and returns the description of
// what was called.
func (d document) check(t *testing.T, at string, got *backendtest.Response) operation {
	t.Helper()
	method, path, _ := strings.Cut(at, " ")
	op, known := d.Paths[path][strings.ToLower(method)]
	require.True(t, known, at)
	said := d.find(t, op, got.Status[:3])
	if len(said.Content) == 0 {
		require.Empty(t, got.Body, at)
	} else {
		mediaType, _, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
		require.NoError(t, err, at)
		_, anything := said.Content["*/*"]
		require.True(t, anything || said.Content[mediaType] != nil, "%s: %s", at, mediaType)
	}
	for name, header := range said.Headers {
		if header.Required {
			require.NotEmpty(t, got.Header.Get(name), "%s: %d: %s", at, got.StatusCode, name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(d.Components.Headers)), []string{"Set-Cookie", "X-Revision"}) {
		if op.Deprecated && got.StatusCode >= 300 && slices.Contains([]string{"Deprecation", "Sunset"}, name) {
			continue // said of what succeeds
		}
		if got.Header.Get(name) != "" {
			require.Contains(t, said.Headers, name, "%s: %d", at, got.StatusCode)
		}
	}
	return op
}

const (
	urlencoded = "application/x-www-form-urlencoded"
	multiparts = "multipart/form-data; boundary=next"
)

// multipart returns a form with parts of a name and a content.
func multipart(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		b.WriteString("--next\r\nContent-Disposition: form-data; name=\"" + pairs[i] + "\"\r\n\r\n" + pairs[i+1] + "\r\n")
	}
	return b.String() + "--next--\r\n"
}

func TestDescriptionIsTrue(t *testing.T) {
	t.Parallel()
	d := truth(t, backend.ErrorsConfig{}, nil)
	require.Contains(t, d.Components.Responses, "Problem")
	require.Contains(t, d.Components.Schemas["Problem"].Properties, "code")
	require.Contains(t, d.Paths["/things"]["post"].Responses["4XX"].Description, "422 invalid")
}

// A program with its own format of errors has its schema and statuses in the description.
func TestDescriptionOfOwnErrorsIsTrue(t *testing.T) {
	t.Parallel()
	d := truth(t, clienttest.OwnErrors(), map[int]int{422: 400})
	require.NotContains(t, d.Components.Responses, "Problem")
	require.Equal(t, []string{"application/vnd.things.error+json"}, slices.Collect(maps.Keys(d.Components.Responses["Error"].Content)))
	require.ElementsMatch(t, []string{"reason", "fields"}, slices.Collect(maps.Keys(d.Components.Schemas["Problem"].Properties)))
	said := d.Paths["/things"]["post"].Responses["4XX"].Description
	require.Contains(t, said, "400 invalid")
	require.NotContains(t, said, "422")
}

// truth compares what the server answers with what the description says. statuses are
// those of errors that have others than usual.
func truth(t *testing.T, errors backend.ErrorsConfig, statuses map[int]int) (d document) {
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	client := backendtest.NewClient(t, clienttest.Handler(db, slog.New(slog.DiscardHandler), errors))
	client.Get("/openapi.json").Expect(http.StatusOK).JSON(&d)
	require.Equal(t, "http bearer", d.Components.SecuritySchemes["bearer"].Type+" "+d.Components.SecuritySchemes["bearer"].Scheme)
	require.Equal(t, "apiKey cookie session", d.Components.SecuritySchemes["cookie"].Type+" "+d.Components.SecuritySchemes["cookie"].In+" "+d.Components.SecuritySchemes["cookie"].Name)

	thing, err := json.Marshal(map[string]any{
		"name": "Lamp", "basics": map[string]any{"quoted": "0", "bool": true, "int": 1, "int8": 1, "int16": 1, "int32": 1, "int64": 1, "uint": 1, "uint8": 1, "uint16": 1, "uint32": 1, "uint64": 1, "float32": 1, "float64": 1, "string": ""},
		"colour": "red", "count": 3, "grade": 2, "box": map[string]any{"width": 1, "height": 2}, "tags": []string{}, "fixed": []int{1, 2, 3}, "root": map[string]any{"name": "root"},
		"wait": 1, "data": "AAEC", "address": "192.0.2.1", "owner": "1", "range": map[string]any{"first": 1, "second": 2}, "inline": map[string]any{"on": true},
	})
	require.NoError(t, err)
	called := map[string]bool{}
	for _, call := range []struct {
		at, path, body string // path: without the prefix; "" is that of at
		header, value  string
		status         int // with credentials
	}{
		{"POST /things", "", string(thing), "Idempotency-Key", "a", 201},
		{"POST /things", "", string(thing), "Idempotency-Key", "a", 201},
		{"POST /things", "", string(thing), "", "", 201},
		{"POST /things", "", "{", "", "", 400},
		{"GET /things", "/things?limit=1", "", "", "", 200},
		{"GET /things", "/things?limit=many", "", "", "", 422},
		{"PATCH /things/{id}", "/things/1", `{"note":"a"}`, "", "", 200},
		{"GET /things/{id}", "/things/1", "", "", "", 200},
		{"GET /things/{id}", "/things/1", "", "If-None-Match", "current", 304},
		{"GET /things/{id}", "/things/1?include=maker.homes", "", "", "", 200},
		{"GET /things/{id}", "/things/9", "", "", "", 404},
		{"PUT /things/{id}/attrs", "/things/1/attrs", `{"a":"b"}`, "", "", 200},
		{"GET /things/{id}/files/{path}", "/things/1/files/a", "", "", "", 200},
		{"GET /old/{id}", "/old/1", "", "", "", 200},
		{"GET /old/{id}", "/old/9", "", "", "", 404},
		{"GET /older/{id}", "/older/1", "", "", "", 200},
		{"POST /payments", "", `{"amount":1}`, "Idempotency-Key", "b", 403},
		{"GET /colours", "", "", "", "", 200},
		{"GET /ping", "", "", "", "", 200},
		{"PUT /settings/{name}", "/settings/a", `{"value":"b"}`, "", "", 201},
		{"PUT /settings/{name}", "/settings/a", `{"value":"c"}`, "", "", 200},
		{"PUT /settings/{name}", "/settings/a", `{"value":""}`, "", "", 204},
		{"GET /reports/{name}", "/reports/a.csv", "", "", "", 200},
		{"GET /reports/{name}", "/reports/a.csv", "", "Range", "bytes=0-1", 206},
		{"GET /reports/{name}", "/reports/a.csv", "", "Range", "bytes=0-1,3-4", 200},
		{"GET /reports/{name}", "/reports/a.csv", "", "If-Modified-Since", "Thu, 05 Feb 2026 00:00:00 GMT", 304},
		{"GET /reports/{name}", "/reports/a.csv", "", "If-None-Match", `"1"`, 304},
		{"GET /reports/{name}", "/reports/a.csv", "", "Accept", "application/json", 406},
		{"GET /blobs/{name}", "/blobs/a", "", "", "", 200},
		{"GET /latest", "", "", "", "", 302},
		{"POST /things/{thing}/messages", "/things/1/messages", "text=Hi&urgent=on&tags=a&tags=b", "Content-Type", urlencoded, 201},
		{"POST /things/{thing}/messages", "/things/1/messages", multipart("text", "Hi"), "Content-Type", multiparts, 201},
		{"POST /things/{thing}/messages", "/things/1/messages", `{"text":"Hi","urgent":true}`, "", "", 201},
		{"POST /things/{thing}/messages", "/things/1/messages", "text=", "Content-Type", urlencoded, 422},
		{"POST /messages", "", "thing=1&text=Hi", "Content-Type", urlencoded, 303},
		{"POST /albums", "", multipart("title", "Trip", "cover\"; filename=\"a.png", "\x89PNG\r\n\x1a\n", "papers\"; filename=\"b.txt", "hi"), "Content-Type", multiparts, 201},
		{"POST /albums", "", multipart("title", "Trip", "cover\"; filename=\"a.png", "text"), "Content-Type", multiparts, 422},
		{"POST /albums", "", "title=Trip", "Content-Type", urlencoded, 415},
		{"GET /numbers", "/numbers?page=2", "", "", "", 200},
		{"DELETE /things/{id}", "/things/1", "", "", "", 428},
		{"DELETE /things/{id}", "/things/1", "", "If-Match", `"old"`, 412},
		{"DELETE /things/{id}", "/things/1", "", "If-Match", "current", 204},
	} {
		method, path, _ := strings.Cut(call.at, " ")
		if call.path != "" {
			path = call.path
		}
		if call.value == "current" {
			call.value = client.Get("/api/things/1").Expect(200).Header.Get("ETag")
		}
		stranger := client.With("Content-Type", "application/json")
		if call.header != "" {
			stranger = stranger.With(call.header, call.value)
		}
		send := func(c *backendtest.Client) *backendtest.Response {
			return c.Do(method, d.Servers[0].URL+path, call.body)
		}
		// Preconditions are asked for before credentials are.
		if call.status != http.StatusPreconditionRequired {
			without := send(stranger)
			op := d.check(t, call.at, without)
			require.NotNil(t, op.Security, call.at)
			require.Equal(t, len(*op.Security) > 0, without.StatusCode == http.StatusUnauthorized, call.at)
			for _, way := range *op.Security {
				require.Len(t, way, 1, call.at)
			}
		}
		got := send(stranger.With("Authorization", "Bearer "+clienttest.Token)).Expect(cmp.Or(statuses[call.status], call.status))
		d.check(t, call.at, got)
		called[call.at] = true
	}
	for path, methods := range d.Paths {
		for method := range methods {
			require.True(t, called[strings.ToUpper(method)+" "+path], "%s %s was called", method, path)
		}
	}
	return d
}
