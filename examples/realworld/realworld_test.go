package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

const secret = "a secret of the tests, which is long enough"

// client calls a running program, and compares all answers with its description.
type client struct {
	*backendtest.Client
	t      *testing.T
	api    *description
	called map[string]bool
}

// start runs the whole program on every engine.
func start(t *testing.T, test func(t *testing.T, c client)) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), migrations))
		plain := backendtest.NewClient(t, routes(&App{db, Tokens(secret), backend.NewPasswordHasher(backend.PasswordConfig{QueueWait: time.Minute})}, []string{"https://front.example"}))
		c := client{plain, t, &description{}, map[string]bool{}}
		plain.Get("/openapi.json").Expect(200).JSON(c.api)
		test(t, c)
	})
}

// as returns a client that sends a token.
func (c client) as(token string) client {
	c.Client = c.With("Authorization", "Token "+token)
	return c
}

// register stores an account and returns a client of it.
func (c client) register(name string) client {
	c.t.Helper()
	user := c.call("POST /users", fmt.Sprintf(`{"user":{"username":%q,"email":"%s@example.com","password":"password"}}`, name, name), 201)
	return c.as(user.get(c.t, "user.token").(string))
}

// write stores an article and returns its slug.
func (c client) write(title string) string {
	c.t.Helper()
	article := c.call("POST /articles", fmt.Sprintf(`{"article":{"title":%q,"description":"About it","body":"It."}}`, title), 201)
	return article.get(c.t, "article.slug").(string)
}

// call sends a request and checks the answer: its status, whether it is as described, and
// what it has in some places, as in "user.bio = null". A place without " = " is missing.
func (c client) call(request, body string, status int, wants ...string) answer {
	c.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var sent any
	if body != "" {
		sent = body
	}
	response := c.Do(method, "/api"+path, sent).Expect(status)
	var got answer
	if len(response.Body) > 0 {
		require.Equal(c.t, "application/json", response.Header.Get("Content-Type"), request)
		response.JSON(&got.value)
	}
	c.called[c.api.check(c.t, method, path, status, got.value)] = true
	for _, want := range wants {
		place, text, present := strings.Cut(want, " = ")
		if !present {
			require.False(c.t, got.has(place), "%s: %s in %s", request, place, response.Body)
			continue
		}
		var value any
		require.NoError(c.t, json.Unmarshal([]byte(text), &value), want)
		require.Equal(c.t, value, got.get(c.t, place), "%s: %s", request, place)
	}
	return got
}

// answer is a JSON value.
type answer struct{ value any }

// find returns the value in a place such as articles.0.title.
func (a answer) find(place string) (value any, found bool) {
	value = a.value
	for name := range strings.SplitSeq(place, ".") {
		found = false
		switch in := value.(type) {
		case map[string]any:
			value, found = in[name]
		case []any:
			if i, err := strconv.Atoi(name); err == nil && i < len(in) {
				value, found = in[i], true
			}
		}
		if !found {
			return nil, false
		}
	}
	return value, true
}

func (a answer) has(place string) bool {
	_, found := a.find(place)
	return found
}

func (a answer) get(t *testing.T, place string) any {
	t.Helper()
	value, found := a.find(place)
	require.True(t, found, "%s in %v", place, a.value)
	return value
}

// description is what /openapi.json says.
type description struct {
	Paths      map[string]map[string]described
	Components struct {
		Schemas   map[string]schema
		Responses map[string]response
	}
}

type described struct {
	OperationID string
	Responses   map[string]response
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Properties           map[string]schema
	Required             []string
	Items                *schema
	AdditionalProperties *schema
}

