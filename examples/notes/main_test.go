package main

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// client uses a running program the way its users do.
type client struct {
	*backendtest.Client
	t *testing.T
}

// start runs the whole program on every engine.
func start(t *testing.T, test func(t *testing.T, c client)) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), migrations))
		program := routes(db, backend.NewHealth(backend.HealthCheck{Name: "database", Check: db.Ping}))
		test(t, client{backendtest.NewClient(t, program), t})
	})
}

// do sends a request with any content type, or none.
func (c client) do(method, path, contentType, body string) (*http.Response, string) {
	c.t.Helper()
	response := c.With("Content-Type", contentType).Do(method, path, body)
	return response.Response, string(response.Body)
}

// json calls the API and decodes the answer.
func (c client) json(method, path string, body any, status int) (answer map[string]any) {
	c.t.Helper()
	response := c.Do(method, path, body).Expect(status)
	if status != http.StatusNoContent {
		response.JSON(&answer)
	}
	return answer
}

func (c client) form(path string, fields url.Values) (*http.Response, string) {
	c.t.Helper()
	response := c.Post(path, fields)
	return response.Response, string(response.Body)
}

func TestAPI(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		note := c.json("POST", "/api/notes", `{"title":"Täg ?","text":"100% <b>"}`, http.StatusCreated)
		path := "/api/notes/" + note["id"].(string)
		require.Equal(t, note, c.json("GET", path, nil, http.StatusOK))

		changed := c.json("PATCH", path, `{"text":"other"}`, http.StatusOK)
		require.Equal(t, "Täg ?", changed["title"])
		require.Equal(t, "other", changed["text"])
		require.Equal(t, note["created"], changed["created"])

		c.json("DELETE", path, nil, http.StatusNoContent)
		require.Equal(t, "not_found", c.json("GET", path, nil, http.StatusNotFound)["code"])
		require.Equal(t, "not_found", c.json("DELETE", path, nil, http.StatusNotFound)["code"])
		require.Equal(t, "not_found", c.json("PATCH", path, "{}", http.StatusNotFound)["code"])
	})
}

// Null removes what can be removed (RFC 7396).
func TestMergePatch(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		note := c.json("POST", "/api/notes", `{"title":"Milk","text":"oat"}`, http.StatusCreated)
		path := "/api/notes/" + note["id"].(string)
		for _, test := range []struct{ patch, title, text string }{
			{`{}`, "Milk", "oat"},
			{`{"title":"Tea"}`, "Tea", "oat"},
			{`{"text":null}`, "Tea", ""},
			{`{"title":"Milk","text":"soy"}`, "Milk", "soy"},
		} {
			c.With("Content-Type", "application/merge-patch+json").Patch(path, test.patch).Expect(http.StatusOK)
			note = c.json("GET", path, nil, http.StatusOK)
			require.Equal(t, test.title, note["title"], test.patch)
			require.Equal(t, test.text, note["text"], test.patch)
		}
		problem := c.Patch(path, `{"title":null,"text":"lost"}`).Expect(http.StatusUnprocessableEntity).Problem()
		require.Equal(t, []backend.FieldError{{Pointer: "/title", Rule: "required", Message: "is missing"}}, problem.Errors)
		require.Equal(t, note, c.json("GET", path, nil, http.StatusOK))
	})
}

func TestPages(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		want := map[string]bool{}
		for i := range pageSize + 1 {
			want[c.json("POST", "/api/notes", fmt.Sprintf(`{"title":"Note %d"}`, i), http.StatusCreated)["id"].(string)] = true
		}
		var sizes []int
		for path := "/api/notes?search=note"; path != ""; {
			response := c.Get(path).Expect(http.StatusOK)
			var notes backend.Page[Note]
			response.JSON(&notes)
			sizes = append(sizes, len(notes.Items))
			for _, note := range notes.Items {
				require.True(t, want[note.ID], "each note comes once")
				delete(want, note.ID)
			}
			link := response.Header.Get("Link")
			path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
		require.Equal(t, []int{pageSize, 1}, sizes)
		require.Empty(t, want)
	})
}

