//go:build unix

package pgconn_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// valuesOfTypes are values of all kinds, as SQL.
var valuesOfTypes = []string{
	"true", "false", "NULL::bool",
	"'-32768'::int2", "32767::int2", "'-2147483648'::int4", "2147483647::int4", "'-9223372036854775808'::int8", "9223372036854775807::int8", "0::int8", "NULL::int8",
	"0.1::float4", "'-1e-20'::float4", "3.4028235e38::float4", "16777217::float4", "9.5367431640625e-07::float4", "'NaN'::float4", "'Infinity'::float4",
	"0.1::float8", "1e308::float8", "5e-324::float8", "9007199254740993::float8", "'-0'::float8", "'NaN'::float8", "'-Infinity'::float8",
	"0::numeric", "12.50::numeric(10,2)", "1e100::numeric", "'NaN'::numeric", "'-Infinity'::numeric", "123456789012345678901234567890.123456789",
	"''::text", "'Grüße, \U0001F600'::text", "'a\\b''c'::varchar(20)", "'ab'::char(5)", "'x'::\"char\"", "'name'::name", "'unknown'", "NULL::text",
	"''::bytea", "'\\x00ff5c'::bytea", "'abc'::bytea", "NULL::bytea",
	"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
	`'{"a":  [1, "é"]}'::json`, `'{"a":  [1, "é"]}'::jsonb`, "'null'::json",
	"'2024-02-29'::date", "'0001-01-01'::date", "'0001-01-01 BC'::date", "'0044-03-15 BC'::date", "'9999-12-31'::date", "'10000-01-01'::date", "'5874897-12-31'::date", "'infinity'::date", "'-infinity'::date", "'1969-12-31'::date",
	"'2024-07-01 12:13:14.123456'::timestamp", "'2024-07-01 12:13:14'::timestamp", "'1969-12-31 23:59:59.999999'::timestamp", "'0001-01-01 00:00:00'::timestamp", "'0001-12-31 23:59:59.5 BC'::timestamp", "'4713-01-01 BC'::timestamp", "'294276-12-31 23:59:59.999999'::timestamp", "'infinity'::timestamp", "'-infinity'::timestamp", "NULL::timestamp",
	"'2024-07-01 12:13:14.123456+02'::timestamptz", "'2024-01-01 00:00:00Z'::timestamptz", "'1800-01-01 00:00:00Z'::timestamptz", "'0001-01-01 00:00:00Z'::timestamptz", "'0001-01-01 00:00:00Z BC'::timestamptz", "'294276-12-31 23:59:59Z'::timestamptz", "'infinity'::timestamptz", "'2024-03-31 01:30:00Z'::timestamptz", "NULL::timestamptz",
	"'12:13:14.5'::time", "'24:00:00'::time", "'00:00:00'::time", "'12:13:14+02'::timetz", "'24:00:00-08:30'::timetz", "'12:13:14+05:30:15'::timetz", "NULL::time",
	"'1 year 2 days 03:04:05.6'::interval", "'-90 seconds'::interval", "'$1,234.50'::money",
	"ARRAY[1, NULL, 3]", "ARRAY['a', 'b\"c', NULL]", "'{{1,2},{3,4}}'::int[]", "ARRAY['\\x00'::bytea]", "ARRAY['2024-01-01 00:00Z'::timestamptz]", "'{}'::text[]",
	"B'101'", "B'101'::varbit", "'10.0.0.1/8'::inet", "'10.0.0.0/8'::cidr", "'08:00:2b:01:02:03'::macaddr", "'(1,2)'::point", "'[1,5)'::int4range", "'a b'::tsvector", "'<a/>'::xml",
	"26::oid", "'pg_class'::regclass", "ROW(1, 'a', NULL)", "'ok'::mood", "7::positive", "'x'::label", "('a', 2)::pair", "ARRAY['ok', 'sad']::mood[]", "'2024-01-01 00:00Z'::moment",
}

// typesOf makes the types that the values use.
const typesOf = `CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN label AS text; CREATE DOMAIN moment AS timestamptz; CREATE TYPE pair AS (a text, b int)`

// described has what rows say about one column and its values.
type described struct {
	name, typeName           string
	scan                     reflect.Type
	length, precision, scale int64
	hasLength, hasPrecision  bool
	values                   []driver.Value
}

func describe(t *testing.T, rows driver.Rows, err error) (all []described) {
	t.Helper()
	require.NoError(t, err)
	defer rows.Close()
	for i, name := range rows.Columns() {
		d := described{name: name}
		d.typeName = rows.(driver.RowsColumnTypeDatabaseTypeName).ColumnTypeDatabaseTypeName(i)
		d.scan = rows.(driver.RowsColumnTypeScanType).ColumnTypeScanType(i)
		d.length, d.hasLength = rows.(driver.RowsColumnTypeLength).ColumnTypeLength(i)
		d.precision, d.scale, d.hasPrecision = rows.(driver.RowsColumnTypePrecisionScale).ColumnTypePrecisionScale(i)
		all = append(all, d)
	}
	row := make([]driver.Value, len(all))
	for {
		err := rows.Next(row)
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		for i, value := range row {
			if b, ok := value.([]byte); ok && b != nil {
				value = slices.Clone(b)
			}
			if n, ok := value.(float64); ok && math.IsNaN(n) {
				value = notANumber(0)
			}
			all[i].values = append(all[i].values, value)
		}
	}
}

// notANumber stands for NaN, which does not equal itself.
type notANumber float64

// raw returns the connection of a driver.
func raw[C any](t *testing.T, db *sql.DB) C {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var own C
	require.NoError(t, conn.Raw(func(dc any) error {
		own = dc.(C)
		return nil
	}))
	return own
}