// check compares an answer with the description, and returns the operation.
func (d *description) check(t *testing.T, method, path string, status int, value any) string {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	var patterns []string
	for pattern := range d.Paths {
		if regexp.MustCompile("^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(pattern, "[^/]+") + "$").MatchString(path) {
			patterns = append(patterns, pattern)
		}
	}
	require.NotEmpty(t, patterns, path)
	slices.Sort(patterns) // a literal before {
	op := d.Paths[patterns[0]][strings.ToLower(method)]
	said, found := op.Responses[strconv.Itoa(status)]
	if !found {
		said, found = op.Responses[strconv.Itoa(status/100)+"XX"]
	}
	require.True(t, found, "%s %s: %d", method, path, status)
	if name, is := strings.CutPrefix(said.Ref, "#/components/responses/"); is {
		said = d.Components.Responses[name]
	}
	content, found := said.Content["application/json"]
	require.Equal(t, found, value != nil, "%s %s has a body", method, path)
	if found {
		d.compare(t, patterns[0], content.Schema, value)
	}
	return op.OperationID
}

// compare compares a value with a schema. It demands that all members of objects are
// described.
func (d *description) compare(t *testing.T, at string, s schema, value any) {
	t.Helper()
	if name, is := strings.CutPrefix(s.Ref, "#/components/schemas/"); is {
		s = d.Components.Schemas[name]
	}
	types := map[string]bool{
		"null": value == nil, "string": isA[string](value), "boolean": isA[bool](value),
		"integer": isA[float64](value), "array": isA[[]any](value), "object": isA[map[string]any](value),
	}
	oneOf, several := s.Type.([]any)
	if !several {
		oneOf = []any{s.Type}
	}
	require.True(t, slices.ContainsFunc(oneOf, func(name any) bool { return types[name.(string)] }), "%s is a %v", at, s.Type)
	switch value := value.(type) {
	case map[string]any:
		for _, name := range s.Required {
			require.Contains(t, value, name, at)
		}
		for name, member := range value {
			property, found := s.Properties[name]
			if !found {
				require.NotNil(t, s.AdditionalProperties, "%s has %s", at, name)
				property = *s.AdditionalProperties
			}
			d.compare(t, at+"."+name, property, member)
		}
	case []any:
		for _, item := range value {
			d.compare(t, at+"[]", *s.Items, item)
		}
	}
}

func isA[T any](value any) bool {
	_, is := value.(T)
	return is
}

// The scenario of the specification's own tests, with all operations.
func TestScenario(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		ann := testAccounts(c)
		bob := c.register("bob")
		testProfiles(c, ann, bob)
		testArticles(c, ann, bob)
		testFeed(c, ann, bob)
		testComments(c, ann, bob)
		for path, methods := range c.api.Paths {
			for method, op := range methods {
				require.True(t, c.called[op.OperationID], "%s %s was called", method, path)
			}
		}
	})
}

func testAccounts(c client) (ann client) {
	wants := []string{`user.username = "ann"`, `user.email = "ann@example.com"`, "user.bio = null", "user.image = null"}
	c.call("POST /users", `{"user":{"username":"ann","email":"Ann@example.com","password":"password"}}`, 201, wants...)
	login := c.call("POST /users/login", `{"user":{"email":"ANN@example.com","password":"password"}}`, 200, wants...)
	ann = c.as(login.get(c.t, "user.token").(string))
	ann.call("GET /user", "", 200, wants...)
	c.Client.With("Authorization", "bearer "+login.get(c.t, "user.token").(string)).Get("/api/user").Expect(200)

	for _, change := range []struct{ member, want string }{
		{`"bio":"Hi"`, `user.bio = "Hi"`},
		{`"bio":""`, "user.bio = null"},
		{`"bio":"Ho","image":"https://example.com/ann.png"`, `user.image = "https://example.com/ann.png"`},
		{`"image":null`, "user.image = null"},
		{`"password":""`, `user.bio = "Ho"`},
		{`"password":null`, `user.bio = "Ho"`},
		{`"username":"ann","email":"ann@example.com","token":"x","id":1,"bio":"Ho"`, `user.username = "ann"`},
		{`"username":"anna"`, `user.username = "anna"`},
		{`"username":"ann"`, `user.username = "ann"`},
	} {
		ann.call("PUT /user", `{"user":{`+change.member+`}}`, 200, change.want)
		ann.call("GET /user", "", 200, change.want)
	}
	ann.call("PUT /user", `{"user":{"password":"other secret"}}`, 200)
	c.call("POST /users/login", `{"user":{"email":"ann@example.com","password":"other secret"}}`, 200)
	for _, login := range []string{
		`{"user":{"email":"ann@example.com","password":"password"}}`,
		`{"user":{"email":"nobody@example.com","password":"password"}}`,
	} {
		c.call("POST /users/login", login, 401, `errors.credentials.0 = "invalid"`, "errors.token")
	}
	return ann
}

