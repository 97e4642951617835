package backend_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

type lowerName struct {
	Name string `json:"name" validate:"lowercase"`
}

// If-Match runs the GET operation: with its validation and its rate limit.
func TestIfMatchIsNoWayAroundTheGET(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		var reads atomic.Int64
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.Public, func(_ context.Context, in lowerName) (string, error) { reads.Add(1); return in.Name, nil },
				backend.Route("GET /things/{name}"), backend.Rate(2, time.Hour)),
			backend.Mutation("touch", backend.Public, func(context.Context, struct {
				Name string `json:"name"`
			}) (backend.None, error) {
				return backend.None{}, nil
			}, backend.Route("POST /things/{name}")),
		)
		c := newRESTClient(t, logic)
		require.Equal(t, http.StatusUnprocessableEntity, c.do("POST", "/things/UPPER", "", "If-Match", "*").Code)
		require.Zero(t, reads.Load(), "the function never sees input that breaks its rules")
		require.Equal(t, http.StatusNoContent, c.do("POST", "/things/lower", "", "If-Match", "*").Code)
		require.Equal(t, http.StatusTooManyRequests, c.do("POST", "/things/lower", "", "If-Match", "*").Code)
		require.EqualValues(t, 1, reads.Load())
	})
}

// However often a transaction runs again, the client has asked once.
func TestIfMatchCountsOnceInTheLimit(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	reads, runs := 0, 0
	logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
	logic.Add(
		backend.Query("thing", backend.SignedIn, func(ctx context.Context, _ itemID) (string, error) {
			reads++
			return string(backend.CallerFrom(ctx).ID), nil
		}, backend.Route("GET /things/{id}"), backend.Rate(1, time.Hour)),
		backend.Mutation("touch", backend.SignedIn, func(ctx context.Context, _ itemID) (backend.None, error) {
			if runs++; runs < 3 {
				_, err := db.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")
				return backend.None{}, err
			}
			return backend.None{}, nil
		}, backend.Route("POST /things/{id}")),
	)
	c := newRESTClient(t, logic)
	w := c.do("POST", "/things/1", "", "If-Match", "*")
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Equal(t, 3, runs)
	require.Equal(t, 3, reads, "each run compares anew")
	require.Equal(t, http.StatusTooManyRequests, c.do("POST", "/things/1", "", "If-Match", "*").Code)
}

type tagged string

func (t tagged) ETag() string { return string(t) }

func TestEntityTags(t *testing.T) {
	t.Parallel()
	type tagInput struct {
		Tag string `json:"tag"`
	}
	for _, pointer := range []bool{false, true} {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		if pointer {
			logic.Add(backend.Query("tag", backend.Public, func(_ context.Context, in tagInput) (*tagged, error) { return new(tagged(in.Tag)), nil }, backend.Route("GET /tag")))
		} else {
			logic.Add(backend.Query("tag", backend.Public, func(_ context.Context, in tagInput) (tagged, error) { return tagged(in.Tag), nil }, backend.Route("GET /tag")))
		}
		c := newRESTClient(t, logic)
		require.Equal(t, `"a,b"`, c.do("GET", "/tag?tag=a,b", "").Header().Get("ETag"))
		for _, wrong := range []string{"", "a%22", "a%0D%0AX-Evil:%201", "%C3%A4"} {
			require.Regexp(t, `^"[A-Za-z0-9_-]{16}"$`, c.do("GET", "/tag?tag="+wrong, "").Header().Get("ETag"))
		}
		for header, status := range map[string]int{
			`"a,b"`: 304, `W/"a,b"`: 304, `"x", W/"y" ,"a,b"`: 304, `*`: 304,
			`"x,*,y"`: 200, `"x", *`: 200, `a,b`: 200, `"a`: 200, `"x""`: 200, ``: 200,
		} {
			require.Equal(t, status, c.do("GET", "/tag?tag=a,b", "", "If-None-Match", header).Code, header)
		}
	}
}

