package backend_test

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

//go:embed testdata/static
var embeddedFiles embed.FS

// site returns the files of testdata/static, as a program embeds them.
func site(t testing.TB) fs.FS {
	files, err := fs.Sub(embeddedFiles, "testdata/static")
	require.NoError(t, err)
	return files
}

func ExampleStatic() {
	files, err := fs.Sub(embeddedFiles, "testdata/static")
	if err != nil {
		panic(err)
	}
	assets := backend.Static(files, backend.StaticConfig{})
	r := backend.NewRouter()
	r.Mount("/assets", assets)

	page := template.Must(template.New("page").Funcs(template.FuncMap{"asset": assets.Path}).
		Parse(`<link rel="stylesheet" href="{{asset "css/app.css"}}">` + "\n"))
	if err := page.Execute(os.Stdout, nil); err != nil {
		panic(err)
	}
	for _, path := range []string{"/assets/css/app-926d2e94.css", "/assets/css/app.css"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"))
	}
	// Output:
	// <link rel="stylesheet" href="/assets/css/app-926d2e94.css">
	// 200 text/css; charset=utf-8 public, max-age=31536000, immutable
	// 200 text/css; charset=utf-8 no-cache
}

// fetch sends a GET with headers: names and values.
func fetch(h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	return fetchBy(h, "GET", target, headers...)
}