func testProfiles(c, ann, bob client) {
	wants := []string{`profile.username = "bob"`, "profile.bio = null", "profile.image = null"}
	c.call("GET /profiles/bob", "", 200, append(wants, "profile.following = false")...)
	ann.call("POST /profiles/bob/follow", "", 200, append(wants, "profile.following = true")...)
	ann.call("POST /profiles/bob/follow", "{}", 200, append(wants, "profile.following = true")...)
	ann.call("GET /profiles/bob", "", 200, "profile.following = true")
	bob.call("GET /profiles/bob", "", 200, "profile.following = false")
	ann.call("DELETE /profiles/bob/follow", "", 200, append(wants, "profile.following = false")...)
	ann.call("DELETE /profiles/bob/follow", "", 200, "profile.following = false")
}

func testArticles(c, ann, bob client) {
	c.call("GET /articles", "", 200, "articles = []", "articlesCount = 0")
	c.call("GET /tags", "", 200, "tags = []")
	wants := []string{
		`article.title = "Über Drachen!"`, `article.description = "About it"`, `article.tagList = ["z","a"]`,
		"article.favorited = false", "article.favoritesCount = 0", `article.author.username = "ann"`, "article.author.following = false",
	}
	created := ann.call("POST /articles", `{"article":{"title":"Über Drachen!","description":"About it","body":"It.","tagList":["z","a"]}}`, 201, wants...)
	slug := created.get(c.t, "article.slug").(string)
	require.Regexp(c.t, `^über-drachen-[a-z2-7]{8}$`, slug)
	require.Regexp(c.t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, created.get(c.t, "article.createdAt"))
	path := "/articles/" + slug
	c.call("GET "+path, "", 200, append(wants, `article.body = "It."`)...)

	bob.call("POST "+path+"/favorite", "", 200, "article.favorited = true", "article.favoritesCount = 1")
	bob.call("POST "+path+"/favorite", "{}", 200, "article.favorited = true", "article.favoritesCount = 1")
	c.call("GET "+path, "", 200, "article.favorited = false", "article.favoritesCount = 1")

	second := ann.write("Über Drachen!")
	require.NotEqual(c.t, slug, second, "several articles may have one title")
	for _, list := range []struct {
		query  string
		titles int
		count  string
	}{
		{"", 2, "2"}, {"?author=ann", 2, "2"}, {"?author=bob", 0, "0"}, {"?tag=a", 1, "1"}, {"?tag=b", 0, "0"},
		{"?favorited=bob", 1, "1"}, {"?favorited=ann", 0, "0"}, {"?tag=a&author=ann&favorited=bob", 1, "1"},
		{"?limit=1", 1, "2"}, {"?limit=1&offset=1", 1, "2"}, {"?offset=2", 0, "2"},
	} {
		answer := bob.call("GET /articles"+list.query, "", 200, "articlesCount = "+list.count, "articles.0.body")
		require.Len(c.t, answer.get(c.t, "articles"), list.titles, list.query)
	}
	bob.call("GET /articles", "", 200, `articles.0.slug = "`+second+`"`, `articles.1.slug = "`+slug+`"`, "articles.1.favorited = true")
	bob.call("DELETE "+path+"/favorite", "", 200, "article.favorited = false", "article.favoritesCount = 0")
	bob.call("DELETE "+path+"/favorite", "", 200, "article.favoritesCount = 0")

	c.call("GET /tags", "", 200, `tags = ["a","z"]`)
	ann.call("PUT "+path, `{"article":{"body":"Other.","slug":"mine","favoritesCount":9}}`, 200,
		append(wants, `article.body = "Other."`, `article.slug = "`+slug+`"`)...)
	ann.call("PUT "+path, `{"article":{"tagList":null}}`, 422)
	ann.call("PUT "+path, `{"article":{"tagList":[]}}`, 200, "article.tagList = []", `article.body = "Other."`)
	c.call("GET /tags", "", 200, "tags = []")
	ann.call("PUT "+path, `{"article":{"title":"Über Drachen!","description":"About it","body":"It.","author":{"username":"ann"}}}`, 200,
		`article.slug = "`+slug+`"`) // front ends send all that they have
	renamed := ann.call("PUT "+path, `{"article":{"title":"Eggs"}}`, 200, `article.title = "Eggs"`).get(c.t, "article.slug").(string)
	c.call("GET "+path, "", 404)

	bob.call("PUT /articles/"+renamed, `{"article":{"body":"mine"}}`, 403, `errors.article.0 = "forbidden"`)
	bob.call("DELETE /articles/"+renamed, "", 403, `errors.article.0 = "forbidden"`)
	ann.call("DELETE /articles/"+renamed, "", 204)
	ann.call("DELETE /articles/"+renamed, "", 404, `errors.article.0 = "not found"`)
}