// RFC 9110, section 13.1.1: a weak tag never matches.
func TestIfMatchIsStrong(t *testing.T) {
	onShop(t, func(t *testing.T, _ *shop, c restClient) {
		require.Equal(t, http.StatusCreated, c.do("POST", "/items", `{"name":"a","price":null}`).Code)
		tag := c.do("GET", "/items/1", "").Header().Get("ETag")
		require.Equal(t, http.StatusPreconditionFailed, c.do("DELETE", "/items/1", "", "If-Match", "W/"+tag).Code)
		require.Equal(t, http.StatusNotFound, c.do("DELETE", "/items/2", "", "If-Match", "*").Code)
		require.Equal(t, http.StatusNoContent, c.do("DELETE", "/items/1", "", "If-Match", tag).Code)
	})
}

// RFC 9110, section 13.1.2: If-None-Match: * keeps a client from overwriting what
// somebody else has created in between.
func TestIfNoneMatchOnMutations(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		type put struct {
			Name  string `json:"name"`
			Price int    `json:"price"`
		}
		type byName struct {
			Name string `json:"name"`
		}
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.SignedIn, func(ctx context.Context, in byName) (item, error) {
				return backend.One[item](ctx, s.db, "SELECT * FROM items WHERE name = ?", in.Name)
			}, backend.Route("GET /things/{name}")),
			backend.Mutation("putThing", backend.SignedIn, func(ctx context.Context, in put) (item, error) {
				if _, err := s.db.Exec(ctx, "DELETE FROM items WHERE name = ?", in.Name); err != nil {
					return item{}, err
				}
				return backend.One[item](ctx, s.db, "INSERT INTO items (name, price, owner) VALUES (?, ?, 'ann') RETURNING *", in.Name, in.Price)
			}, backend.Route("PUT /things/{name}")),
			backend.Mutation("act", backend.SignedIn, noop, backend.Route("POST /act")),
		)
		c := newRESTClient(t, logic)
		created := c.do("PUT", "/things/a", `{"price":1}`, "If-None-Match", "*")
		require.Equal(t, 200, created.Code, created.Body)
		require.Empty(t, created.Header().Get("ETag"), "RFC 9110, section 9.3.4")
		require.Equal(t, 412, c.do("PUT", "/things/a", `{"price":2}`, "If-None-Match", "*").Code)
		got := c.do("GET", "/things/a", "")
		require.Contains(t, got.Body.String(), `"price":1`)
		tag := got.Header().Get("ETag")
		require.Equal(t, 412, c.do("PUT", "/things/a", `{"price":2}`, "If-None-Match", "W/"+tag).Code)
		require.Equal(t, 412, c.do("PUT", "/things/a", `{"price":2}`, "If-Match", tag, "If-None-Match", tag).Code)
		require.Equal(t, 404, c.do("PUT", "/things/b", `{"price":2}`, "If-Match", tag, "If-None-Match", "*").Code)
		require.Equal(t, 200, c.do("PUT", "/things/a", `{"price":2}`, "If-None-Match", `"other"`).Code)
		require.Equal(t, 412, c.do("POST", "/act", "", "If-None-Match", "*").Code, "what cannot be kept is not promised")
	})
}

// A client that has changed something needs no GET before it changes it again.
func TestMutationsHaveTheETagOfTheGET(t *testing.T) {
	onShop(t, func(t *testing.T, _ *shop, c restClient) {
		created := c.do("POST", "/items", `{"name":"a"}`)
		tag := created.Header().Get("ETag")
		require.Equal(t, c.do("GET", "/items/1", "").Header().Get("ETag"), tag)
		patched := c.do("PATCH", "/items/1", `{"name":"b"}`, "If-Match", tag)
		require.Equal(t, 200, patched.Code, patched.Body)
		require.NotEqual(t, tag, patched.Header().Get("ETag"))
		require.Equal(t, 412, c.do("PATCH", "/items/1", `{"name":"c"}`, "If-Match", tag).Code)
		again := c.do("PATCH", "/items/1?include=seller", `{"name":"c"}`, "If-Match", patched.Header().Get("ETag"))
		require.Equal(t, 200, again.Code, again.Body)
		require.Empty(t, again.Header().Get("ETag"), "with relations it is not what the GET has")
		require.Equal(t, 200, c.do("PATCH", "/items/1", `{"name":"d"}`, "If-Match", c.do("GET", "/items/1", "").Header().Get("ETag"), "If-None-Match", `"x"`).Code)
	})
}

