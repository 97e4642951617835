package main

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// TestMain lets the test's own program be the contestants.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// All contestants do the same work, or their numbers would mean nothing.
func TestContestants(t *testing.T) {
	d := newDatabases(t.TempDir())
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	for _, w := range append(slices.Clone(works), uploadWork) {
		t.Run(w.name, func(t *testing.T) {
			if w.engine() == "pg" && d.server == "" {
				if os.Getenv("TEST_REQUIRE_ENGINES") != "" {
					t.Fatal("set TEST_POSTGRES_URL")
				}
				t.Skip("to run: set TEST_POSTGRES_URL")
			}
			for _, c := range contestants.All {
				if !c.Does(w.name) {
					continue
				}
				r, err := newRunner(t.Context(), d, c, w, "test")
				if err != nil {
					t.Error(err)
					continue
				}
				r.stop()
			}
		})
	}
}

// All routers find all routes.
func TestRouting(t *testing.T) {
	cases, err := routingCases()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range cases {
		for _, router := range routers {
			if _, err := newRoutingRun(one, router.make(one.routes)); err != nil {
				t.Errorf("%s, %s: %v", one.name, router.name, err)
			}
		}
	}
}

// Programs that do other work than this are found out.
func TestGoldenRefuses(t *testing.T) {
	w := works[0]
	r, err := newRunner(t.Context(), newDatabases(t.TempDir()), contestants.All[1], w, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	for name, wrong := range map[string]work{
		"status": {"plain", "", w.requests, 201, w.check},
		"body":   {"plain", "", w.requests, 200, same("text/plain", "Hello, world")},
		"type":   {"plain", "", w.requests, 200, same("text/html", contestants.Text)},
	} {
		if err := golden(r.addr, wrong); err == nil {
			t.Errorf("a wrong %s is not noticed", name)
		}
	}
}

// Bytes that are split anywhere, and chunks, are read as one answer.
func TestClientReads(t *testing.T) {
	for name, text := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Type: text/plain\r\n\r\nHello",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n",
	} {
		c := &conn{r: bufio.NewReader(iotest.OneByteReader(strings.NewReader(text + text)))}
		for range 2 {
			a, err := c.read(&bytes.Buffer{})
			if err != nil || a.status != 200 || string(a.body) != "Hello" || a.contentType != "text/plain" {
				t.Errorf("%s: %d %q %q %v", name, a.status, a.contentType, a.body, err)
			}
		}
	}
}
