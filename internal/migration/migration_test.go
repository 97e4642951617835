package migration

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

func TestParse(t *testing.T) {
	t.Parallel()
	file, err := Parse("0042_notes.sql", `-- A note.
-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE a (b int); CREATE INDEX c ON a (b);
-- +goose StatementBegin
CREATE TRIGGER d AFTER INSERT ON a BEGIN
  DELETE FROM a; -- a comment
END;
-- +goose StatementEnd
INSERT INTO a VALUES (1)
--+goose down
DROP TABLE a;
`, sqltext.SQLite)
	require.NoError(t, err)
	require.Equal(t, int64(42), file.Version)
	require.True(t, file.NoTx)
	require.True(t, file.HasDown)
	require.Equal(t, []string{
		"CREATE TABLE a (b int)", "CREATE INDEX c ON a (b)",
		"CREATE TRIGGER d AFTER INSERT ON a BEGIN\n  DELETE FROM a; -- a comment\nEND;",
		"INSERT INTO a VALUES (1)",
	}, file.Up)
	require.Equal(t, []string{"DROP TABLE a"}, file.Down)
}

func TestChecksumIgnoresCarriageReturns(t *testing.T) {
	t.Parallel()
	unix, err := Parse("1_a.sql", "-- +goose Up\nSELECT 1;\n", sqltext.SQLite)
	require.NoError(t, err)
	windows, err := Parse("1_a.sql", "-- +goose Up\r\nSELECT 1;\r\n", sqltext.SQLite)
	require.NoError(t, err)
	require.Equal(t, unix, windows)
	windows, err = Parse("1_a.sql", "\ufeff-- +goose Up\r\nSELECT 1;\r\n", sqltext.SQLite)
	require.NoError(t, err, "with a byte order mark")
	require.Equal(t, unix, windows)
	require.Len(t, unix.Checksum, 64)
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want string }{
		"name":         {"notes.sql", "-- +goose Up", "0001_create_notes.sql"},
		"zero":         {"0_a.sql", "-- +goose Up", "between 1 and"},
		"overflow":     {"9223372036854775808_a.sql", "-- +goose Up", "between 1 and"},
		"no up":        {"1_a.sql", "-- nothing", `no "-- +goose Up"`},
		"early sql":    {"1_a.sql", "\nSELECT 1;\n-- +goose Up", `line 2: there is SQL before a "-- +goose Up" line; begin the file with this line`},
		"two ups":      {"1_a.sql", "-- +goose Up\n-- +goose Up", "line 2: a file has one Up"},
		"down first":   {"1_a.sql", "-- +goose Down\n-- +goose Up", "line 1: a file has one Up"},
		"open block":   {"1_a.sql", "-- +goose Up\n-- +goose StatementBegin", "line 2: StatementBegin has no"},
		"lone end":     {"1_a.sql", "-- +goose Up\n-- +goose StatementEnd", "line 2: StatementEnd without"},
		"early block":  {"1_a.sql", "-- +goose StatementBegin", "line 1: StatementBegin before Up"},
		"unknown":      {"1_a.sql", "-- +goose Sideways", `line 1: "SIDEWAYS" is not known`},
		"envsub":       {"1_a.sql", "-- +goose Up\n-- +goose envsub  on", "line 2: ENVSUB is not supported"},
		"unterminated": {"1_a.sql", "-- +goose Up\n\nSELECT 'a", "from line 2"},
	} {
		_, err := Parse(test.file, test.text, sqltext.Postgres)
		require.ErrorContains(t, err, test.want, name)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	sql := &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;")}
	names := func(fsys fstest.MapFS, engine string) []string {
		files, err := Load(fsys, engine, sqltext.SQLite)
		require.NoError(t, err)
		var names []string
		for _, file := range files {
			names = append(names, file.Name)
		}
		return names
	}
	require.Equal(t, []string{"2_b.sql", "0010_a.sql"}, names(fstest.MapFS{"0010_a.sql": sql, "2_b.sql": sql, "README.md": sql}, "sqlite"))
	require.Equal(t, []string{"1_a.sql"}, names(fstest.MapFS{"migrations/1_a.sql": sql}, "sqlite"))
	require.Equal(t, []string{"1_b.sql"}, names(fstest.MapFS{"migrations/sqlite/1_a.sql": sql, "migrations/mysql/1_b.sql": sql}, "mysql"))

	require.Equal(t, []string{"1_a.sql"}, names(fstest.MapFS{"a[b]*/sqlite/1_a.sql": sql, "a[b]*/sqlite/x.sql/y": sql}, "sqlite"))

	folder := t.TempDir() // links are followed
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "real"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "real", "1_a.sql"), sql.Data, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "root"), 0o700))
	require.NoError(t, os.Symlink("../real", filepath.Join(folder, "root", "sqlite")))
	files, err := Load(os.DirFS(filepath.Join(folder, "root")), "sqlite", sqltext.SQLite)
	require.NoError(t, err)
	require.Len(t, files, 1)

	for name, test := range map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"no folder":                 {fstest.MapFS{"sqlite/1_a.sql": sql}, "none named mysql"},
		"upper case":                {fstest.MapFS{"1_a.sql": sql, "2_b.SQL": sql}, "2_b.SQL must be named .sql"},
		"upper case for the engine": {fstest.MapFS{"mysql/1_a.Sql": sql}, "1_a.Sql must be named .sql"},
		"two folders":               {fstest.MapFS{"db/1_a.sql": sql, "pages/a.html": sql}, "more than one folder to look into (db, pages)"},
		"mixed":                     {fstest.MapFS{"mysql/1_a.sql": sql, "2_b.sql": sql}, "2_b.sql is beside"},
		"twice":                     {fstest.MapFS{"1_a.sql": sql, "01_b.sql": sql}, "01_b.sql and 1_a.sql have the same version"},
		"broken":                    {fstest.MapFS{"1_a.sql": {}, "b.sql": sql}, "b.sql: the name"},
	} {
		_, err := Load(test.fsys, "mysql", sqltext.MySQL)
		require.ErrorContains(t, err, test.want, name)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-- +goose Up\nPRAGMA a.\"foreign_keys\" = (0);BEGIN;DROP TABLE IF EXISTS [b].c;COMMIT")
	f.Add("-- +goose Up\nSELECT 1;\n-- +goose StatementBegin\n;\n-- +goose StatementEnd\n-- +goose Down\n'")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("1_a.sql", text, sqltext.Postgres)
		if err != nil {
			return
		}
		for _, statement := range append(file.Up, file.Down...) {
			require.NotEmpty(t, statement)
		}
		for _, dialect := range []sqltext.Dialect{sqltext.Postgres, sqltext.SQLite, sqltext.MySQL} {
			statements := Expand(dialect, file.Up)
			for i, statement := range statements {
				Pragma(statement)
				Dropped(dialect, statement)
				SetsSession(dialect, statement)
				require.LessOrEqual(t, Unit(dialect, statements[i:]), len(statements)-i)
			}
			ChangesSession(dialect, statements)
			CheckTransactions(dialect, statements, true)
			WithoutForeignKeys(statements)
		}
	})
}

