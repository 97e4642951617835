package goosetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// recorder opens connections of SQLite that note the statements of migrations and do not
// execute them. Those of goose itself are executed.
type recorder struct {
	file       string
	statements []string
	inTx       bool
	usedTx     bool
}

func (r *recorder) Driver() driver.Driver { return &sqlite.Driver{} }

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	conn, err := (&sqlite.Driver{}).Open(r.file)
	return recorded{conn, r}, err
}

type recorded struct {
	driver.Conn
	*recorder
}

func (c recorded) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if strings.Contains(text, "goose_db_version") {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, text, args)
	}
	c.statements = append(c.statements, text)
	c.usedTx = c.usedTx || c.inTx
	return driver.RowsAffected(0), nil
}

func (c recorded) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, text, args)
}

func (c recorded) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, options)
	c.inTx = true
	return recordedTx{tx, c.recorder}, err
}

type recordedTx struct {
	driver.Tx
	*recorder
}

func (tx recordedTx) Commit() error   { tx.inTx = false; return tx.Tx.Commit() }
func (tx recordedTx) Rollback() error { tx.inTx = false; return tx.Tx.Rollback() }

// run returns the statements that goose runs, up and then down, and whether it uses a
// transaction.
func run(t *testing.T, text string) (up, down []string, inTx bool, err error) {
	r := &recorder{file: t.TempDir() + "/db"}
	db := sql.OpenDB(r)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{"00001_a.sql": {Data: []byte(text)}})
	require.NoError(t, err)
	if _, err := p.Up(t.Context()); err != nil {
		return nil, nil, false, err
	}
	up, r.statements = r.statements, nil
	_, err = p.Down(t.Context())
	return up, r.statements, r.usedTx, err
}

// plain returns a statement without white space, and without the comments in front of it.
func plain(dialect sqltext.Dialect, statement string) string {
	if tokens := sqltext.Lead(dialect, statement, 1); len(tokens) == 0 {
		return ""
	}
	for {
		statement = strings.TrimSpace(statement)
		if !strings.HasPrefix(statement, "--") {
			return strings.Join(strings.Fields(statement), "")
		}
		_, statement, _ = strings.Cut(statement, "\n")
	}
}

// groups checks that each statement of goose is one or several of ours, and returns how
// many.
func groups(t *testing.T, dialect sqltext.Dialect, theirs, ours []string) (sizes []int) {
	for _, their := range theirs {
		rest, n := strings.TrimRight(plain(dialect, their), ";"), 0
		for len(sqltext.Lead(dialect, rest, 1)) > 0 { // not only a comment
			require.NotEmpty(t, ours, "goose also runs %s", rest)
			first := strings.TrimRight(plain(dialect, ours[0]), ";")
			after, found := strings.CutPrefix(rest, first)
			require.True(t, found, "goose: %s\nours: %s", rest, first)
			rest, ours, n = strings.TrimLeft(after, ";"), ours[1:], n+1
		}
		if n > 0 {
			sizes = append(sizes, n)
		}
	}
	require.Empty(t, ours, "more than goose runs")
	return sizes
}

