package httpin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

func compile[T any](t testing.TB, names []string, mayHaveBody bool) (*httpin.Input, error) {
	t.Helper()
	in, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[T]())
	require.NoError(t, err)
	return httpin.Compile(in, names, mayHaveBody, false)
}

func TestPathNames(t *testing.T) {
	t.Parallel()
	for path, names := range map[string][]string{
		"/": nil, "/notes/{id}": {"id"}, "/{a}/b/{c...}": {"a", "c"}, "/x/{$}": nil, "/a{b}": nil,
	} {
		require.Equal(t, names, httpin.PathNames(path), path)
	}
}

type whole struct {
	Title string `json:"title"`
}

// places returns where the fields come from, as "PLACE NAME" by the field.
func places(i *httpin.Input) map[string]string {
	all := map[string]string{}
	for _, p := range i.Params {
		all[p.Field.Name] = p.Place + " " + p.Name
	}
	for _, field := range i.BodyFields {
		all[field.Name] = "body"
	}
	if i.BodyAt != nil {
		all[i.BodyAt.Name] = "the body"
	}
	return all
}

func TestWhereFieldsComeFrom(t *testing.T) {
	t.Parallel()
	type input struct {
		ID     int64    `json:"id"`
		Tagged string   `json:"tagged" in:"path"`
		Text   string   `json:"text"`
		Page   int      `json:"page" in:"query=p"`
		Own    string   `json:"own" in:"query"`
		Tenant string   `json:"tenant" in:"header=X-Tenant"`
		Token  *string  `json:"token" in:"cookie"`
		List   []string `json:"list" in:"header=X-List"`
	}
	want := map[string]string{"id": "path id", "tagged": "path tagged", "text": "body", "page": "query p", "own": "query own",
		"tenant": "header X-Tenant", "token": "cookie token", "list": "header X-List"}
	i, err := compile[input](t, []string{"id", "tagged"}, true)
	require.NoError(t, err)
	require.Equal(t, want, places(i))
	require.NotNil(t, i.Body)
	require.True(t, i.HasQuery("p") && i.HasQuery("own"))
	require.False(t, i.HasQuery("page") || i.HasQuery("text") || i.HasQuery("id"))

	want["text"] = "query text"
	i, err = compile[input](t, []string{"id", "tagged"}, false)
	require.NoError(t, err)
	require.Equal(t, want, places(i))
	require.Nil(t, i.Body)
	require.True(t, i.HasQuery("text"))

	type at struct {
		ID   int64 `json:"id"`
		Note whole `json:"note" in:"body"`
	}
	i, err = compile[at](t, []string{"id"}, true)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"id": "path id", "note": "the body"}, places(i))
	var note whole
	require.NoError(t, i.Body.Decode([]byte(`{"title":"a"}`), reflect.ValueOf(&note).Elem(), nil))
	require.Equal(t, "a", note.Title)
}

// Everything that is wrong is said at once.
func TestErrors(t *testing.T) {
	t.Parallel()
	type bad struct {
		Path   string         `json:"path" in:"path"`
		Both   string         `json:"both" in:"query"`
		Body   whole          `json:"body" in:"body"`
		Second whole          `json:"second" in:"body"`
		Rest   string         `json:"rest"`
		Map    map[string]int `json:"map" in:"query"`
		Crumbs []string       `json:"crumbs" in:"cookie"`
		One    string         `json:"one" in:"header=X-A"`
		Other  string         `json:"other" in:"header=x-a"`
	}
	_, err := compile[bad](t, []string{"both", "missing"}, true)
	require.Equal(t, []string{
		"the input has no field for {missing}",
		`field Path: it is tagged in:"path", and the path has no such parameter`,
		`field Both: it is in the path and tagged in:"query"`,
		"field Second: Body is the body already",
		"field Map: a map[string]int has no form as text in a path, query, header or cookie",
		"field Crumbs: a cookie has one value, and the field is a list",
		`field Other: One is in:"header=x-a" already`,
		"field Body is the body, and other fields come from there, too",
	}, strings.Split(err.Error(), "\n"))
	type query struct {
		Body whole `json:"body" in:"body"`
	}
	_, err = compile[query](t, nil, false)
	require.EqualError(t, err, "field Body: a query has no body")
}

// picky reads text by itself.
type picky string

var errPicky = errors.New("must be nice")

func (p *picky) UnmarshalText(text []byte) error {
	if string(text) == "bad" {
		return errPicky
	}
	*p = picky(text)
	return nil
}

type request struct {
	ID      int64               `json:"id"`
	Since   *time.Time          `json:"since"`
	Theme   backend.Opt[string] `json:"theme,omitzero"`
	Tags    []string            `json:"tags"`
	Limit   int                 `json:"limit" default:"20"`
	Picky   picky               `json:"picky,omitempty"`
	Needed  string              `json:"needed" in:"header=X-Needed"`
	List    []int               `json:"list" in:"header=X-List"`
	Session string              `json:"session,omitempty" in:"cookie=sid"`
}