// panickyTag is an output that has no version.
type panickyTag struct{}

func (panickyTag) ETag() string { panic("no version") }

// A version that cannot be had undoes the call, as an answer does that cannot be
// written.
func TestETagPanics(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		logic := backend.NewLogic(s.db, nil, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.Public, func(context.Context, itemID) (panickyTag, error) { return panickyTag{}, nil }, backend.Route("GET /things/{id}")),
			backend.Mutation("patchThing", backend.Public, func(ctx context.Context, _ itemID) (panickyTag, error) {
				_, err := s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('lost', 'ann')")
				return panickyTag{}, err
			}, backend.Route("PATCH /things/{id}")),
		)
		c := newRESTClient(t, logic)
		require.Equal(t, http.StatusInternalServerError, c.do("GET", "/things/1", "").Code)
		require.Equal(t, http.StatusInternalServerError, c.do("PATCH", "/things/1", "").Code)
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Zero(t, n)
		for _, stats := range logic.Stats() {
			require.EqualValues(t, 1, stats.Failed[backend.Internal], stats.Name)
		}
	})
}

// RFC 9110, section 8.8.3.3: a compressed answer has a strong ETag of its own,
// with which a client can change what it has read.
func TestETagsOfCompressedAnswers(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	content := strings.Repeat("long ", 1000)
	read := func(context.Context, itemID) (string, error) { return content, nil }
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("text", backend.Public, read, backend.Route("GET /texts/{id}")),
		backend.Mutation("patchText", backend.Public, read, backend.Route("PATCH /texts/{id}")),
	)
	c := newRESTClient(t, logic)
	plain := c.do("GET", "/texts/1", "").Header().Get("ETag")
	c.h = backend.Compress()(c.h)
	tags := []string{plain}
	for _, coding := range []string{"gzip", "zstd"} {
		get := c.do("GET", "/texts/1", "", "Accept-Encoding", coding)
		tag := get.Header().Get("ETag")
		require.Equal(t, coding, get.Header().Get("Content-Encoding"))
		require.True(t, strings.HasPrefix(tag, `"`), "it is strong: %s", tag)
		require.NotContains(t, tags, tag, "each form has its own")
		tags = append(tags, tag)
	}
	for _, tag := range tags {
		again := c.do("GET", "/texts/1", "", "Accept-Encoding", "gzip, zstd", "If-None-Match", `"x", W/`+tag)
		require.Equal(t, http.StatusNotModified, again.Code)
		require.Equal(t, tag, again.Header().Get("ETag"), "RFC 9111, section 4.3.4: of the answer that the client has")
		require.Equal(t, http.StatusPreconditionFailed, c.do("PATCH", "/texts/1", "", "If-None-Match", tag).Code)
		require.Equal(t, http.StatusPreconditionFailed, c.do("PATCH", "/texts/1", "", "If-Match", "W/"+tag).Code)
		patched := c.do("PATCH", "/texts/1", "", "Accept-Encoding", "gzip", "If-Match", tag)
		require.Equal(t, http.StatusOK, patched.Code, patched.Body)
		require.Equal(t, tags[1], patched.Header().Get("ETag"))
	}
	for accept, known := range map[string][]string{"": tags[:1], "identity": tags[:1], "gzip;q=0, *": {tags[0], tags[2]}, "gzip": tags[:2], "zstd;q=0.1": {tags[0], tags[2]}} {
		for _, tag := range tags {
			again := c.do("GET", "/texts/1", "", "Accept-Encoding", accept, "If-None-Match", tag)
			require.Equal(t, slices.Contains(known, tag), again.Code == http.StatusNotModified,
				"RFC 9111, section 4.3.4: a cache would answer %q with the form that it has, %s", accept, tag)
		}
		both := c.do("GET", "/texts/1", "", "Accept-Encoding", accept, "If-None-Match", strings.Join([]string{tags[2], tags[1], tags[0]}, ", "))
		require.Contains(t, known, both.Header().Get("ETag"), accept)
	}
	content += "longer"
	for _, tag := range tags {
		require.Equal(t, http.StatusOK, c.do("GET", "/texts/1", "", "If-None-Match", tag).Code)
		require.Equal(t, http.StatusPreconditionFailed, c.do("PATCH", "/texts/1", "", "If-Match", tag).Code)
	}
}

