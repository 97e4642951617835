package backend_test

import (
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	_ "github.com/seed-215b9b7c/backend/sqlite"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			backendtest.TestDB(t, func(t testing.TB) *backend.DB { return backendtest.NewDB(t, engine) })
		})
	}
	t.Run("postgres behind a pooler", func(t *testing.T) {
		t.Parallel()
		backendtest.TestDB(t, func(t testing.TB) *backend.DB {
			return backendtest.NewDB(t, backend.Postgres, backend.DBConfig{Pooler: true})
		})
	})
	t.Run("sqlite in memory", func(t *testing.T) {
		t.Parallel()
		backendtest.TestDB(t, func(t testing.TB) *backend.DB {
			db, err := backend.Open(t.Context(), "sqlite::memory:")
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		})
	})
}
