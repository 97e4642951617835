package backend_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

type benchInput struct {
	Title string   `json:"title" validate:"required,max=200"`
	Text  string   `json:"text" validate:"max=10000"`
	Tags  []string `json:"tags,omitempty" validate:"max=10,dive,max=30"`
}

type benchOutput struct {
	ID    backend.ID `json:"id"`
	Title string     `json:"title"`
	Text  string     `json:"text"`
	Tags  []string   `json:"tags"`
}

// benchLogic has one operation that touches no database, so that what is
// measured is the way to it.
func benchLogic() *backend.Logic {
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("create", backend.Public, func(_ context.Context, in benchInput) (benchOutput, error) {
		return benchOutput{7, in.Title, in.Text, in.Tags}, nil
	}, backend.Route("POST /notes")))
	return logic
}

// BenchmarkOperation measures one typed call: from inside the program, and over
// REST with decoding and encoding.
func BenchmarkOperation(b *testing.B) {
	in := benchInput{"A title", "Some text that is not short.", []string{"a", "b"}}
	b.Run("call", func(b *testing.B) {
		logic := benchLogic()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := backend.Call[benchOutput](b.Context(), logic, "create", in); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, status := range map[string]int{`{"title":"A title","text":"Some text that is not short.","tags":["a","b"]}`: 201, `{"title":"","text":"x","tags":["this tag is longer than thirty characters"]}`: 422} {
		b.Run("rest "+map[int]string{201: "valid", 422: "invalid"}[status], func(b *testing.B) {
			door := benchLogic().REST()
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/notes", strings.NewReader(name))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				door.ServeHTTP(w, r)
				if w.Code != status {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// A call costs what the input and the output cost, the context, and little else.
func TestOperationAllocations(t *testing.T) { // not parallel: it counts allocations
	if underRace() {
		t.Skip("the race detector allocates, too")
	}
	logic := benchLogic()
	in := benchInput{"A title", "Some text that is not short.", []string{"a", "b"}}
	out, err := backend.Call[benchOutput](t.Context(), logic, "create", in)
	require.NoError(t, err)
	require.Equal(t, benchOutput{7, in.Title, in.Text, in.Tags}, out)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, err := backend.Call[benchOutput](t.Context(), logic, "create", in); err != nil {
			t.Fatal(err)
		}
	}), 3.0)

	door := logic.REST()
	for text, want := range map[string]struct {
		most   float64
		status int
		body   string
	}{
		`{"title":"A title","text":"Some text that is not short.","tags":["a","b"]}`: {9, 201,
			`{"id":"7","title":"A title","text":"Some text that is not short.","tags":["a","b"]}`},
		`{"title":"","text":"x","tags":["this tag is longer than thirty characters"]}`: {16, 422, `"pointer":"/tags/0"`},
	} {
		body := strings.NewReader(text)
		r := httptest.NewRequest("POST", "/notes", io.NopCloser(body))
		r.Header.Set("Content-Type", "application/json")
		recorded := httptest.NewRecorder()
		door.ServeHTTP(recorded, r)
		require.Equal(t, want.status, recorded.Code)
		require.Contains(t, recorded.Body.String(), want.body)
		w := discard{http.Header{}}
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			body.Reset(text)
			clear(w.head)
			door.ServeHTTP(w, r)
		}), want.most, text)
		require.Equal(t, recorded.Header(), w.head, "the last one was like the first")
	}
}

// discard is a response that nobody reads.
type discard struct{ head http.Header }

func (d discard) Header() http.Header         { return d.head }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