func TestSameRequestTwice(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		keyed := c.With("Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324")
		first := keyed.Post("/api/notes", `{"title":"Milk"}`).Expect(http.StatusCreated)
		second := keyed.Post("/api/notes", `{"title":"Milk"}`).Expect(http.StatusCreated)
		require.Equal(t, string(first.Body), string(second.Body))
		require.Equal(t, "true", second.Header.Get("Idempotency-Replayed"))
		require.Len(t, c.json("GET", "/api/notes", nil, http.StatusOK)["items"], 1)
	})
}

// What says how to use the API says all of it, and is where the page looks.
func TestDocumentation(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		var description struct {
			OpenAPI string
			Servers []struct{ URL string }
			Paths   map[string]map[string]struct{ OperationID string }
		}
		c.Get("/openapi.json").Expect(http.StatusOK).JSON(&description)
		require.Equal(t, "3.1.0", description.OpenAPI)
		require.Equal(t, "/api", description.Servers[0].URL)
		got := map[string]string{}
		for path, methods := range description.Paths {
			for method, operation := range methods {
				got[method+" "+path] = operation.OperationID
			}
		}
		require.Equal(t, map[string]string{
			"get /notes": "notes", "post /notes": "createNote",
			"get /notes/{id}": "note", "patch /notes/{id}": "updateNote", "delete /notes/{id}": "deleteNote",
		}, got)

		page := c.Get("/docs").Expect(http.StatusOK)
		require.Contains(t, string(page.Body), `"/openapi.json"`)
		nonce := regexp.MustCompile(`<script nonce="([^"]+)"`).FindStringSubmatch(string(page.Body))
		require.NotNil(t, nonce)
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "'nonce-"+html.UnescapeString(nonce[1])+"'")
		for _, match := range regexp.MustCompile(`(?:href|src)="\./([^"]+)"`).FindAllStringSubmatch(string(page.Body), -1) {
			c.Get("/" + match[1]).Expect(http.StatusOK)
		}
	})
}

func TestSearch(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		for _, title := range []string{"Milk", "50% off", "a_b", "axb", "back\\slash", "bang!"} {
			c.json("POST", "/api/notes", `{"title":`+quote(title)+`}`, http.StatusCreated)
		}
		for search, want := range map[string][]string{
			"":       {"bang!", "back\\slash", "axb", "a_b", "50% off", "Milk"},
			"MILK":   {"Milk"},
			"%":      {"50% off"},
			"_":      {"a_b"},
			"\\":     {"back\\slash"},
			"!":      {"bang!"},
			"' OR 1": {},
		} {
			response, text := c.do("GET", "/api/notes?search="+url.QueryEscape(search), "", "")
			require.Equal(t, http.StatusOK, response.StatusCode)
			var notes backend.Page[Note]
			require.NoError(t, json.Unmarshal([]byte(text), &notes))
			titles := []string{}
			for _, note := range notes.Items {
				titles = append(titles, note.Title)
			}
			require.Equal(t, want, titles, search)
		}
	})
}

