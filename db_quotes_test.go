package backend_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Files that other programs made may have strings in double quotes in their schema. They
// work. In all other files such a string is the typing error that it is.
func TestStringsInDoubleQuotes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema  string
		allowed bool
	}{
		"view":                {`CREATE VIEW v AS SELECT x FROM a WHERE x <> "none"`, true},
		"view of a view":      {`CREATE VIEW w AS SELECT x FROM a WHERE x <> "none"; CREATE VIEW v AS SELECT x FROM w`, true},
		"insert trigger":      {`CREATE TRIGGER r AFTER INSERT ON a BEGIN UPDATE a SET y = "set" WHERE y IS NULL; END`, true},
		"update trigger":      {`CREATE TRIGGER r BEFORE UPDATE OF y ON a WHEN new.y = "bad" BEGIN SELECT RAISE(ABORT, 'x'); END`, true},
		"delete trigger":      {`CREATE TRIGGER "a ""b""" AFTER DELETE ON a BEGIN INSERT INTO b VALUES ("gone"); END`, true},
		"instead of":          {`CREATE VIEW v AS SELECT x FROM a; CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN INSERT INTO b VALUES ("v"); END`, true},
		"broken and trigger":  {`CREATE VIEW c AS SELECT * FROM "nowhere"; CREATE TRIGGER r AFTER INSERT ON a BEGIN INSERT INTO b VALUES ("i"); END`, true},
		"strange table":       {`CREATE TABLE "a ""' b" ("c ""' d", e); CREATE TRIGGER r AFTER UPDATE OF "c ""' d" ON "a ""' b" BEGIN INSERT INTO b VALUES ("u"); END`, true},
		"names":               {`CREATE VIEW "v" AS SELECT "x" FROM "a" WHERE "x" <> 'none'`, false},
		"broken":              {`CREATE VIEW "v" AS SELECT "x" FROM "nowhere"`, false},
		"table and index":     {`CREATE TABLE c (x DEFAULT "d", y CHECK (y <> "bad"), z AS (x || "zz")); CREATE INDEX i ON c (coalesce(x, "none")) WHERE x <> "no"`, false},
		"nothing in the file": {``, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			other, err := sql.Open("backend-sqlite", "file:"+path)
			require.NoError(t, err)
			_, err = other.Exec("CREATE TABLE a (x, y); CREATE TABLE b (x); INSERT INTO a VALUES ('x', 'y'); " + test.schema)
			require.NoError(t, err)
			require.NoError(t, other.Close())

			db, err := backend.Open(t.Context(), "sqlite:"+path)
			require.NoError(t, err)
			defer db.Close()
			for _, text := range []string{"INSERT INTO a (x) VALUES ('new')", "UPDATE a SET y = 'u'", "DELETE FROM a WHERE x = 'new'"} {
				_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
				require.NoError(t, err, text)
			}
			x, err := backend.All[string](t.Context(), db, "SELECT x FROM a")
			require.NoError(t, err)
			require.Equal(t, []string{"x"}, x)
			switch name {
			case "view", "view of a view":
				x, err := backend.All[string](t.Context(), db, "SELECT x FROM v")
				require.NoError(t, err)
				require.Equal(t, []string{"x"}, x)
			case "instead of":
				_, err := db.Exec(t.Context(), "INSERT INTO v VALUES ('x')")
				require.NoError(t, err)
			case "strange table":
				_, err := db.Exec(t.Context(), `UPDATE "a ""' b" SET "c ""' d" = 1`)
				require.NoError(t, err)
			case "table and index":
				_, err := db.Exec(t.Context(), "INSERT INTO c (y) VALUES ('good')")
				require.NoError(t, err)
				z, err := backend.One[string](t.Context(), db, "SELECT z FROM c WHERE x <> 'no'")
				require.NoError(t, err)
				require.Equal(t, "dzz", z)
				_, err = db.Exec(t.Context(), "INSERT INTO c (y) VALUES ('bad')")
				require.Equal(t, backend.Invalid, backend.CodeOf(err))
				_, err = db.Exec(t.Context(), "ALTER TABLE c RENAME COLUMN y TO w")
				require.ErrorContains(t, err, "single-quotes", "what SQLite itself cannot do then")
			}
			_, err = backend.All[string](t.Context(), db, `SELECT x FROM a WHERE x = "typo"`)
			require.Equal(t, test.allowed, err == nil, "%v", err)
		})
	}
}
