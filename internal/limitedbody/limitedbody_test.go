package limitedbody_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/limitedbody"
)

func same(err error) error { return err }

// limited returns a request whose body has the limit.
func limited(t *testing.T, body io.Reader, limit int64) (*limitedbody.Body, *http.Request) {
	t.Helper()
	r := httptest.NewRequest("POST", "/", body)
	b := &limitedbody.Body{}
	b.SetLimit(limit)
	require.True(t, b.Begin(r, same))
	return b, r
}

func TestBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		length          int
		limit, declared int64
		read            int
		tooLong         bool
	}{
		{"shorter", 10, 11, -1, 10, false},
		{"as long", 10, 10, -1, 10, false},
		{"longer", 11, 10, -1, 10, true},
		{"much longer", 100_000, 10, -1, 10, true},
		{"nothing allowed", 1, 0, -1, 0, true},
		{"nothing sent", 0, 0, -1, 0, false},
		{"declared as long", 10, 10, 10, 10, false},
		{"declared longer", 11, 10, 11, 0, true},
		{"declared longer than it is", 5, 10, 11, 0, true},
	}
	for _, test := range tests {
		for name, slow := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "with the error": iotest.DataErrReader,
		} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				t.Parallel()
				text := strings.Repeat("x", test.length)
				r := httptest.NewRequest("POST", "/", slow(strings.NewReader(text)))
				r.ContentLength = test.declared
				b := &limitedbody.Body{}
				b.SetLimit(test.limit)
				require.True(t, b.Begin(r, same))
				got, err := io.ReadAll(b)
				require.Equal(t, text[:test.read], string(got))
				require.Equal(t, test.tooLong, b.TooLong())
				if !test.tooLong {
					require.NoError(t, err)
					return
				}
				for range 2 { // and it stays
					tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
					require.True(t, ok)
					require.Equal(t, test.limit, tooLarge.Limit)
					_, err = b.Read(make([]byte, 1))
				}
			})
		}
	}
}

func TestBodyWithoutOne(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		r.Body = body
		require.False(t, new(limitedbody.Body).Begin(r, same))
	}
}

func TestBodyBeginsOnce(t *testing.T) {
	t.Parallel()
	b, r := limited(t, strings.NewReader("first"), 10)
	r.Body = io.NopCloser(strings.NewReader("second"))
	require.False(t, b.Begin(r, same))
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "first", string(got))
}

func TestBodyWithAnotherLimit(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, struct{ io.Reader }{strings.NewReader("0123456789")}, 4)
	p := make([]byte, 3)
	_, err := io.ReadFull(b, p)
	require.NoError(t, err)
	b.SetLimit(10)
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "3456789", string(got))

	b, _ = limited(t, strings.NewReader("0123456789"), 10)
	_, err = io.ReadFull(b, p)
	require.NoError(t, err)
	b.SetLimit(2)
	n, err := b.Read(p)
	require.Zero(t, n)
	require.Error(t, err, "what was read before counts")
	require.True(t, b.TooLong())
}

// closes is a body that says whether it was closed.
type closes struct {
	io.Reader
	closed bool
}

func (c *closes) Close() error { c.closed = true; return io.ErrNoProgress }

func TestBodyExplainsErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	from := &closes{Reader: io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))}
	r := httptest.NewRequest("POST", "/", nil)
	r.Body, r.ContentLength = from, -1
	b := &limitedbody.Body{}
	b.SetLimit(100)
	explained := errors.New("explained")
	require.True(t, b.Begin(r, func(err error) error {
		require.Equal(t, broken, err)
		return explained
	}))
	for range 2 {
		got, err := io.ReadAll(b)
		require.Equal(t, explained, err)
		require.LessOrEqual(t, len(got), 4)
	}
	require.False(t, b.TooLong())
	require.Equal(t, io.ErrNoProgress, b.Close())
	require.True(t, from.closed)
}

// Whatever is read in whatever pieces, it is the beginning of the body, up to the
// limit; and nothing is read from beneath beyond the byte that tells.
func FuzzBody(f *testing.F) {
	f.Add([]byte("hello"), int64(3), uint8(2))
	f.Fuzz(func(t *testing.T, body []byte, limit int64, piece uint8) {
		if limit < 0 || limit > 1<<40 {
			return
		}
		beneath := bytes.NewReader(body)
		r := httptest.NewRequest("POST", "/", struct{ io.Reader }{beneath})
		b := &limitedbody.Body{}
		b.SetLimit(limit)
		require.True(t, b.Begin(r, same))
		got, err := io.ReadAll(struct{ io.Reader }{pieces{b, int(piece) + 1}})
		if int64(len(body)) <= limit {
			require.NoError(t, err)
			require.Equal(t, string(body), string(got))
			return
		}
		require.Error(t, err)
		require.Equal(t, string(body[:limit]), string(got))
		require.LessOrEqual(t, int64(len(body)-beneath.Len()), limit+1)
	})
}

// pieces reads at most so many bytes at once.
type pieces struct {
	io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.most)]) }

func TestProgress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		read int
		want limitedbody.Progress
	}{
		"nothing read":   {"abc", 0, limitedbody.Progress{Blank: true}},
		"a part":         {"abc", 2, limitedbody.Progress{Bytes: 2}},
		"a blank part":   {" \t\r\nabc", 4, limitedbody.Progress{Bytes: 4, Blank: true}},
		"all":            {" abc ", 9, limitedbody.Progress{Bytes: 5, Whole: true}},
		"all is blank":   {"\n\n", 9, limitedbody.Progress{Bytes: 2, Whole: true, Blank: true}},
		"over the limit": {"abcdefghijk", 99, limitedbody.Progress{Bytes: 11}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := limited(t, io.MultiReader(strings.NewReader(test.text)), 10)
			io.ReadAll(io.LimitReader(b, int64(test.read)))
			require.Equal(t, test.want, b.Progress())
			require.False(t, b.Late())
		})
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	b, _ := limited(t, iotest.ErrReader(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), 10)
	_, err := b.Read(make([]byte, 1))
	require.Error(t, err)
	require.True(t, b.Late())
	require.False(t, b.Progress().Whole)
}