// A wrong folder must not look like a database that is up to date.
func TestLoadOfNothing(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]fstest.MapFS{
		"empty":             {},
		"other files":       {"README.md": {}},
		"in a folder":       {"migrations/README.md": {}},
		"the engine's":      {"sqlite/README.md": {}, "postgres/1_a.sql": {Data: []byte("-- +goose Up\nSELECT 1;")}},
		"a folder too deep": {"a/b/c/README.md": {}},
	} {
		_, err := Load(fsys, "sqlite", sqltext.SQLite)
		require.ErrorContains(t, err, "no .sql file", name)
	}
}

func TestPragma(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string][2]string{
		"PRAGMA foreign_keys":                           {"foreign_keys", ""},
		"pragma FOREIGN_KEYS = Off;":                    {"foreign_keys", "off"},
		"PRAGMA main.foreign_keys(0)":                   {"foreign_keys", "0"},
		"/* a */ PRAGMA \"temp\" . [foreign_keys]='ON'": {"foreign_keys", "on"},
		"PRAGMA cache_size = -2000":                     {"cache_size", "-2000"},
		"PRAGMA foreign_keys = +1":                      {"foreign_keys", "1"},
		"SELECT 1":                                      {},
		"PRAGMA":                                        {},
	} {
		name, value := Pragma(statement)
		require.Equal(t, want, [2]string{name, value}, statement)
	}
	for statement, want := range map[string]bool{"1": true, "yes": true, "TRUE": true, "on": true, "2": true, "01": true, "0": false, "00": false, "no": false, "off": false, "-1": false, "x": false} {
		sets, on := setsForeignKeys("PRAGMA foreign_keys = " + statement)
		require.True(t, sets)
		require.Equal(t, want, on, statement)
	}
}

func TestSetsSession(t *testing.T) {
	t.Parallel()
	for dialect, statements := range map[sqltext.Dialect]map[string]bool{
		sqltext.SQLite: {"PRAGMA foreign_keys=0": true, "PRAGMA foreign_keys": false, "PRAGMA user_version=3": false, "ATTACH 'x' AS y": true, "SELECT 1": false},
		sqltext.Postgres: {"SET search_path = a": true, "set local search_path = a": false, "SELECT pg_catalog.set_config('search_path', '', false)": true,
			"SELECT set_config('a.b', '', false)": true, "SELECT 1": false, "RESET ROLE": true, "SET TRANSACTION READ ONLY": false},
		sqltext.MySQL: {"/*!40101 SET NAMES utf8 */": true, "SET @a = 1, sql_mode = ''": true, "SET GLOBAL x = 1": false, "SET PASSWORD = ''": false},
	} {
		for statement, want := range statements {
			require.Equal(t, want, SetsSession(dialect, statement), statement)
		}
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	statements := []string{"SELECT 1", "", "SELECT 2", ";\n"}
	sums := Checksums(statements)
	require.Len(t, sums, 5)
	for n, sum := range sums {
		require.Equal(t, Checksum(statements[:n]), sum, n)
	}
}