type libPQ interface {
	driver.QueryerContext
	driver.ConnPrepareContext
}

// Values and descriptions of columns are those of lib/pq, in whichever way a statement is
// executed.
func TestValuesAreThoseOfLibPQ(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Etc/UTC", "Europe/Berlin", "America/New_York", "<+03>-03", "Asia/Kathmandu"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			u := server(t)
			set(u, "timezone", zone)
			admin, err := sql.Open("postgres", u.String())
			require.NoError(t, err)
			defer admin.Close()
			mustExec(t, admin, typesOf)
			theirs := raw[libPQ](t, admin)
			kept, _ := session(t, open(t, u, pgconn.Config{}))
			pooled, _ := session(t, open(t, u, pgconn.Config{Pooler: true}))
			for _, value := range valuesOfTypes {
				compareValues(t, theirs, kept, pooled, value)
			}
		})
	}
}

func compareValues(t *testing.T, theirs libPQ, kept, pooled *pgconn.Conn, value string) {
	t.Helper()
	simple, withArgs := "SELECT "+value+" AS a, 'b' AS b", "SELECT "+value+" AS a, 'b' AS b WHERE $1 = 1"
	rows, err := theirs.QueryContext(t.Context(), simple, nil)
	text := describe(t, rows, err)
	stmt, err := theirs.PrepareContext(t.Context(), withArgs)
	require.NoError(t, err)
	rows, err = stmt.(driver.StmtQueryContext).QueryContext(t.Context(), args(int64(1)))
	prepared := describe(t, rows, err)
	require.NoError(t, stmt.Close())
	for range 2 {
		rows, err = kept.QueryContext(t.Context(), simple, nil)
		require.Equal(t, text, describe(t, rows, err), "simple: "+value)
		rows, err = kept.QueryContext(t.Context(), withArgs, args(int64(1)))
		require.Equal(t, prepared, describe(t, rows, err), "kept: "+value)
		rows, err = pooled.QueryContext(t.Context(), withArgs, args(int64(1)))
		require.Equal(t, text, describe(t, rows, err), "pooler: "+value)
	}
	compareBoxes(t, kept, withArgs, value)
}

// compareBoxes compares the values without boxes with those in boxes. Times are in UTC.
func compareBoxes(t *testing.T, c *pgconn.Conn, text, value string) {
	t.Helper()
	want := mustAll(t, c, text, int64(1))[0]
	rows, err := c.QueryContext(t.Context(), text, args(int64(1)))
	require.NoError(t, err)
	defer rows.Close()
	got := make([]column.Value, 2)
	require.NoError(t, rows.(column.Rows).NextValues(got))
	for i := range got {
		if at, ok := want[i].(time.Time); ok {
			require.True(t, at.Equal(got[i].Driver().(time.Time)), value)
			continue
		}
		require.Equal(t, fmt.Sprintf("%T %[1]v", want[i]), fmt.Sprintf("%T %[1]v", got[i].Driver()), value)
	}
	require.Equal(t, io.EOF, rows.(column.Rows).NextValues(got))
}

// The session's time zone may change while statements are kept, and bytea_output and
// DateStyle may be others than the default.
func TestValuesAfterSettings(t *testing.T) {
	t.Parallel()
	u := server(t)
	admin, err := sql.Open("postgres", u.String())
	require.NoError(t, err)
	defer admin.Close()
	mustExec(t, admin, typesOf)
	theirs := raw[libPQ](t, admin)
	kept, _ := session(t, open(t, u, pgconn.Config{}))
	pooled, _ := session(t, open(t, u, pgconn.Config{Pooler: true}))
	for _, setting := range []string{"timezone TO 'UTC'", "timezone TO 'Europe/Berlin'", "timezone TO '+05:30'", "timezone TO 'UTC'", "extra_float_digits TO 3", "bytea_output TO 'escape'"} {
		for _, c := range []driver.QueryerContext{theirs, kept, pooled} {
			rows, err := c.QueryContext(t.Context(), "SET "+setting, nil)
			require.NoError(t, err)
			require.NoError(t, rows.Close())
		}
		for _, value := range valuesOfTypes {
			if value == "''::bytea" && setting == "bytea_output TO 'escape'" {
				continue // lib/pq returns a nil []byte, although it is not NULL
			}
			compareValues(t, theirs, kept, pooled, value)
		}
	}
}

// What users of database/sql and sqlx get is what they get of lib/pq.
func TestScanningIsThatOfLibPQ(t *testing.T) {
	t.Parallel()
	u := server(t)
	set(u, "timezone", "UTC")
	theirs, err := sqlx.Open("postgres", u.String())
	require.NoError(t, err)
	defer theirs.Close()
	mustExec(t, theirs.DB, typesOf)
	ours := sqlx.NewDb(open(t, u, pgconn.Config{}), "postgres")
	for _, value := range valuesOfTypes {
		for _, values := range [][]any{nil, {1}} {
			text := "SELECT " + value + " AS a"
			if values != nil {
				text += " WHERE $1 = 1"
			}
			read := func(db *sqlx.DB) map[string]any {
				row := map[string]any{}
				require.NoError(t, db.QueryRowx(text, values...).MapScan(row), value)
				for _, target := range []any{new(sql.NullString), new(sql.NullInt64), new(sql.NullFloat64), new(sql.NullBool), new(sql.NullTime), new([]byte), new(sql.RawBytes)} {
					err := db.QueryRow(text, values...).Scan(target)
					row[fmt.Sprintf("%T", target)] = fmt.Sprint(target, err)
				}
				return row
			}
			want, got := read(theirs), read(ours)
			require.Equal(t, fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got), "%s with %v", value, values)
		}
	}
}