func TestFilesOfGoose(t *testing.T) {
	t.Parallel()
	const end = "\n-- +goose Down\nDROP TABLE a;\n"
	for name, test := range map[string]struct {
		dialect sqltext.Dialect
		text    string
		want    []int // how many of ours the statements of goose are
	}{
		"simple":                    {sqltext.SQLite, "-- +goose Up\nCREATE TABLE a (b int);\nINSERT INTO a\nVALUES (1);" + end, []int{1, 1}},
		"case and dashes":           {sqltext.SQLite, "--+goose UP\nCREATE TABLE a (b int);\n-- +goose\tstatementbegin\nSELECT 1; SELECT 2;\n-- +goose  STATEMENTEND --\n--   +goose down\nDROP TABLE a;", []int{1, 1}},
		"comments":                  {sqltext.SQLite, "-- first\n\n-- +goose Up\n-- a comment;\nCREATE TABLE a ( -- inner;\n b int -- x\n); -- after\n" + end, []int{1}},
		"two on a line":             {sqltext.SQLite, "-- +goose Up\nCREATE TABLE a (b int); CREATE INDEX c ON a (b);" + end, []int{2}},
		"string":                    {sqltext.Postgres, "-- +goose Up\nINSERT INTO a VALUES ('x; y');\nSELECT $$;$$;" + end, []int{1, 1}},
		"block":                     {sqltext.Postgres, "-- +goose Up\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int AS $$\nBEGIN\n  RETURN 1;\nEND;\n$$ LANGUAGE plpgsql;\n-- +goose StatementEnd\nSELECT 1;" + end, []int{1, 1}},
		"two blocks":                {sqltext.SQLite, "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\nSELECT 2;\n-- +goose StatementEnd\n-- +goose StatementBegin\nSELECT 3;\n-- +goose StatementEnd" + end, []int{1, 1}},
		"begun before the block":    {sqltext.Postgres, "-- +goose Up\nSELECT 0;\nCREATE FUNCTION f() RETURNS int AS\n-- +goose StatementBegin\n$$ SELECT 1;\nSELECT 2; $$ LANGUAGE sql;\n-- +goose StatementEnd\nSELECT 1;" + end, []int{1, 1, 1}},
		"no transaction":            {sqltext.Postgres, "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY c ON a (b);" + end, []int{1}},
		"no transaction after Up":   {sqltext.Postgres, "-- +goose Up\n-- +goose NO TRANSACTION\nVACUUM;" + end, []int{1}},
		"no transaction in a block": {sqltext.Postgres, "-- +goose Up\n-- +goose StatementBegin\n-- +goose NO TRANSACTION\nVACUUM;\n-- +goose StatementEnd" + end, []int{1}},
		"no transaction in Down":    {sqltext.Postgres, "-- +goose Up\nVACUUM;\n-- +goose Down\n-- +goose no transaction\nVACUUM;", []int{1}},
		"no transaction, spaces":    {sqltext.Postgres, "-- +goose   NO TRANSACTION  \n-- +goose Up\nVACUUM;" + end, []int{1}},
		"envsub off":                {sqltext.Postgres, "-- +goose Up\n-- +goose ENVSUB OFF\nSELECT '$HOME';" + end, []int{1}},
		"trigger on a line":         {sqltext.SQLite, "-- +goose Up\nCREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END;\nSELECT 1;" + end, []int{1, 1}},
		"triggers on a line":        {sqltext.SQLite, "-- +goose Up\nCREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; CREATE TRIGGER u AFTER INSERT ON a BEGIN SELECT 1; END;" + end, []int{2}},
		"rule on a line":            {sqltext.Postgres, "-- +goose Up\nCREATE RULE r AS ON INSERT TO a DO ALSO (DELETE FROM b; DELETE FROM c);" + end, []int{1}},
		"begin atomic on a line":    {sqltext.Postgres, "-- +goose Up\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\nSELECT 3;" + end, []int{1, 1}},
		"mysql trigger on a line":   {sqltext.MySQL, "-- +goose Up\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN IF NEW.n THEN SET NEW.n = 1; END IF; SET NEW.m = 2; END;\nSELECT 1;" + end, []int{1, 1}},
		"mysql procedure on a line": {sqltext.MySQL, "-- +goose Up\nCREATE PROCEDURE p() BEGIN l: LOOP LEAVE l; END LOOP; WHILE 0 DO SELECT CASE 1 WHEN 1 THEN 2 END; END WHILE; END;\nSELECT 1;" + end, []int{1, 1}},
		"mysql if on a line":        {sqltext.MySQL, "-- +goose Up\nIF 1 THEN SELECT 1; ELSE SELECT 2; END IF;\nBEGIN NOT ATOMIC SELECT 1; END;" + end, []int{1, 1}},
		"mysql dump":                {sqltext.MySQL, "-- +goose Up\n/*!40101 SET NAMES utf8 */;\nINSERT INTO a VALUES ('\\';');" + end, []int{1, 1}},
		"windows":                   {sqltext.SQLite, "-- +goose Up\r\nCREATE TABLE a (\r\n b int);\r\n-- +goose Down\r\nDROP TABLE a;\r\n", []int{1}},
		"empty":                     {sqltext.SQLite, "-- +goose Up\n-- nothing\n-- +goose Down\n", nil},
		"no Down":                   {sqltext.SQLite, "-- +goose Up\nSELECT 1;", []int{1}},
		"semicolons alone":          {sqltext.SQLite, "-- +goose Up\n;\nSELECT 1;\n;" + end, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up, down, inTx, err := run(t, test.text)
			require.NoError(t, err, "goose")
			ours, err := migration.Parse("00001_a.sql", test.text, test.dialect)
			require.NoError(t, err)
			require.Equal(t, test.want, groups(t, test.dialect, up, ours.Up))
			groups(t, test.dialect, down, ours.Down)
			if len(up) > 0 {
				require.Equal(t, inTx, !ours.NoTx)
			}
		})
	}
}

// What is refused says what to write instead.
func TestFilesOfGooseThatAreRefused(t *testing.T) {
	t.Setenv("NAME", "x")
	for text, want := range map[string]string{
		"-- +goose Up\n-- +goose ENVSUB ON\nSELECT '$NAME';":                                                                   "write the values into the file",
		"-- +goose Up\n-- +goose StatementBegin\n-- +goose envsub on\nSELECT '${NAME:-y}';\n-- +goose StatementEnd\nSELECT 1;": "write the values into the file",
	} {
		_, _, _, err := run(t, text)
		require.NoError(t, err, "goose")
		_, err = migration.Parse("00001_a.sql", text, sqltext.Postgres)
		require.ErrorContains(t, err, want)
	}
}

// What goose refuses in its annotations is no silent comment here either.
func TestFilesThatBothRefuse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT 1;", "-- +goose Down\nSELECT 1;", "-- +goose Up\n-- +goose Up\n", "-- +goose Up\n-- +goose Sideways\n", "-- +goose Up\n-- +goose\n",
		"-- +goose Up\n-- +goose StatementBegin\nSELECT 1;", "-- +goose Up\n-- +goose StatementEnd\n", "-- +goose StatementBegin\n", "-- +goose Up\n-- +goose Down\n-- +goose Down\n",
	} {
		_, _, _, err := run(t, text)
		require.Error(t, err, text)
		_, err = migration.Parse("00001_a.sql", text, sqltext.Postgres)
		require.Error(t, err, text)
	}
}
