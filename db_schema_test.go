package backend_test

import (
	"context"
	"strings"
	"testing"
	"time"

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

// After the type of a column has changed, what is stored is the value of the program, and
// not what the old type made of it.
func TestTypesThatBecomeWider(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 13, 14, 15, 123456000, time.UTC)
	for _, test := range []struct {
		name     string
		engine   backend.Engine
		from, to string
		value    any
		want     string // as text
	}{
		{"real", backend.Postgres, "real", "double precision", 0.1, "0.1"},
		{"date", backend.Postgres, "date", "timestamptz", at, "2026-11-28 13:14:15.123456+00"},
		{"timestamp", backend.Postgres, "timestamp(0)", "timestamp", at, "2026-11-28 13:14:15.123456"},
		{"integer", backend.Postgres, "int", "text", "007", "007"},
		{"numeric", backend.Postgres, "numeric(10,1)", "numeric", "1.55", "1.55"},
		{"varchar", backend.Postgres, "varchar(20)", "text", "x", "x"},
		{"float", backend.MySQL, "FLOAT", "DOUBLE", 0.1, "0.1"},
		{"date, MariaDB", backend.MySQL, "DATE", "DATETIME(6)", at, "2026-11-28 13:14:15.123456"},
		{"integer, MariaDB", backend.MySQL, "INT", "VARCHAR(20)", "007", "007"},
		{"decimal, MariaDB", backend.MySQL, "DECIMAL(10,1)", "DECIMAL(10,2)", "1.55", "1.55"},
	} {
		for how, change := range map[string]func(db, other *backend.DB, statement backend.Fragment) error{
			"at once": func(db, _ *backend.DB, statement backend.Fragment) error {
				_, err := db.Exec(t.Context(), "?", statement)
				return err
			},
			"in a transaction": func(db, _ *backend.DB, statement backend.Fragment) error {
				return db.Tx(t.Context(), func(ctx context.Context) error {
					_, err := db.Exec(ctx, "?", statement)
					return err
				})
			},
			"by another process": func(_, other *backend.DB, statement backend.Fragment) error {
				_, err := other.Exec(t.Context(), "?", statement)
				return err
			},
		} {
			if test.engine == backend.MySQL && how != "by another process" {
				continue // it keeps no types of parameters
			}
			t.Run(test.name+" "+how, func(t *testing.T) {
				t.Parallel()
				url := backendtest.NewURL(t, test.engine)
				db, err := backend.Open(t.Context(), url, backend.DBConfig{MaxConns: 1})
				require.NoError(t, err)
				defer db.Close()
				other, err := backend.Open(t.Context(), url)
				require.NoError(t, err)
				defer other.Close()
				_, err = db.Exec(t.Context(), "?", backend.UnsafeSQL("CREATE TABLE t (v "+test.from+")"))
				require.NoError(t, err)
				store := func() error {
					return db.Tx(t.Context(), func(ctx context.Context) error {
						_, err := db.Exec(ctx, "INSERT INTO t (v) VALUES (?)", test.value)
						return err
					})
				}
				require.NoError(t, store())
				require.NoError(t, store())
				for _, statement := range []string{"DELETE FROM t", alterTo(test.engine, test.to)} {
					require.NoError(t, change(db, other, backend.UnsafeSQL(statement)))
				}
				require.NoError(t, store())
				got, err := backend.One[string](t.Context(), db, "SELECT CAST(v AS CHAR(40)) FROM t")
				require.NoError(t, err)
				require.Equal(t, test.want, strings.TrimRight(got, " "))
			})
		}
	}
}

// alterTo returns the statement that gives the column v of the table t another type.
func alterTo(engine backend.Engine, to string) string {
	if engine == backend.MySQL {
		return "ALTER TABLE t MODIFY v " + to
	}
	return "ALTER TABLE t ALTER COLUMN v TYPE " + to
}
