package static

import (
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// Clients cannot fill the memory with names of one file.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	files := New(fstest.MapFS{"a": {Data: []byte("a")}, "b": {Data: []byte("b")}}, nil)
	known, err := files.Lookup("a")
	require.NoError(t, err)
	for i := len(files.entries); i < maxEntries; i++ {
		files.entries[strconv.Itoa(i)] = &entry{}
	}
	again, err := files.Lookup("a")
	require.NoError(t, err)
	require.Same(t, known, again)
	for range 2 {
		b, err := files.Lookup("b")
		require.NoError(t, err)
		require.NotEqual(t, known.Hash, b.Hash)
		require.Len(t, files.entries, 1)
	}
	again, err = files.Lookup("a")
	require.NoError(t, err)
	require.Equal(t, known, again)
}
