package column_test

import (
	"database/sql/driver"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
)

func TestDriverReturnsWhatOfWasGiven(t *testing.T) {
	t.Parallel()
	for _, value := range []driver.Value{
		nil, int64(math.MinInt64), 1.5, true, false, "text", "", []byte("bytes"), []byte{}, []byte(nil), time.Unix(1, 2), uint64(math.MaxUint64), float32(0.1),
	} {
		v := column.Of(value)
		require.Equal(t, value, v.Driver(), "%T", value)
		require.Equal(t, value == nil, v.Kind == column.Null)
	}
}

func TestDriverOfKinds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value column.Value
		want  driver.Value
	}{
		{column.Value{Kind: column.Bool, Int: 1}, true},
		{column.Value{Kind: column.Bool}, false},
		{column.Value{Kind: column.Text, Bytes: []byte("a")}, "a"},
		{column.Value{Kind: column.Time, Int: -1}, time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	} {
		require.Equal(t, test.want, test.value.Driver())
	}
}

// rows are rows of a driver that boxes its values.
type rows struct{ left [][]driver.Value }

func (r *rows) Columns() []string { return make([]string, len(r.left[0])) }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if len(r.left) == 0 {
		return io.EOF
	}
	copy(dest, r.left[0])
	r.left = r.left[1:]
	return nil
}

func TestReader(t *testing.T) {
	t.Parallel()
	reader := new(column.Reader)
	for _, want := range [][][]driver.Value{{{int64(1), "a", nil}, {nil, "b", 2.5}}, {{"other"}}, {{true, false}}} {
		from := &rows{want}
		for _, values := range want {
			row, err := reader.Next(from, len(values))
			require.NoError(t, err)
			require.Len(t, row, len(values))
			for i := range row {
				require.Equal(t, values[i], row[i].Driver())
			}
		}
		_, err := reader.Next(from, len(want[0]))
		require.ErrorIs(t, err, io.EOF)
		reader.Forget()
	}
}