func testFeed(c, ann, bob client) {
	ann.call("GET /articles/feed", "", 200, "articles = []", "articlesCount = 0")
	ann.call("POST /profiles/bob/follow", "", 200)
	slugs := []string{bob.write("One"), bob.write("Two")}
	ann.call("GET /articles/feed", "", 200, "articlesCount = 2", `articles.0.slug = "`+slugs[1]+`"`, "articles.0.author.following = true", "articles.0.body")
	ann.call("GET /articles/feed?limit=1&offset=1", "", 200, "articlesCount = 2", `articles.0.slug = "`+slugs[0]+`"`, "articles.1")
	bob.call("GET /articles/feed", "", 200, "articlesCount = 0")
}

func testComments(c, ann, bob client) {
	path := "/articles/" + bob.write("Three") + "/comments"
	c.call("GET "+path, "", 200, "comments = []")
	first := ann.call("POST "+path, `{"comment":{"body":"First","id":7}}`, 201, `comment.body = "First"`, `comment.author.username = "ann"`).get(c.t, "comment.id").(float64)
	bob.call("POST "+path, `{"comment":{"body":"Second"}}`, 201)
	ann.call("GET "+path, "", 200, `comments.0.body = "First"`, "comments.0.author.following = false", `comments.1.body = "Second"`, "comments.1.author.following = true", "comments.2")
	one := fmt.Sprintf("%s/%.0f", path, first)
	bob.call("DELETE "+one, "", 403, `errors.comment.0 = "forbidden"`)
	ann.call("DELETE "+one, "", 204)
	ann.call("DELETE "+one, "", 404, `errors.comment.0 = "not found"`)
	c.call("GET "+path, "", 200, `comments.0.body = "Second"`, "comments.1")
	bob.call("DELETE "+strings.TrimSuffix(path, "/comments"), "", 204)
	c.call("GET "+path, "", 404, `errors.article.0 = "not found"`)
}