// decode returns what a request has, and what is wrong with it as "POINTER RULE
// MESSAGE".
func decode(t testing.TB, i *httpin.Input, id, query string, head http.Header, partial bool) (in request, wrong []string, causes []error) {
	t.Helper()
	r := httptest.NewRequest("GET", "/x?"+query, nil)
	r.Header = head
	values, err := url.ParseQuery(query)
	require.NoError(t, err)
	for _, w := range i.Decode(r, []string{id}, values, reflect.ValueOf(&in).Elem(), partial) {
		wrong = append(wrong, w.Pointer+" "+w.Rule+" "+w.Message)
		causes = append(causes, w.Cause)
	}
	return in, wrong, causes
}

func TestDecode(t *testing.T) {
	t.Parallel()
	i, err := compile[request](t, []string{"id"}, false)
	require.NoError(t, err)
	in, wrong, _ := decode(t, i, "7", "since=2026-01-02T03:04:05Z&theme=&tags=a&tags=b,c&limit=5&picky=x",
		http.Header{"X-Needed": {"n"}, "X-List": {"1, 2", "3"}, "Cookie": {"sid=s"}}, false)
	require.Empty(t, wrong)
	require.Equal(t, request{ID: 7, Since: new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), Theme: backend.Some(""), Tags: []string{"a", "b,c"}, Limit: 5,
		Picky: "x", Needed: "n", List: []int{1, 2, 3}, Session: "s"}, in, "commas are part of a text in a query string, and not in a header that is a list")

	in, wrong, _ = decode(t, i, "7", "", http.Header{"X-Needed": {""}}, false)
	require.Empty(t, wrong, "an empty text is there, a list may be absent")
	require.Equal(t, request{ID: 7, Limit: 20}, in)

	_, wrong, causes := decode(t, i, "x", "since=now&picky=bad&limit=1&limit=2", http.Header{"Cookie": {"sid=a; sid=b"}}, false)
	require.Equal(t, []string{
		"/id format must be a whole number", "/since format must be a time such as 2006-01-02T15:04:05Z", "/limit format is given more than once",
		"/picky format is not valid", "/needed required is missing", "/session format is given more than once",
	}, wrong)
	require.ErrorIs(t, causes[3], errPicky)

	in, wrong, _ = decode(t, i, "7", "", nil, true)
	require.Empty(t, wrong, "others may be missing")
	require.Equal(t, request{ID: 7, Limit: 20}, in)
	_, wrong, _ = decode(t, i, "x", "", nil, true)
	require.Len(t, wrong, 1)
}

func TestSentPointer(t *testing.T) {
	t.Parallel()
	type input struct {
		Note   whole    `json:"note" in:"body"`
		Tenant []string `json:"tenant" in:"header=X-Tenant"`
		Odd    string   `json:"a+b" in:"query=a/b~c"`
		Same   string   `json:"same" in:"query"`
	}
	i, err := compile[input](t, nil, true)
	require.NoError(t, err)
	require.True(t, i.Renames())
	for _, test := range [][3]string{
		{"/note/title", "max", "/title"},
		{"/note", "required", ""},
		{"/note", "unknown", "/note"}, // a parameter of the query string
		{"/note/x", "unknown", "/x"},
		{"/tenant", "required", "/X-Tenant"},
		{"/tenant/0", "max", "/X-Tenant/0"},
		{"/a+b", "max", "/a~1b~0c"},
		{"/same", "max", "/same"},
		{"/other", "max", "/other"},
		{"", "max", ""},
	} {
		require.Equal(t, test[2], i.SentPointer(test[0], test[1]), test)
	}
	plain, err := compile[whole](t, nil, true)
	require.NoError(t, err)
	require.False(t, plain.Renames())
}

// Whatever a request has, decoding does not panic, and what is right is read.
func FuzzDecode(f *testing.F) {
	i, err := compile[request](f, []string{"id"}, false)
	require.NoError(f, err)
	f.Add("1", "since=2026-01-02T03:04:05Z&tags=a", "1,2", "sid=1")
	f.Add("x", "limit=%31&limit=2", ",,", "sid")
	f.Fuzz(func(t *testing.T, id, query, list, cookie string) {
		if _, err := url.ParseQuery(query); err != nil || strings.ContainsAny(query, " \x00\r\n#") {
			return
		}
		r := &http.Request{Header: http.Header{"X-Needed": {id}, "X-List": {list}, "Cookie": {cookie}}, URL: &url.URL{RawQuery: query}}
		var in request
		wrong := i.Decode(r, []string{id}, r.URL.Query(), reflect.ValueOf(&in).Elem(), false)
		if len(wrong) == 0 {
			require.Equal(t, id, in.Needed)
			require.Equal(t, r.URL.Query()["tags"], in.Tags)
		}
	})
}

// Decoding allocates nothing for fields whose values are in the request already.
func TestDecodeAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	type input struct {
		ID     int64  `json:"id"`
		Text   string `json:"text"`
		Limit  int    `json:"limit" default:"20"`
		Tenant string `json:"tenant" in:"header=X-Tenant"`
	}
	i, err := compile[input](t, []string{"id"}, false)
	require.NoError(t, err)
	r, path, query := httptest.NewRequest("GET", "/", nil), []string{"7"}, url.Values{"text": {"a"}}
	r.Header.Set("X-Tenant", "t")
	in := &input{}
	value := reflect.ValueOf(in).Elem()
	require.Zero(t, testing.AllocsPerRun(100, func() { i.Decode(r, path, query, value, false) }))
	require.Equal(t, &input{7, "a", 20, "t"}, in)
}
