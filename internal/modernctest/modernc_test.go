package modernctest

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	require.NotContains(t, sql.Drivers(), "backend-sqlite", "Open would use it")
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		backendtest.TestDB(t, func(t testing.TB) *backend.DB { return backendtest.NewDB(t, backend.SQLite) })
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		backendtest.TestDB(t, func(t testing.TB) *backend.DB { return open(t, "sqlite::memory:") })
	})
}

func open(t testing.TB, url string) *backend.DB {
	db, err := backend.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