func TestErrors(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		ann := c.register("ann")
		slug := ann.write("Eggs")
		blank, missing, unknown := ` = "can't be blank"`, `errors.token.0 = "is missing"`, `errors.article.0 = "not found"`
		for _, test := range []struct {
			from          client
			request, body string
			status        int
			want          string
		}{
			{c, "POST /users", `{"user":{"username":"","email":"a@example.com","password":"password"}}`, 422, "errors.username.0" + blank},
			{c, "POST /users", `{"user":{"username":"a","email":"","password":"password"}}`, 422, "errors.email.0" + blank},
			{c, "POST /users", `{"user":{"username":"a","email":"a@example.com","password":""}}`, 422, "errors.password.0" + blank},
			{c, "POST /users", `{"user":{"username":"a"}}`, 422, "errors.email.0" + blank},
			{c, "POST /users", `{"user":{"username":"ann","email":"a@example.com","password":"password"}}`, 409, `errors.username.0 = "has already been taken"`},
			{c, "POST /users", `{"user":{"username":"a","email":"ANN@example.com","password":"password"}}`, 409, `errors.email.0 = "has already been taken"`},
			{c, "POST /users", `{"user":`, 400, "errors.token"},
			{c, "POST /users/login", `{"user":{"email":"","password":"password"}}`, 422, "errors.email.0" + blank},
			{c, "POST /users/login", `{"user":{"email":"ann@example.com","password":""}}`, 422, "errors.password.0" + blank},
			{c, "GET /user", "", 401, missing},
			{c, "PUT /user", `{"user":{"bio":"a"}}`, 401, missing},
			{c, "GET /articles/feed", "", 401, missing},
			{c, "POST /articles", `{"article":{"title":"a","description":"a","body":"a"}}`, 401, missing},
			{c, "PUT /articles/a", `{"article":{"body":"a"}}`, 401, missing},
			{c, "DELETE /articles/a", "", 401, missing},
			{c, "POST /articles/a/favorite", "", 401, missing},
			{c, "DELETE /articles/a/favorite", "", 401, missing},
			{c, "POST /articles/a/comments", `{"comment":{"body":"a"}}`, 401, missing},
			{c, "DELETE /articles/a/comments/1", "", 401, missing},
			{c, "POST /profiles/a/follow", "", 401, missing},
			{c, "DELETE /profiles/a/follow", "", 401, missing},
			{c.as("a.b.c"), "GET /articles", "", 401, `errors.token.0 = "is not valid"`},
			{ann, "PUT /user", `{"user":{"username":""}}`, 422, "errors.username.0" + blank},
			{ann, "PUT /user", `{"user":{"email":""}}`, 422, "errors.email.0" + blank},
			{ann, "PUT /user", `{"user":{"username":null}}`, 422, "errors.username.0" + blank},
			{ann, "PUT /user", `{"user":{"email":null}}`, 422, "errors.email.0" + blank},
			{ann, "PUT /user", `{"user":{"password":"short"}}`, 422, `errors.password.0 = "must have at least 8 characters"`},
			{ann, "POST /articles", `{"article":{"title":"","description":"a","body":"a"}}`, 422, "errors.title.0" + blank},
			{ann, "POST /articles", `{"article":{"title":"a","description":"","body":"a"}}`, 422, "errors.description.0" + blank},
			{ann, "POST /articles", `{"article":{"title":"a","description":"a","body":""}}`, 422, "errors.body.0" + blank},
			{ann, "PUT /articles/" + slug, `{"article":{"title":""}}`, 422, "errors.title.0" + blank},
			{ann, "PUT /articles/" + slug, `{"article":{"title":null}}`, 422, "errors.title.0" + blank},
			{ann, "POST /articles", `{"article":{"title":"a","description":"a","body":"a","tagList":["a","a"]}}`, 422, `errors.tagList.0 = "must not have anything twice"`},
			{ann, "POST /articles/" + slug + "/comments", `{"comment":{"body":""}}`, 422, "errors.body.0" + blank},
			{ann, "GET /articles/a", "", 404, unknown},
			{ann, "PUT /articles/a", `{"article":{"body":"a"}}`, 404, unknown},
			{ann, "DELETE /articles/a", "", 404, unknown},
			{ann, "POST /articles/a/favorite", "", 404, unknown},
			{ann, "DELETE /articles/a/favorite", "", 404, unknown},
			{ann, "GET /articles/a/comments", "", 404, unknown},
			{ann, "POST /articles/a/comments", `{"comment":{"body":"a"}}`, 404, unknown},
			{ann, "DELETE /articles/a/comments/1", "", 404, unknown},
			{ann, "DELETE /articles/" + slug + "/comments/1", "", 404, `errors.comment.0 = "not found"`},
			{ann, "GET /profiles/a", "", 404, `errors.profile.0 = "not found"`},
			{ann, "POST /profiles/a/follow", "", 404, `errors.profile.0 = "not found"`},
			{ann, "DELETE /profiles/a/follow", "", 404, `errors.profile.0 = "not found"`},
		} {
			test.from.call(test.request, test.body, test.status, test.want)
		}
		var body ErrorBody
		c.Get("/api/nothing").Expect(404).JSON(&body)
		require.Equal(t, map[string][]string{"body": {"There is nothing here."}}, body.Errors, "errors of the router have the format, too")
	})
}