func TestBadInput(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		for name, test := range map[string]struct {
			contentType, body string
			status            int
			pointer           string
		}{
			"no title":       {"application/json", `{}`, 422, "/title"},
			"blank title":    {"application/json", `{"title":" "}`, 422, "/title"},
			"long title":     {"application/json", `{"title":` + quote(strings.Repeat("ä", 201)) + `}`, 422, "/title"},
			"long text":      {"application/json", `{"title":"a","text":` + quote(strings.Repeat("ä", 10_001)) + `}`, 422, "/text"},
			"NUL":            {"application/json", `{"title":"a\u0000b"}`, 422, "/title"},
			"unknown field":  {"application/json", `{"title":"a","owner":"b"}`, 422, "/owner"},
			"wrong type":     {"application/json", `{"title":1}`, 422, "/title"},
			"two values":     {"application/json", `{"title":"a"}{}`, 400, ""},
			"not JSON":       {"application/json", `title=a`, 400, ""},
			"empty":          {"application/json", ``, 400, ""},
			"a form":         {"application/x-www-form-urlencoded", `title=a`, 415, ""},
			"no type":        {"", `{"title":"a"}`, 415, ""},
			"over the limit": {"application/json", `{"title":"a","text":` + quote(strings.Repeat("a", 1<<20)) + `}`, 413, ""},
		} {
			response, text := c.do("POST", "/api/notes", test.contentType, test.body)
			require.Equal(t, test.status, response.StatusCode, name)
			require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"), name)
			var problem struct {
				Errors []backend.FieldError `json:"errors"`
			}
			require.NoError(t, json.Unmarshal([]byte(text), &problem), name)
			if test.pointer != "" {
				require.Equal(t, test.pointer, problem.Errors[0].Pointer, name)
			}
		}
		_, text := c.do("GET", "/api/notes", "", "")
		require.Equal(t, `{"items":[]}`, text, "nothing was stored")

		long := strings.Repeat("ä", 200)
		require.Equal(t, long, c.json("POST", "/api/notes", `{"title":`+quote(long)+`}`, http.StatusCreated)["title"])
	})
}

func TestPage(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		response, text := c.do("GET", "/", "", "")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, text, "There are no notes yet")
		style := regexp.MustCompile(`<link rel="stylesheet" href="(/assets/page-[0-9a-f]+\.css)">`).FindStringSubmatch(text)
		require.NotNil(t, style)
		require.Contains(t, c.Get(style[1]).Expect(http.StatusOK).Header.Get("Cache-Control"), "immutable")
		require.NotContains(t, text, "<script", "the page works without scripts")
		require.NotContains(t, text, "style=", "the policy does not allow it")
		require.Contains(t, text, `<link rel="icon" href="data:,">`, "or browsers ask for /favicon.ico, which there is not")
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "img-src 'self' data:;")

		response, _ = c.form("/notes", url.Values{"title": {"<script>alert(1)</script>"}, "text": {"a\nb"}})
		require.Equal(t, http.StatusSeeOther, response.StatusCode)
		require.Equal(t, "/#notes", response.Header.Get("Location"))
		_, text = c.do("GET", "/", "", "")
		require.Contains(t, text, "&lt;script&gt;alert(1)&lt;/script&gt;")

		edit := regexp.MustCompile(`/notes/[A-Z0-9]+`).FindString(text)
		_, text = c.do("GET", edit, "", "")
		require.Contains(t, text, `value="&lt;script&gt;alert(1)&lt;/script&gt;"`)
		require.Contains(t, text, ">\na\nb</textarea>", "the first line break is the tag's, not the text's")
		response, text = c.form(edit, url.Values{"title": {""}, "text": {"kept & safe"}})
		require.Equal(t, http.StatusUnprocessableEntity, response.StatusCode)
		require.Contains(t, text, "The title is missing.")
		require.Contains(t, text, "kept &amp; safe", "what was typed is not lost")
		response, _ = c.form(edit, url.Values{"title": {"Changed"}, "text": {""}})
		require.Equal(t, http.StatusSeeOther, response.StatusCode)
		_, text = c.do("GET", "/?search=chan", "", "")
		require.Contains(t, text, "<h3>Changed</h3>")
		_, text = c.do("GET", "/?search=nope", "", "")
		require.Contains(t, text, "No note has “nope” in it.")

		response, _ = c.form(edit+"/delete", nil)
		require.Equal(t, http.StatusSeeOther, response.StatusCode)
		response, _ = c.form(edit+"/delete", nil)
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	})
}

// The page shows the code as it is in the files, and what curl really gets.
func TestPageTellsTheTruth(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		_, text := c.do("GET", "/", "", "")
		blocks := []string{}
		for _, block := range regexp.MustCompile(`(?s)<pre[^>]*><code>(.*?)</code></pre>`).FindAllStringSubmatch(text, -1) {
			blocks = append(blocks, html.UnescapeString(regexp.MustCompile(`</?span[^>]*>`).ReplaceAllString(block[1], "")))
		}
		require.Len(t, blocks, 7)
		requireSource(t, "notes.go", blocks[0], "type CreateNote struct {\n", "\n}")
		requireSource(t, "notes.go", blocks[1], "func (a *App) CreateNote(ctx context.Context, in CreateNote) (Note, error) {\n", "\n}")
		requireSource(t, "main.go", blocks[2], `backend.Mutation("createNote",`, "backend.Idempotent())")
		requireAnswer(t, c, blocks[3], blocks[4])
		requireAnswer(t, c, blocks[5], blocks[6])
	})
}