func fetchBy(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	r.URL, _ = url.ParseRequestURI(target)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestStatic(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for _, name := range []string{"index.html", "app.css", "LICENSE", "docs/index.html", "empty/a.txt", ".env", ".git/config", "docs/.hidden",
		".well-known/security.txt", ".well-known/.x", "a:b.txt", "caf\u00e9 1.txt", "v1-00000000.js", "x-deadbeef"} {
		files[name] = &fstest.MapFile{Data: []byte(name)}
	}
	files["pipe"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	assets := backend.Static(files, backend.StaticConfig{Immutable: func(name string) bool { return strings.HasPrefix(name, "v1") }})
	r := backend.NewRouter()
	r.Mount("/assets", assets)
	hashed := func(name string) string {
		path, err := assets.Path(name)
		require.NoError(t, err)
		return path
	}
	require.Equal(t, "/assets/v1-00000000.js", hashed("v1-00000000.js"))
	require.Regexp(t, `^/assets/caf%C3%A9%201-[0-9a-f]{8}\.txt$`, hashed("caf\u00e9 1.txt"))
	require.Regexp(t, `^/assets/LICENSE-[0-9a-f]{8}$`, hashed("LICENSE"))
	const check, forever = "no-cache", "public, max-age=31536000, immutable"
	tests := []struct {
		name, method, path string
		status             int
		body, cache        string
	}{
		{"plain", "GET", "/assets/app.css", 200, "app.css", check},
		{"hashed", "GET", hashed("app.css"), 200, "app.css", forever},
		{"hashed without an extension", "GET", hashed("LICENSE"), 200, "LICENSE", forever},
		{"escaped", "GET", hashed("caf\u00e9 1.txt"), 200, "caf\u00e9 1.txt", forever},
		{"hashed in a directory", "GET", hashed("docs/index.html"), 200, "docs/index.html", forever},
		{"another hash", "GET", "/assets/app-00000000.css", 200, "app.css", check},
		{"hash of no file", "GET", "/assets/no-00000000.css", 404, "", "no-store"},
		{"hash of a build tool", "GET", "/assets/v1-00000000.js", 200, "v1-00000000.js", forever},
		{"a name like a hash", "GET", "/assets/x-deadbeef", 200, "x-deadbeef", check},
		{"HEAD", "HEAD", "/assets/app.css", 200, "", check},
		{"root", "GET", "/assets/", 200, "index.html", check},
		{"index", "GET", "/assets/docs/", 200, "docs/index.html", check},
		{"index by name", "GET", "/assets/docs/index.html", 200, "docs/index.html", check},
		{"directory without index", "GET", "/assets/empty/", 404, "", "no-store"},
		{"directory without index and slash", "GET", "/assets/empty", 404, "", "no-store"},
		{"a file is no directory", "GET", "/assets/app.css/", 404, "", "no-store"},
		{"below a file", "GET", "/assets/app.css/x", 404, "", "no-store"},
		{"missing", "GET", "/assets/no.css", 404, "", "no-store"},
		{"hidden", "GET", "/assets/.env", 404, "", "no-store"},
		{"hidden, encoded", "GET", "/assets/%2Eenv", 404, "", "no-store"},
		{"hidden, with a hash", "GET", "/assets/.env-00000000", 404, "", "no-store"},
		{"hidden directory", "GET", "/assets/.git/config", 404, "", "no-store"},
		{"hidden directory, encoded slash", "GET", "/assets/.git%2Fconfig", 404, "", "no-store"},
		{"hidden in a directory", "GET", "/assets/docs/.hidden", 404, "", "no-store"},
		{"well-known", "GET", "/assets/.well-known/security.txt", 200, ".well-known/security.txt", check},
		{"hidden in well-known", "GET", "/assets/.well-known/.x", 404, "", "no-store"},
		{"colon", "GET", "/assets/a:b.txt", 404, "", "no-store"},
		{"pipe", "GET", "/assets/pipe", 404, "", "no-store"},
		{"POST", "POST", "/assets/app.css", 405, "", "no-store"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := fetchBy(r, test.method, test.path)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.cache, w.Header().Get("Cache-Control"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			if test.status == 200 {
				require.Equal(t, test.body, w.Body.String())
				require.Regexp(t, `^"[\w-]{16}"$`, w.Header().Get("ETag"))
				return
			}
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Empty(t, w.Header().Get("ETag"))
		})
	}
	w := fetch(r, "/assets/docs?a")
	require.Equal(t, "307 /assets/docs/?a", summary(w))
}

// The type of a file must not depend on the tables of the machine, which package mime reads.
func TestStaticContentTypes(t *testing.T) {
	t.Parallel()
	// IANA's registry of media types, and the HTML standard for JavaScript.
	want := map[string]string{
		"a.html": "text/html; charset=utf-8", "a.css": "text/css; charset=utf-8", "a.js": "text/javascript; charset=utf-8",
		"a.mjs": "text/javascript; charset=utf-8", "a.JSON": "application/json", "a.js.map": "application/json", "a.svg": "image/svg+xml",
		"a.png": "image/png", "a.jpg": "image/jpeg", "a.webp": "image/webp", "a.avif": "image/avif", "a.woff2": "font/woff2",
		"a.wasm": "application/wasm", "a.txt": "text/plain; charset=utf-8", "a.webmanifest": "application/manifest+json", "a.pdf": "application/pdf",
		"a.mp4": "video/mp4", "a.webm": "video/webm", "a": "application/octet-stream", "a.exe": "application/octet-stream",
		"a.gpx": "application/gpx+xml", "a.md": "text/plain",
	}
	files := fstest.MapFS{}
	for name := range want {
		files[name] = &fstest.MapFile{Data: []byte("<html>")}
	}
	assets := backend.Static(files, backend.StaticConfig{Types: map[string]string{".gpx": "application/gpx+xml", ".md": "text/plain"}})
	for name, contentType := range want {
		require.Equal(t, contentType, fetch(assets, "/"+name).Header().Get("Content-Type"), name)
	}
}

func TestStaticConditions(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("body { color: red }\n", 200)
	assets := backend.Static(fstest.MapFS{"app.css": {Data: []byte(text), ModTime: time.Unix(1e9, 0)}}, backend.StaticConfig{})
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{}))
	r.Mount("/", assets)
	plain := fetch(r, "/app.css").Header().Get("ETag")
	for _, coding := range []string{"gzip", "zstd"} {
		w := fetch(r, "/app.css", "Accept-Encoding", coding)
		require.Equal(t, coding, w.Header().Get("Content-Encoding"))
		tag := w.Header().Get("ETag")
		require.NotEqual(t, plain, tag, "RFC 9110, section 8.8.3.3")
		for _, known := range []string{tag, "W/" + tag, plain, `"other", ` + tag} {
			w = fetch(r, "/app.css", "Accept-Encoding", coding, "If-None-Match", known)
			require.Equal(t, 304, w.Code, known)
			require.Contains(t, known, w.Header().Get("ETag"), "a cache finds the stored response by it (RFC 9111, section 4.3.4)")
			require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
			require.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
			require.Empty(t, w.Header().Get("Content-Type"))
			require.Empty(t, w.Body.String())
		}
		require.Equal(t, 200, fetch(r, "/app.css", "Accept-Encoding", coding, "If-Match", tag).Code)
		w = fetch(r, "/app.css", "Accept-Encoding", coding, "Range", "bytes=0-3", "If-Range", tag)
		require.Equal(t, 200, w.Code, "the range would be of other bytes")
	}
	require.Equal(t, 200, fetch(r, "/app.css", "If-None-Match", `"other"`).Code)
	w := fetch(r, "/app.css", "If-Match", `"other"`)
	require.Equal(t, 412, w.Code)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, 304, fetch(r, "/app.css", "If-Modified-Since", "Sun, 09 Sep 2001 01:46:40 GMT").Code)
	w = fetch(r, "/app.css", "Range", "bytes=5-9", "If-Range", plain, "Accept-Encoding", "gzip")
	require.Equal(t, "206 bytes 5-9/4000 { col", fmt.Sprint(w.Code, " ", w.Header().Get("Content-Range"), " ", w.Body))
	w = fetch(r, "/app.css", "Range", "bytes=5000-")
	require.Equal(t, "416 bytes */4000 application/problem+json no-store", fmt.Sprint(w.Code, " ", w.Header().Get("Content-Range"), " ", w.Header().Get("Content-Type"), " ", w.Header().Get("Cache-Control")))
	require.Contains(t, w.Body.String(), `"status":416`)
	w = fetch(r, "/app.css", "If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:39 GMT")
	require.Equal(t, "412 application/problem+json", fmt.Sprint(w.Code, " ", w.Header().Get("Content-Type")))
	require.Equal(t, 200, fetch(r, "/app.css", "If-None-Match", `"other"`, "If-Modified-Since", "Sun, 09 Sep 2001 01:46:40 GMT").Code)
	require.Equal(t, 200, fetch(r, "/app.css", "If-Match", plain, "If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:39 GMT").Code)
	w = fetch(r, "/app.css", "Range", "bytes=0-1,4-5")
	require.Equal(t, "200 4000", fmt.Sprint(w.Code, " ", w.Body.Len()), "of several ranges none counts")
	w = fetchBy(r, "HEAD", "/app.css")
	require.Equal(t, "200 4000 ", fmt.Sprint(w.Code, " ", w.Header().Get("Content-Length"), " ", w.Body))
	require.Equal(t, "204 GET, HEAD, OPTIONS", summary(fetchBy(r, "OPTIONS", "/app.css")))
}