// The GET that If-Match and If-None-Match ask finds what a GET with the request's
// own headers and cookies finds.
func TestConditionsOfHeaders(t *testing.T) {
	t.Parallel()
	type input struct {
		ID     string `json:"id"`
		Tenant string `json:"tenant,omitempty" in:"header=X-Tenant" validate:"max=5"`
		Part   int    `json:"part,omitempty" in:"cookie=part"`
	}
	things := map[string]string{}
	key := func(in input) string { return fmt.Sprintf("%s/%d/%s", in.Tenant, in.Part, in.ID) }
	logic := backend.NewLogic(backendtest.NewDB(t, backend.SQLite), nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("thing", backend.Public, func(_ context.Context, in input) (string, error) {
			if thing, found := things[key(in)]; found {
				return thing, nil
			}
			return "", backend.Errorf(backend.NotFound, "There is no such thing.")
		}, backend.Route("GET /things/{id}")),
		backend.Mutation("putThing", backend.Public, func(_ context.Context, in input) (string, error) {
			things[key(in)] += "x"
			return things[key(in)], nil
		}, backend.Route("PUT /things/{id}")),
	)
	c := newRESTClient(t, logic)
	of := func(tenant string) []string { return []string{"X-Tenant", tenant, "Cookie", "part=2"} }
	create := append(of("a"), "If-None-Match", "*")
	require.Equal(t, http.StatusOK, c.do("PUT", "/things/1", "", create...).Code)
	require.Equal(t, http.StatusPreconditionFailed, c.do("PUT", "/things/1", "", create...).Code, "it is there")
	tag := c.do("GET", "/things/1", "", of("a")...).Header().Get("ETag")
	require.Equal(t, http.StatusOK, c.do("PUT", "/things/1", "", append(of("a"), "If-Match", tag)...).Code)
	require.Equal(t, http.StatusNotFound, c.do("PUT", "/things/1", "", append(of("b"), "If-Match", "*")...).Code)
	require.Equal(t, http.StatusUnprocessableEntity, c.do("PUT", "/things/1", "", append(of("longer"), "If-Match", "*")...).Code)
	require.Equal(t, map[string]string{"a/2/1": "xx"}, things)
}

// Two that have the same version do not both change it: the comparison and the
// change are one.
func TestIfMatchOfTwoAtOnce(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		var compared atomic.Int64
		both := make(chan struct{})
		meet := func(ctx context.Context) { // SQLite has one writer, who would wait in vain
			if n := compared.Add(1); s.db.Engine() == backend.SQLite || n > 2 {
				return
			} else if n == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-ctx.Done():
			}
		}
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("item", backend.SignedIn, s.get, backend.Route("GET /items/{id}")),
			backend.Mutation("rename", backend.SignedIn, func(ctx context.Context, in patchItem) (item, error) {
				meet(ctx)
				if _, err := s.db.Exec(ctx, "UPDATE items SET name = ?, version = version + 1 WHERE id = ?", in.Name, in.ID); err != nil {
					return item{}, err
				}
				return s.get(ctx, itemID{in.ID})
			}, backend.Route("PATCH /items/{id}")),
		)
		c := newRESTClient(t, logic)
		_, err := s.db.Exec(t.Context(), "INSERT INTO items (name, owner) VALUES ('a', 'ann')")
		require.NoError(t, err)
		tag := c.do("GET", "/items/1", "").Header().Get("ETag")
		codes := make(chan int, 2)
		for range cap(codes) {
			go func() { codes <- c.do("PATCH", "/items/1", `{"name":"b"}`, "If-Match", tag).Code }()
		}
		require.ElementsMatch(t, []int{200, 412}, []int{<-codes, <-codes})
		got := c.do("GET", "/items/1", "")
		require.Contains(t, got.Body.String(), `"version":2`)
	})
}

