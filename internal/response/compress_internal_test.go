package response

import (
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The first rows are the examples of RFC 9110 section 12.5.3.
func TestAcceptedCoding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		accept []string
		want   coding
	}{
		{[]string{"compress, gzip"}, gzipped},
		{[]string{""}, identity},
		{[]string{"*"}, zstandard},
		{[]string{"compress;q=0.5, gzip;q=1.0"}, gzipped},
		{[]string{"gzip;q=1.0, identity; q=0.5, *;q=0"}, gzipped},

		{nil, identity},
		{[]string{"gzip, deflate, br, zstd"}, zstandard},
		{[]string{"gzip, deflate, br"}, gzipped},
		{[]string{"zstd", "gzip"}, zstandard},
		{[]string{"zstd;q=0.9, gzip"}, gzipped},
		{[]string{"GZIP"}, gzipped},
		{[]string{"x-gzip"}, gzipped},
		{[]string{"gzip;q=0"}, identity},
		{[]string{"gzip;q=0.000"}, identity},
		{[]string{"gzip;q=0.001"}, gzipped},
		{[]string{"gzip;Q=1"}, gzipped},
		{[]string{"gzip ; q=1 "}, gzipped},
		{[]string{"*;q=0"}, identity},
		{[]string{"zstd;q=0, *"}, gzipped},
		{[]string{"*;q=0, gzip"}, gzipped},
		{[]string{"identity, gzip;q=0.5"}, identity},
		{[]string{"identity;q=0.5, gzip;q=0.5"}, gzipped},
		{[]string{"identity;q=0"}, identity},
		{[]string{"gzip;q=1.001"}, identity},
		{[]string{"gzip;q=2"}, identity},
		{[]string{"gzip;q=-1"}, identity},
		{[]string{"gzip;q=1.0000"}, gzipped},
		{[]string{"gzip;q="}, identity},
		{[]string{"gzip;q=NaN"}, identity},
		{[]string{"gzip;level=9"}, identity},
		{[]string{"gzipped, zstdx"}, identity},
		{[]string{",,gzip,,"}, gzipped},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.accept, "|"), func(t *testing.T) {
			require.Equal(t, test.want, acceptedCoding(test.accept))
		})
	}
}

// A coding is chosen only if the header names it or "*" with a weight above 0,
// read independently here.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip;q=0.5, zstd", "*;q=0, gzip", "gzip;q=1.001", "gzip;q=1.0001", "identity;q=0", ";q=1,gzip", "gZip;", "zstd;;q=.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := acceptedCoding([]string{s})
		if got == identity {
			return
		}
		name := contentEncoding[got][0]
		welcome := false
		for item := range strings.SplitSeq(strings.ToLower(s), ",") {
			fields := strings.Split(item, ";")
			if n := strings.Trim(fields[0], " \t"); n != name && n != "*" && (n != "x-gzip" || name != "gzip") {
				continue
			}
			q := 1.0
			for _, param := range fields[1:] { // empty ones are allowed by RFC 9110, section 5.6.6
				if param = strings.Trim(param, " \t"); param != "" {
					var err error
					if q, err = strconv.ParseFloat(strings.TrimPrefix(param, "q="), 64); err != nil {
						q = 0
					}
				}
			}
			welcome = welcome || q > 0 && q <= 1
		}
		require.True(t, welcome, "%q chose %s", s, name)
	})
}

// Slow readers cannot make the server keep a compressor for each of them.
func TestCompressorsInUseAreBounded(t *testing.T) {
	t.Parallel()
	c := NewCompression()
	c.most = 2
	first, second := c.take(gzipped), c.take(zstandard)
	require.NotNil(t, first)
	require.NotNil(t, second)
	require.Nil(t, c.take(gzipped))

	handler := func(size int) (*httptest.ResponseRecorder, string) {
		body := strings.Repeat("x", size)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		var writer Writer
		view := writer.Begin(w, r, nil)
		require.True(t, writer.Compress(c, r))
		view.Header().Set("Content-Type", "text/plain")
		io.WriteString(view, body)
		writer.Finish()
		return w, body
	}
	for _, size := range []int{10, 5000} {
		w, body := handler(size)
		require.Empty(t, w.Header().Get("Content-Encoding"))
		require.Equal(t, body, w.Body.String())
	}
	c.put(first)
	w, _ := handler(5000)
	require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
	c.put(second)
	require.Zero(t, c.active.Load(), "every compressor came back")
}
