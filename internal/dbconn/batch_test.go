package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// batcher is a Conn that executes batches by itself.
type batcher struct {
	Conn
	got []Request
}

func (b *batcher) QueryBatch(_ context.Context, requests []Request, _ func(int, driver.Rows) error) (int, error) {
	b.got = requests
	return len(requests), nil
}

func TestQueryBatch(t *testing.T) {
	t.Parallel()
	s := &server{fail: map[string][]error{}}
	raw, err := NewConnector(s, Options{Statements: 4}).Connect(t.Context())
	require.NoError(t, err)
	requests := []Request{{Text: "A", Args: []driver.NamedValue{{Ordinal: 1, Value: int64(1)}}}, {Text: "B", Args: []driver.NamedValue{{Ordinal: 1, Value: int64(2)}}}, {Text: "C", Args: []driver.NamedValue{{Ordinal: 1, Value: int64(3)}}}}
	var seen []int
	each := func(i int, rows driver.Rows) error {
		require.NotNil(t, rows)
		seen = append(seen, i)
		return nil
	}
	done, err := QueryBatch(t.Context(), raw.(Conn), requests, each)
	require.NoError(t, err)
	require.Equal(t, 3, done)
	require.Equal(t, []int{0, 1, 2}, seen)

	mine := errors.New("mine")
	done, err = QueryBatch(t.Context(), raw.(Conn), requests, func(i int, rows driver.Rows) error {
		if i == 1 {
			return mine
		}
		return nil
	})
	require.Equal(t, mine, err)
	require.Equal(t, 1, done)

	own := &batcher{}
	done, err = QueryBatch(t.Context(), own, requests, each)
	require.NoError(t, err)
	require.Equal(t, 3, done)
	require.Equal(t, requests, own.got)
}
