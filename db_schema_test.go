package backend_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A type that was dropped and made anew by another program does not stop the statements
// that were prepared with it, outside and inside of a transaction.
func TestTypesThatAreMadeAnew(t *testing.T) {
	t.Parallel()
	url := backendtest.NewURL(t, backend.Postgres)
	db, err := backend.Open(t.Context(), url, backend.DBConfig{MaxConns: 1})
	require.NoError(t, err)
	defer db.Close()
	other, err := backend.Open(t.Context(), url)
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Exec(t.Context(), "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE t (id int, m mood); INSERT INTO t VALUES (0, 'good')")
	require.NoError(t, err)
	uses := map[string]func(ctx context.Context) error{
		"write": func(ctx context.Context) error {
			_, err := db.Exec(ctx, "INSERT INTO t (id, m) VALUES (?, ?)", 1, "good")
			return err
		},
		"read": func(ctx context.Context) error {
			_, err := backend.All[int](ctx, db, "SELECT id FROM t WHERE m = ?", "good")
			return err
		},
		"result": func(ctx context.Context) error {
			_, err := backend.All[string](ctx, db, "SELECT m FROM t WHERE id = ?", 0)
			return err
		},
		"transaction": func(ctx context.Context) error {
			return db.Tx(ctx, func(ctx context.Context) error {
				_, err := db.Exec(ctx, "UPDATE t SET m = ? WHERE id = ?", "good", 0)
				return err
			})
		},
	}
	for range 3 {
		for name, use := range uses {
			require.NoError(t, use(t.Context()), name)
		}
		for name, use := range uses {
			_, err = other.Exec(t.Context(), "ALTER TABLE t ALTER COLUMN m TYPE text; DROP TYPE mood; CREATE TYPE mood AS ENUM ('bad', 'good'); ALTER TABLE t ALTER COLUMN m TYPE mood USING m::mood")
			require.NoError(t, err)
			require.NoError(t, use(t.Context()), name)
		}
	}
}