// Several requests at the same time are as one.
func TestSameTime(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		ann := c.register("ann")
		c.register("bob")
		path := "/api/articles/" + ann.write("Eggs") + "/favorite"
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				ann.Post(path, nil).Expect(200)
				ann.Post("/api/profiles/bob/follow", nil).Expect(200)
			})
		}
		all.Wait()
		ann.call("GET /articles", "", 200, "articles.0.favoritesCount = 1")
	})
}

// Scripts of the front end may call the API and read its errors, and those of other pages
// may not.
func TestOtherOrigins(t *testing.T) {
	start(t, func(t *testing.T, c client) {
		front := c.With("Origin", "https://front.example").With("Sec-Fetch-Site", "cross-site")
		preflight := front.With("Access-Control-Request-Method", "PUT").With("Access-Control-Request-Headers", "authorization,content-type").Do("OPTIONS", "/api/user", nil).Expect(204)
		require.Equal(t, "https://front.example", preflight.Header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, preflight.Header.Get("Access-Control-Allow-Methods"), "PUT")
		require.Contains(t, strings.ToLower(preflight.Header.Get("Access-Control-Allow-Headers")), "authorization")
		user := `{"user":{"username":"ann","email":"ann@example.com","password":"password"}}`
		front.Post("/api/users", user).Expect(201)
		require.Equal(t, "https://front.example", front.Post("/api/users", user).Expect(409).Header.Get("Access-Control-Allow-Origin"))
		require.Empty(t, c.With("Origin", "https://evil.example").Get("/api/tags").Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "/docs", c.Get("/").Expect(302).Header.Get("Location"))
		require.Contains(t, string(c.Get("/docs").Expect(200).Body), `"/openapi.json"`)
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now, tokens := time.Now(), Tokens(secret)
	token := tokens.New("7", now)
	id, valid := tokens.Subject(token, now.Add(tokenLifetime-time.Second))
	require.True(t, valid)
	require.Equal(t, backend.AccountID("7"), id)

	none := jwtText.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	payload := jwtText.EncodeToString([]byte(`{"sub":"7","exp":99999999999}`))
	parts := strings.Split(token, ".")
	for name, wrong := range map[string]string{
		"empty":                 "",
		"no algorithm":          none + "." + payload + ".",
		"other algorithm":       none + "." + parts[1] + "." + parts[2],
		"other payload":         parts[0] + "." + payload + "." + parts[2],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"two parts":             parts[0] + "." + parts[1],
		"four parts":            token + "." + parts[2],
		"other key":             Tokens(strings.Repeat("k", 32)).New("7", now),
		"padding":               token + "=",
		"other case":            strings.ToUpper(token),
		"expired":               tokens.New("7", now.Add(-tokenLifetime)),
		"no JSON":               tokens.signed(jwtText.EncodeToString([]byte("7"))),
		"no end":                tokens.signed(jwtText.EncodeToString([]byte(`{"sub":"7"}`))),
		"end that is no number": tokens.signed(jwtText.EncodeToString([]byte(`{"sub":"7","exp":"99999999999"}`))),
	} {
		_, valid := tokens.Subject(wrong, now)
		require.False(t, valid, name)
	}
}

func FuzzTokens(f *testing.F) {
	now, tokens := time.Unix(1_800_000_000, 0), Tokens(secret)
	genuine := tokens.New("7", now)
	f.Add(genuine)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, valid := tokens.Subject(token, now)
		require.Equal(t, token == genuine, valid)
		require.Equal(t, valid, id == "7")
	})
}
