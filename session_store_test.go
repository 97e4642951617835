package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// TestSessionStores runs the suite for stores of sessions on those of this package.
func TestSessionStores(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			backendtest.SessionStore(t, func(t *testing.T) func() backend.SessionStore {
				url := backendtest.NewURL(t, engine)
				return func() backend.SessionStore {
					db, err := backend.Open(t.Context(), url, backend.DBConfig{MaxConns: 5})
					require.NoError(t, err)
					t.Cleanup(func() { db.Close() })
					require.NoError(t, db.Migrate(t.Context(), nil))
					return backend.NewSessions(db, backend.SessionConfig{}).Store()
				}
			})
		})
	}
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		backendtest.SessionStore(t, func(*testing.T) func() backend.SessionStore {
			store := backend.NewSessions(nil, backend.SessionConfig{}).Store()
			return func() backend.SessionStore { return store }
		})
	})
}