// requireSource checks that a file has the code, apart from its indentation.
func requireSource(t *testing.T, file, code, first, last string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	indented := regexp.MustCompile(`(?m)^\t+`)
	require.Contains(t, indented.ReplaceAllString(string(content), ""), indented.ReplaceAllString(code, ""))
	require.True(t, strings.HasPrefix(code, first), code)
	require.True(t, strings.HasSuffix(code, last), code)
}

// requireAnswer sends the request of a curl command, and compares the response with the shown
// one. Ids and times differ.
func requireAnswer(t *testing.T, c client, command, shown string) {
	t.Helper()
	parts := regexp.MustCompile(`^curl -i (\S+) \\\n  -H 'Content-Type: (\S+)' \\\n  -d '([^']+)'$`).FindStringSubmatch(command)
	require.NotNil(t, parts, command)
	path, found := strings.CutPrefix(parts[1], c.URL)
	require.True(t, found, "the address %s is that of this server", parts[1])
	response, body := c.do("POST", path, parts[2], parts[3])
	line, shownBody, _ := strings.Cut(shown, "\n\n")
	require.Equal(t, line, "HTTP/1.1 "+response.Status)
	own := regexp.MustCompile(`"(id|created|updated|requestId)": ?"[^"]+"`)
	require.JSONEq(t, own.ReplaceAllString(shownBody, `"$1":""`), own.ReplaceAllString(body, `"$1":""`))
}

// A browser counts a line break as one character and sends two.
func TestLineBreaks(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		response, text := c.form("/notes", url.Values{"title": {"Lines"}, "text": {strings.Repeat("\r\n", 9_999) + "a"}})
		require.Equal(t, http.StatusSeeOther, response.StatusCode, text)
		_, text = c.do("GET", "/api/notes", "", "")
		require.NotContains(t, text, `\r`)
	})
}

func TestFormsOfOtherTypes(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		for _, contentType := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x", ";"} {
			response, _ := c.do("POST", "/notes", contentType, "title=a&text=b")
			require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode, contentType)
		}
	})
}

// What is not about health is answered inside the stack, whatever it is.
func TestEverythingPassesTheStack(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		for _, request := range []struct {
			method, path string
			status       int
		}{
			{"GET", "//", http.StatusBadRequest},
			{"GET", "/a%2f..", http.StatusBadRequest},
			{"TRACE", "/", http.StatusNotImplemented},
			{"GET", "/nothing", http.StatusNotFound},
			{"PUT", "/", http.StatusMethodNotAllowed},
		} {
			response, _ := c.do(request.method, request.path, "", "")
			require.Equal(t, request.status, response.StatusCode, request.path)
			require.NotEmpty(t, response.Header.Get("X-Request-Id"), request.path)
		}
	})
}

func TestForeignSitesCannotWrite(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		foreign := c.With("Origin", "https://evil.example").With("Sec-Fetch-Site", "cross-site")
		foreign.Post("/notes", url.Values{"title": {"a"}}).Expect(http.StatusForbidden)
		foreign.Post("/api/notes", `{"title":"a"}`).Expect(http.StatusForbidden)
		_, text := c.do("GET", "/api/notes", "", "")
		require.Equal(t, `{"items":[]}`, text)
	})
}

func TestHealth(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		_, text := c.do("GET", "/healthz", "", "")
		require.JSONEq(t, `{"status":"ok"}`, text)
		_, text = c.do("GET", "/readyz", "", "")
		require.JSONEq(t, `{"status":"ok","checks":{"database":"ok"}}`, text)
		response, _ := c.do("POST", "/readyz", "", "")
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	})
}

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
