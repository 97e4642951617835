package form_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/form"
)

// room has so many bytes.
type room struct{ left int64 }

func (r *room) Use(n int64) bool {
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

func limits(memory, disk int64) form.Limits {
	return form.Limits{Memory: &room{memory}, Disk: &room{disk}}
}

// plenty are limits of one form, which tests may not share.
func plenty() form.Limits { return limits(1<<40, 1<<40) }

const png = "\x89PNG\x0D\x0A\x1A\x0A"

// part is a part of a form; a file has a file name.
type part struct{ name, file, mediaType, content string }

const boundary = "xyz"

func body(parts ...part) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q", boundary, p.name)
		if p.file != "" {
			fmt.Fprintf(&b, "; filename=%q", p.file)
		}
		if p.mediaType != "" {
			fmt.Fprintf(&b, "\r\nContent-Type: %s", p.mediaType)
		}
		fmt.Fprintf(&b, "\r\n\r\n%s\r\n", p.content)
	}
	return b.String() + "--" + boundary + "--\r\n"
}

func read(t *testing.T, text string, l form.Limits) (*form.Form, error) {
	t.Helper()
	f, err := form.ReadMultipart(iotest.OneByteReader(strings.NewReader(text)), boundary, form.Fields{Files: map[string]form.Files{
		"picture": {Most: 1, Size: 100 << 10, Accept: []string{"image/*"}}, "papers": {Most: 2, Accept: []string{"text/csv", "application/pdf"}}, "any": {Most: 1},
	}}, l)
	t.Cleanup(f.Close)
	return f, err
}

func content(t *testing.T, f form.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size))
	require.NoError(t, err)
	return string(text)
}

func TestReadMultipart(t *testing.T) {
	t.Parallel()
	large := png + strings.Repeat("x", 99<<10)
	f, err := read(t, body(
		part{name: "title", content: "Milk & bread\r\n"}, part{name: "tag", content: "a"}, part{name: "tag", content: "ü"},
		part{name: "picture", file: `C:\pictures\me.png`, mediaType: "image/png", content: large},
		part{name: "papers", file: "../../a.csv", mediaType: "application/vnd.ms-excel", content: "a,b"},
		part{name: "papers", file: "b.pdf", content: "%PDF-1.7"},
		part{name: "any", mediaType: "application/octet-stream"},
	), plenty())
	require.NoError(t, err)
	require.Empty(t, f.Wrong)
	require.Equal(t, map[string][]string{"title": {"Milk & bread\r\n"}, "tag": {"a", "ü"}}, map[string][]string(f.Values))
	require.Equal(t, "me.png image/png", f.Files["picture"][0].Name+" "+f.Files["picture"][0].Type)
	require.Equal(t, large, content(t, f.Files["picture"][0]))
	require.Equal(t, "a.csv text/csv", f.Files["papers"][0].Name+" "+f.Files["papers"][0].Type)
	require.Equal(t, "a,b", content(t, f.Files["papers"][0]))
	require.Equal(t, "b.pdf application/pdf", f.Files["papers"][1].Name+" "+f.Files["papers"][1].Type)
	require.Empty(t, f.Files["any"], "no file was chosen")
	f.Close()
	_, err = f.Files["picture"][0].Content.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestReadMultipartNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	csv := part{name: "papers", file: "a.csv", content: "a,b"}
	for _, test := range []struct {
		parts []part
		want  form.Wrong
	}{
		{[]part{{name: "picture", file: "a.png", mediaType: "image/png", content: "<script>"}}, form.Wrong{"picture", "type", "must be a file of the type image/*"}},
		{[]part{{name: "picture", file: "a.png", content: png + strings.Repeat("x", 100<<10)}}, form.Wrong{"picture", "max", "must not be larger than 100 KiB"}},
		{[]part{{name: "picture", file: "a.png", content: png + strings.Repeat("x", 1<<20)}}, form.Wrong{"picture", "max", "must not be larger than 100 KiB"}},
		{[]part{{name: "picture", file: "a.png", content: png}, {name: "picture", file: "a.png", content: png}}, form.Wrong{"picture", "max", "must not have more than 1 file"}},
		{[]part{csv, csv, csv}, form.Wrong{"papers", "max", "must not have more than 2 files"}},
		{[]part{{name: "any", content: "a"}}, form.Wrong{"any", "format", "must be a file, with a file name"}},
		{[]part{{name: "title", file: "a.txt", content: "a"}}, form.Wrong{"title", "format", "must be text, and not a file"}},
	} {
		f, err := read(t, body(test.parts...), limits(1<<40, 200<<10))
		require.NoError(t, err)
		require.Equal(t, []form.Wrong{test.want}, f.Wrong)
	}
}

