package backend_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// latin1 is the default of MariaDB before 11.6. Migrate says what to do, and a client whose
// text does not fit is told so.
func TestDatabaseThatCannotHoldAllText(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.MySQL)
	_, err := db.Exec(t.Context(), "ALTER DATABASE CHARACTER SET latin1")
	require.NoError(t, err)
	files := fstest.MapFS{"1_notes.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes (text VARCHAR(50) NOT NULL);\n")}}
	err = db.Migrate(t.Context(), files)
	require.ErrorContains(t, err, "has the character set latin1, which cannot hold all text: run ALTER DATABASE `")

	_, err = db.Exec(t.Context(), "CREATE TABLE old (text VARCHAR(50) NOT NULL)")
	require.NoError(t, err)
	for _, query := range []backend.Fragment{
		backend.SQL("SELECT COUNT(*) FROM old WHERE text = ?", "😀"),
		backend.SQL("SELECT COUNT(*) FROM old WHERE text LIKE ?", "%😀%"),
		backend.SQL("SELECT COUNT(*) FROM old WHERE text IN (?)", []string{"a", "😀"}),
		backend.SQL("SELECT COUNT(*) FROM old WHERE CONCAT(text, ?) = 'x'", "😀"),
	} {
		n, err := backend.One[int](t.Context(), db, "?", query)
		if err != nil {
			require.Equal(t, backend.Invalid, backend.CodeOf(err), "%v", err)
		}
		require.Zero(t, n)
	}
	_, err = db.Exec(t.Context(), "INSERT INTO old VALUES (?)", "😀")
	require.Equal(t, backend.Invalid, backend.CodeOf(err), "%v", err)

	files["2_charset.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n-- for all text\nalter  database character set utf8mb4;\n")}
	require.NoError(t, db.Migrate(t.Context(), files), "a file may do it")
	files["3_more.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE more (text VARCHAR(50) NOT NULL);\n")}
	require.NoError(t, db.Migrate(t.Context(), files))
	_, err = db.Exec(t.Context(), "INSERT INTO more VALUES (?)", "😀")
	require.NoError(t, err)
}
