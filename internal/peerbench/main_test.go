package main

import (
	"os"
	"testing"

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
	for _, w := range works {
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