func TestStaticFallback(t *testing.T) {
	t.Parallel()
	assets := backend.Static(site(t), backend.StaticConfig{Fallback: "index.html"})
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{}))
	r.Mount("/", assets)
	r.Handle("GET /api/notes", echo())
	const browser, script = "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"
	for _, test := range []struct {
		path, accept string
		status       int
	}{
		{"/", browser, 200},
		{"/notes/7", browser, 200},
		{"/notes/", browser, 200},
		{"/notes/a:b", browser, 200},
		{"/notes/7", script, 404},
		{"/notes/7", "*/*", 404},
		{"/notes/7", "", 404},
		{"/no.css", browser, 404},
		{"/.git/HEAD", browser, 404},
		{"/.env", browser, 404},
	} {
		w := fetch(r, test.path, "Accept", test.accept)
		require.Equal(t, test.status, w.Code, test.path)
		if test.status == 200 {
			require.Contains(t, w.Body.String(), "<title>PUBLIC</title>")
			require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
			require.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'nonce-", "the policy of pages")
		}
	}
	require.Contains(t, fetch(r, "/notes/7", "Accept", browser).Header().Values("Vary"), "Accept")
	require.Equal(t, 405, fetchBy(r, "POST", "/notes/7", "Accept", browser, "Sec-Fetch-Site", "same-origin").Code)
	require.Equal(t, "GET /api/notes", fetch(r, "/api/notes", "Accept", browser).Body.String())
}

// A file that changes while the program runs gets another hash and ETag.
func TestStaticFollowsChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string, at int64) {
		name := filepath.Join(dir, "app.css")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(name, time.Time{}, time.Unix(at, 0)))
	}
	assets := backend.Static(os.DirFS(dir), backend.StaticConfig{Prefix: "https://cdn.example/x/"})
	_, err := assets.Path("app.css")
	require.EqualError(t, err, `static file "app.css": there is no such file`)
	write("one", 1e9)
	first, err := assets.Path("app.css")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(first, "https://cdn.example/x/app-"), first)
	name := strings.TrimPrefix(first, "https://cdn.example/x")
	before := fetch(assets, name)
	require.Equal(t, "one", before.Body.String())
	require.Contains(t, before.Header().Get("Cache-Control"), "immutable")
	write("two", 1e9+1)
	second, err := assets.Path("app.css")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	after := fetch(assets, name, "If-None-Match", before.Header().Get("ETag"))
	require.Equal(t, "two", after.Body.String())
	require.Equal(t, "no-cache", after.Header().Get("Cache-Control"), "it is not what the hash has promised")
	write("one", 1e9+2)
	third, err := assets.Path("app.css")
	require.NoError(t, err)
	require.Equal(t, first, third, "the hash is that of the content")
	require.NoError(t, os.Remove(filepath.Join(dir, "app.css")))
	require.Equal(t, 404, fetch(assets, name).Code)
}