func TestReadMultipartRefuses(t *testing.T) {
	t.Parallel()
	whole := body(part{name: "title", content: "Milk"}, part{name: "any", file: "a", content: strings.Repeat("x", 50<<10)})
	var syntax *form.SyntaxError
	for name, text := range map[string]string{
		"nothing": "", "another boundary": strings.ReplaceAll(whole, boundary, "abc"), "no end": whole[:len(whole)-30], "no name": strings.Replace(whole, `name="title"`, "", 1),
		"cut in a header": whole[:20], "broken header": strings.Replace(whole, "Content-Disposition:", "Content Disposition", 1),
		"too many": body(make([]part, 1001)...), "too many with names": body(append(make([]part, 0), repeat(part{name: "a"}, 1001)...)...),
	} {
		_, err := read(t, text, plenty())
		require.ErrorAs(t, err, &syntax, name)
	}
	_, err := read(t, whole, limits(10, 1<<40))
	require.ErrorIs(t, err, form.ErrNoMemory)
	_, err = read(t, whole, limits(1<<40, 40<<10))
	require.ErrorIs(t, err, form.ErrNoDisk)
	broken := errors.New("broken")
	for _, after := range []int{0, 10, 100, 300, 40 << 10} {
		f, err := form.ReadMultipart(io.MultiReader(strings.NewReader(whole[:after]), iotest.ErrReader(broken)), boundary, form.Fields{Files: map[string]form.Files{"any": {Most: 1}}}, plenty())
		require.ErrorIs(t, err, broken)
		f.Close()
	}
}

// The header of a part is bounded, and what is kept of it counts as memory.
func TestHeadersOfPartsAreBounded(t *testing.T) {
	t.Parallel()
	var syntax *form.SyntaxError
	for _, p := range []part{{name: strings.Repeat("n", 20<<10)}, {name: "any", file: strings.Repeat("n", 20<<10)}, {name: "a", mediaType: strings.Repeat("n", 20<<10)}} {
		_, err := read(t, body(part{name: "title"}, p), plenty())
		require.ErrorAs(t, err, &syntax)
	}
	_, err := read(t, strings.Repeat("before\r\n", 4<<10)+body(part{name: "title"}), plenty())
	require.ErrorAs(t, err, &syntax)
	long := part{name: strings.Repeat("n", 5<<10)}
	_, err = read(t, body(long, part{name: "picture", file: "a.png", content: png + strings.Repeat("x", 200<<10)}, long), plenty())
	require.NoError(t, err, "what is skipped is no header")
	_, err = read(t, body(repeat(long, 30)...), limits(100<<10, 1<<40))
	require.ErrorIs(t, err, form.ErrNoMemory)
	_, err = read(t, body(repeat(part{name: "a"}, 900)...), limits(100<<10, 1<<40))
	require.ErrorIs(t, err, form.ErrNoMemory)
}

func TestReadMultipartIgnores(t *testing.T) {
	t.Parallel()
	text := body(part{name: "other", content: "text"}, part{name: "more", file: "a", content: strings.Repeat("x", 100<<10)}, part{name: "any", file: "b", content: "abc"}, part{name: "title", content: "Milk"})
	f, err := form.ReadMultipart(strings.NewReader(text), boundary, form.Fields{
		Files: map[string]form.Files{"any": {Most: 1}}, Ignored: func(name string) bool { return name != "title" },
	}, limits(10<<10, 0))
	require.NoError(t, err)
	defer f.Close()
	require.Empty(t, f.Wrong)
	require.Equal(t, map[string][]string{"title": {"Milk"}}, map[string][]string(f.Values))
	require.Equal(t, "abc", content(t, f.Files["any"][0]))
}

func repeat[T any](value T, n int) (all []T) {
	for range n {
		all = append(all, value)
	}
	return all
}

