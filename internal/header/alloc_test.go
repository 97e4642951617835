package header_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// What each request needs is parsed without an allocation.
func TestParsersAllocateNothing(t *testing.T) {
	count := func(lines ...string) func() int {
		return func() (n int) {
			for c := header.Choices(lines); c.Next(); {
				n += c.Weight
			}
			return n
		}
	}
	forwarded := []string{"1.1.1.1, 203.0.113.9"}
	last := func() (n int) {
		for b := header.Backwards(forwarded); b.Next(); {
			n += len(b.Element)
		}
		return n
	}
	accept := []string{"text/html, text/event-stream;q=0.5"}
	contains := func() int {
		if header.Contains(accept, "text/event-stream") {
			return 1
		}
		return 0
	}
	vary := http.Header{"Vary": {"Cookie, Accept-Encoding"}}
	name := []string{"Accept-Encoding"}
	addVary := func() int {
		header.AddVary(vary, name)
		return len(vary["Vary"])
	}
	for name, parse := range map[string]struct {
		run  func() int
		want int
	}{
		"Accept-Encoding of a browser": {count("gzip, deflate, br, zstd"), 4000},
		"Accept of a browser":          {count("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), 3700},
		"Accept of a program":          {count("application/json, text/plain, */*"), 3000},
		"a quoted parameter":           {count(`application/json;profile="a,b";q=0.5`), 500},
		"X-Forwarded-For":              {last, 18},
		"Contains":                     {contains, 1},
		"Vary":                         {addVary, 1},
	} {
		require.Equal(t, parse.want, parse.run(), name)
		require.Zero(t, testing.AllocsPerRun(100, func() { parse.run() }), name)
	}
}