func TestStaticStaysInsideOfARoot(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	root := publicSite(t)
	assets := backend.Static(root, backend.StaticConfig{})
	for path, want := range map[string]int{
		"/app.css": 200, "/inside.css": 200, "/outside.txt": 404, "/up/secret.txt": 404, "/loop": 404, "/broken": 404,
		"/app.css/x": 404, "/" + strings.Repeat("a", 5000): 404, "/up" + strings.Repeat("/x", 100_000): 404, "/../secret.txt": 404,
	} {
		w := fetch(assets, path)
		require.Equal(t, want, w.Code, path[:min(len(path), 20)])
		require.NotContains(t, w.Body.String(), "SECRET")
	}
}

// publicSite makes a directory with files to serve and to hide, links among them, and a file
// outside, and returns it as an os.Root.
func publicSite(t testing.TB) fs.FS {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secret.txt": "SECRET", "site/app.css": "PUBLIC", "site/index.html": "PUBLIC", "site/a/index.html": "PUBLIC", "site/a/b.txt": "PUBLIC",
		"site/.env": "SECRET", "site/.git/config": "SECRET", "site/a/.x/y": "SECRET", "site/.well-known/x": "PUBLIC", "site/.well-known/.y": "SECRET",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for link, target := range map[string]string{
		"inside.css": "app.css", "outside.txt": "../secret.txt", "up": "..", "loop": "loop", "broken": "nothing",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, "site", link)))
	}
	root, err := os.OpenRoot(filepath.Join(dir, "site"))
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

// FuzzStatic asks for any path, as the server parses it and raw. Nothing outside of the file
// system and nothing hidden is served, no directory is listed, and nothing fails.
func FuzzStatic(f *testing.F) {
	for _, path := range []string{
		"/app.css", "/", "/a", "/a/", "/.env", "/%2eenv", "/a/../.env", "/..%2fsecret.txt", "/../secret.txt", "/outside.txt", "/up/secret.txt", "/.git/config",
		"/.git%2fconfig", "/a/.x/y", "/.well-known/x", "/.well-known/.y", "/.well-known/../.env", `/..\secret.txt`, "/.env::$DATA", "/app.css\x00.env", "//etc/passwd",
		"/app-00000000.css", "/.env-00000000", "/a/-00000000", "/.-00000000", "/loop/x", "*", "",
	} {
		f.Add(path, "text/html")
	}
	assets := backend.Static(publicSite(f), backend.StaticConfig{})
	fallback := backend.Static(publicSite(f), backend.StaticConfig{Fallback: "index.html"})
	r := backend.NewRouter()
	r.Mount("/s", assets)
	r.Mount("/t", backend.RequestID()(assets))
	r.Handle("GET /u/{rest...}", fallback)
	f.Fuzz(func(t *testing.T, path, accept string) {
		requests := []*url.URL{{Path: path}, {Path: "/s" + path}, {Path: "/t" + path}, {Path: "/u" + path}, {Path: "/u/" + path}}
		for _, prefix := range []string{"", "/s", "/t", "/u"} {
			if u, err := url.ParseRequestURI(prefix + path); err == nil {
				requests = append(requests, u)
			}
		}
		for _, u := range requests {
			for _, h := range []http.Handler{r, assets, fallback} {
				request := httptest.NewRequest("GET", "/", nil)
				request.URL, request.RequestURI = u, u.RequestURI()
				request.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request)
				require.Less(t, w.Code, 500, "%q: %s", u, w.Body)
				require.NotContains(t, w.Body.String(), "SECRET")
				if w.Code == 200 {
					require.Equal(t, "PUBLIC", w.Body.String(), "%q", u)
				}
				requireOnOrigin(t, w.Header().Get("Location"))
			}
		}
	})
}