// A header does not make a call one that writes.
func TestIfMatchInReadOnlyTransactions(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.SignedIn, func(_ context.Context, in itemID) (itemID, error) { return in, nil }, backend.Route("GET /things/{id}")),
			backend.Mutation("check", backend.SignedIn, func(ctx context.Context, in itemID) (itemID, error) {
				_, err := s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('lost', 'ann')")
				return in, err
			}, backend.Route("POST /things/{id}"), backend.Tx(backend.ReadOnly)),
		)
		c := newRESTClient(t, logic)
		for _, headers := range [][]string{nil, {"If-Match", "*"}} {
			require.Equal(t, 500, c.do("POST", "/things/1", "", headers...).Code, headers)
		}
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// A GET, too, evaluates If-Match, before If-None-Match (RFC 9110, sections 13.1.1 and
// 13.2.2).
func TestGetEvaluatesIfMatch(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	long := strings.Repeat("a long text ", 200)
	logic.Add(
		backend.Query("text", backend.Public, func(context.Context, backend.None) (string, error) { return long, nil }, backend.Route("GET /text")),
		backend.Query("nothing", backend.Public, noop, backend.Route("GET /nothing")),
		backend.Query("missing", backend.Public, func(context.Context, backend.None) (string, error) { return "", &backend.Error{Code: backend.NotFound} }, backend.Route("GET /missing")),
	)
	rest := logic.REST()
	r := backend.NewRouter()
	r.Use(backend.Compress())
	r.Mount("/api", rest)
	r.Handle("GET /api/openapi.json", rest.OpenAPI(backend.OpenAPIConfig{}))
	c := restClient{t: t, h: r}
	for _, path := range []string{"/text", "/openapi.json"} {
		tag := c.do("GET", path, "").Header().Get("ETag")
		require.NotEmpty(t, tag)
		coded := c.do("GET", path, "", "Accept-Encoding", "gzip").Header().Get("ETag")
		for _, method := range []string{"GET", "HEAD"} {
			for match, status := range map[string]int{
				tag: 200, `"x", ` + tag: 200, "*": 200, coded: 200, `"x"`: 412, "W/" + tag: 412, "": 412, "nonsense": 412,
			} {
				if path == "/openapi.json" && match == coded && strings.HasPrefix(coded, "W/") {
					status = 412 // a weak tag never matches
				}
				w := c.do(method, path, "", "If-Match", match)
				require.Equal(t, status, w.Code, "%s %s with %q", method, path, match)
				if status == 412 {
					require.Empty(t, w.Header().Get("ETag"))
					require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				}
			}
		}
		require.Equal(t, 304, c.do("GET", path, "", "If-Match", tag, "If-None-Match", tag).Code)
		require.Equal(t, 412, c.do("GET", path, "", "If-Match", `"x"`, "If-None-Match", tag).Code, "If-Match comes first")
	}
	require.Equal(t, 204, c.do("GET", "/nothing", "", "If-Match", "*").Code)
	require.Equal(t, 412, c.do("GET", "/nothing", "", "If-Match", `"x"`).Code, "what has no version has none of these")
	require.Equal(t, 404, c.do("GET", "/missing", "", "If-Match", `"x"`).Code)
}