func TestNothingIsLeftOnTheDisk(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := form.ReadMultipart(strings.NewReader(body(part{name: "any", file: "a", content: strings.Repeat("x", 1<<20)})), boundary, form.Fields{Files: map[string]form.Files{"any": {Most: 1}}}, plenty())
	require.NoError(t, err)
	f.Close()
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestParseURLEncoded(t *testing.T) {
	t.Parallel()
	values, err := form.ParseURLEncoded([]byte("title=Milk+%26+bread&tag=a&tag=%C3%BC&empty="))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"title": {"Milk & bread"}, "tag": {"a", "ü"}, "empty": {""}}, map[string][]string(values))
	var syntax *form.SyntaxError
	for _, text := range []string{"a=%zz", "a=1;b=2", strings.Repeat("a=1&", 1000)} {
		_, err := form.ParseURLEncoded([]byte(text))
		require.ErrorAs(t, err, &syntax)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1": 1, "1000": 1000, "64KiB": 64 << 10, "5MiB": 5 << 20, "2GiB": 2 << 30} {
		n, err := form.ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n)
	}
	for _, text := range []string{"", "0", "-1", "5MB", "5 MiB", "MiB", "1.5MiB", "05MiB", "9999999999GiB", "5MiBx", "99999999999999999999"} {
		_, err := form.ParseBytes(text)
		require.ErrorContains(t, err, "is not a number of bytes", text)
	}
	require.Equal(t, "5 MiB", form.Bytes(5<<20))
	require.Equal(t, "1000 bytes", form.Bytes(1000))
}

// The judge is the writer of package mime/multipart.
func FuzzMultipart(f *testing.F) {
	f.Add("title", "a.png", []byte(png), uint16(3))
	f.Add("any", "../a\r\n.csv", []byte("--xyz--"), uint16(40000))
	f.Fuzz(func(t *testing.T, name, file string, text []byte, times uint16) {
		if strings.ContainsFunc(name+file, func(c rune) bool { return c < ' ' && c != '\r' && c != '\n' || c == 0x7f }) {
			t.Skip("the writer does not escape them, and no header has them")
		}
		text = bytes.Repeat(text, min(int(times), 100<<10/max(1, len(text))))
		var sent bytes.Buffer
		w := multipart.NewWriter(&sent)
		p, err := w.CreateFormFile("file", file)
		require.NoError(t, err)
		p.Write(text)
		require.NoError(t, w.WriteField("x"+name, string(text)))
		w.Close()
		got, err := form.ReadMultipart(&sent, w.Boundary(), form.Fields{Files: map[string]form.Files{"file": {Most: 1}}}, plenty())
		t.Cleanup(got.Close)
		require.NoError(t, err)
		if file != "" || len(text) > 0 {
			if len(got.Wrong) == 0 {
				require.Equal(t, sha256.Sum256(text), sha256.Sum256([]byte(content(t, got.Files["file"][0]))))
				require.NotContains(t, got.Files["file"][0].Name, "/")
				require.LessOrEqual(t, len(got.Files["file"][0].Name), 255)
			}
		}
		require.Len(t, got.Values, 1)
		for _, values := range got.Values {
			require.Equal(t, string(text), values[0])
		}
	})
}

// No body makes the reader panic, loop, or take more memory and disk than it may.
func FuzzMultipartBody(f *testing.F) {
	f.Add([]byte(body(part{name: "title", content: "Milk"}, part{name: "picture", file: "a.png", content: png})))
	f.Add([]byte("--xyz\r\nContent-Disposition: form-data; name*=UTF-8''a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		memory, disk := &room{10 << 10}, &room{100}
		got, err := form.ReadMultipart(bytes.NewReader(text), boundary, form.Fields{Files: map[string]form.Files{"picture": {Most: 1, Accept: []string{"image/png"}}}}, form.Limits{Memory: memory, Disk: disk})
		t.Cleanup(got.Close)
		var syntax *form.SyntaxError
		if err != nil && !errors.As(err, &syntax) {
			require.True(t, err == form.ErrNoMemory || err == form.ErrNoDisk, "%v", err)
		}
		for _, files := range got.Files {
			for _, file := range files {
				require.True(t, strings.HasPrefix(content(t, file), png))
			}
		}
	})
}

func BenchmarkMultipart(b *testing.B) {
	text := body(part{name: "title", content: "Milk"}, part{name: "any", file: "a", content: strings.Repeat("x", 4<<20)})
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := form.ReadMultipart(strings.NewReader(text), boundary, form.Fields{Files: map[string]form.Files{"any": {Most: 1}}}, plenty())
		if err != nil || f.Files["any"][0].Size != 4<<20 {
			b.Fatal(err)
		}
		f.Close()
	}
}