func TestStaticFilesOfOtherFileSystems(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	file, err := writer.Create("app.css")
	require.NoError(t, err)
	_, err = io.WriteString(file, "0123456789")
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	files, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	require.NoError(t, err)
	w := fetch(backend.Static(files, backend.StaticConfig{}), "/app.css", "Range", "bytes=3-5")
	require.Equal(t, "206 345", fmt.Sprint(w.Code, " ", w.Body), "its files cannot seek")

	failing := backend.Static(brokenFS{}, backend.StaticConfig{})
	w = fetch(failing, "/app.css")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "disk")
}

// A file that becomes shorter while it is sent does not look whole to the client.
func TestStaticFilesThatEndTooEarly(t *testing.T) {
	t.Parallel()
	assets := backend.Static(shrinkingFS{fstest.MapFS{"a.txt": {Data: []byte(strings.Repeat("0123456789", 10_000))}}}, backend.StaticConfig{})
	for _, h := range []http.Handler{assets, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(assets)} {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		for _, coding := range []string{"identity", "gzip"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/a.txt", nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", coding)
			w, err := server.Client().Transport.RoundTrip(r)
			if err == nil {
				_, err = io.ReadAll(w.Body)
				w.Body.Close()
			}
			require.Error(t, err, coding)
		}
	}
}

// shrinkingFS has files that are read to their half once they have been asked for their end.
type shrinkingFS struct{ fstest.MapFS }

func (s shrinkingFS) Open(name string) (fs.File, error) {
	file, err := s.MapFS.Open(name)
	if err != nil {
		return nil, err
	}
	return &shrinkingFile{ReadSeeker: file.(io.ReadSeeker), File: file}, nil
}

type shrinkingFile struct {
	io.ReadSeeker
	fs.File
	sought bool
	left   int
}

func (s *shrinkingFile) Seek(offset int64, whence int) (int64, error) {
	s.sought, s.left = true, 50_000
	return s.ReadSeeker.Seek(offset, whence)
}

func (s *shrinkingFile) Read(p []byte) (int, error) {
	if s.sought {
		p = p[:min(len(p), s.left)]
		if s.left -= len(p); len(p) == 0 {
			return 0, io.EOF
		}
	}
	return s.File.Read(p)
}

type brokenFS struct{}

func (brokenFS) Open(string) (fs.File, error) { return nil, fmt.Errorf("the disk is gone") }

func TestStaticPrefix(t *testing.T) {
	t.Parallel()
	mount := func(config backend.StaticConfig, do func(r *backend.Router, s *backend.StaticFiles)) (string, error) {
		s := backend.Static(site(t), config)
		do(backend.NewRouter(), s)
		path, err := s.Path("css/app.css")
		return strings.TrimSuffix(path, "/css/app-926d2e94.css"), err
	}
	for _, test := range []struct {
		name, want string
		config     backend.StaticConfig
		do         func(r *backend.Router, s *backend.StaticFiles)
	}{
		{"mounted", "/assets", backend.StaticConfig{}, func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/assets", s) }},
		{"at the root", "", backend.StaticConfig{}, func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/", s) }},
		{"in a group", "/a/b", backend.StaticConfig{}, func(r *backend.Router, s *backend.StaticFiles) { r.Group("/a").Mount("/b", s) }},
		{"twice", "/a", backend.StaticConfig{}, func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/a", s); r.Mount("/b", s) }},
		{"set", "/set", backend.StaticConfig{Prefix: "/set"}, func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/a", s) }},
		{"set to the root", "", backend.StaticConfig{Prefix: "/"}, func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/a", s) }},
	} {
		got, err := mount(test.config, test.do)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, got, test.name)
	}
	for _, do := range []func(r *backend.Router, s *backend.StaticFiles){
		func(*backend.Router, *backend.StaticFiles) {},
		func(r *backend.Router, s *backend.StaticFiles) { r.Handle("GET /a/{path...}", s) },
		func(r *backend.Router, s *backend.StaticFiles) { r.Mount("/{tenant}", s) },
	} {
		_, err := mount(backend.StaticConfig{}, do)
		require.ErrorContains(t, err, "use Router.Mount with a prefix without wildcards, or set StaticConfig.Prefix")
	}
	s := backend.Static(site(t), backend.StaticConfig{})
	r := backend.NewRouter()
	r.Handle("GET /a/{path...}", s)
	r.Handle("GET /b/", http.StripPrefix("/b", s))
	r.Mount("/c", backend.RequestID()(s))
	r.Mount("/{tenant}/d", s)
	for _, prefix := range []string{"/a", "/b", "/c", "/x/d"} {
		require.Equal(t, 200, fetch(r, prefix+"/css/app.css").Code, prefix)
		require.Equal(t, "307 "+prefix+"/css/", summary(fetch(r, prefix+"/css")), prefix)
	}
	require.Equal(t, "405 GET, HEAD, OPTIONS", summary(fetchBy(r, "PUT", "/c/css/app.css")))
	require.Equal(t, "204 GET, HEAD, OPTIONS", summary(fetchBy(r, "OPTIONS", "/c/css/app.css")))
}

func TestStaticPanicsOnWrongConfig(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]backend.StaticConfig{
		`backend: Static: Prefix "assets" is neither a path such as "/assets" nor an address`: {Prefix: "assets"},
		`backend: Static: Prefix "//evil.example" is neither`:                                 {Prefix: "//evil.example"},
		`backend: Static: Prefix "/a?b" is neither`:                                           {Prefix: "/a?b"},
		`backend: Static: Fallback "dist/index.html": there is no such file: name a file`:     {Fallback: "dist/index.html"},
		`backend: Static: Fallback "css": it is a directory`:                                  {Fallback: "css"},
		`backend: Static: Fallback "/index.html": there is no such file`:                      {Fallback: "/index.html"},
		`backend: Static: Types: "gpx" is not an extension in lower case such as ".gpx"`:      {Types: map[string]string{"gpx": "a/b"}},
		`backend: Static: Types: "gpx" of ".gpx" is not a content type such as`:               {Types: map[string]string{".gpx": "gpx"}},
		"backend: Static: Types: .gpx: \"a/b\\n\" has a character that a header cannot carry": {Types: map[string]string{".gpx": "a/b\n"}},
	} {
		require.Contains(t, panicText(func() { backend.Static(site(t), config) }), want)
	}
	require.Equal(t, "backend: Static: the file system is nil", panicText(func() { backend.Static(nil, backend.StaticConfig{}) }))
}

func TestStaticAllocations(t *testing.T) {
	if raceEnabled() {
		t.Skip("the race detector allocates")
	}
	assets := backend.Static(site(t), backend.StaticConfig{})
	r := backend.NewRouter()
	r.Mount("/assets", assets)
	path, err := assets.Path("css/app.css")
	require.NoError(t, err)
	tag := fetch(r, path).Header().Get("ETag")
	for _, test := range []struct {
		known  string
		status int
		budget float64
	}{{"", 200, 9}, {tag, 304, 3}} {
		req := httptest.NewRequest("GET", path, nil)
		if test.known != "" {
			req.Header.Set("If-None-Match", test.known)
		}
		fresh, w := *req, &status{header: http.Header{}}
		got := testing.AllocsPerRun(100, func() {
			*req = fresh
			clear(w.header)
			r.ServeHTTP(w, req)
		})
		require.Equal(t, test.status, w.code)
		require.LessOrEqual(t, got, test.budget, test.status)
	}
}

// status is a response that keeps its status only.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(code int)        { s.code = code }

func TestStaticMaxAge(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"logo.png": {Data: []byte("png")}, "index.html": {Data: []byte("<p>")}, "d/index.html": {Data: []byte("<p>")}}
	assets := backend.Static(files, backend.StaticConfig{MaxAge: 90 * time.Minute, Fallback: "index.html"})
	r := backend.NewRouter()
	r.Mount("/a", assets)
	hashed, err := assets.Path("logo.png")
	require.NoError(t, err)
	for path, want := range map[string]string{
		"/a/logo.png": "public, max-age=5400", hashed: "public, max-age=31536000, immutable", "/a/logo-00000000.png": "no-cache",
		"/a/index.html": "no-cache", "/a/": "no-cache", "/a/d/": "no-cache", "/a/some/page": "no-cache",
	} {
		request := httptest.NewRequest("GET", path, nil)
		request.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request)
		require.Equal(t, 200, w.Code, path)
		require.Equal(t, want, w.Header().Get("Cache-Control"), path)
	}
	require.PanicsWithValue(t, "backend: Static: MaxAge 1ms is shorter than a second", func() { backend.Static(files, backend.StaticConfig{MaxAge: time.Millisecond}) })
}
