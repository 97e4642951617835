package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/response"
	"github.com/seed-215b9b7c/backend/internal/static"
)

// This file serves static files: [Static]. internal/static finds them and hashes them.

// StaticConfig configures [Static]. The zero value serves the files and nothing else.
type StaticConfig struct {
	// Prefix is what [StaticFiles.Path] puts before names: a path such as "/assets", or an
	// address such as "https://cdn.example/assets". Defaults to the prefix where the files
	// are mounted first. Set it if they are served in another way than by [Router.Mount], or
	// if that router is mounted itself.
	Prefix string
	// Fallback is the name of the file that answers a request for a path without a file,
	// such as "index.html" for an application whose pages are made by a script in the
	// browser. It answers only requests that prefer HTML, as those of browsers for pages do,
	// for paths whose last segment has no extension. Defaults to none: 404.
	Fallback string
	// Immutable reports whether a name contains the hash of the content already, as those
	// of build tools do. Such files are cached forever, and Path adds no hash. It must be
	// safe for concurrent use. Defaults to a function that reports false.
	Immutable func(name string) bool
	// MaxAge is how long caches may use a file under its plain path without asking, in whole
	// seconds. Pages of HTML are always asked for. Defaults to 0: all are asked for. A path
	// with a hash needs no MaxAge.
	MaxAge time.Duration
	// Types has content types by extension, such as ".gpx": "application/gpx+xml". They
	// come before the usual ones. Defaults to none.
	Types map[string]string
}

// StaticFiles serves files; see [Static]. It is an [http.Handler], and safe for concurrent use.
type StaticFiles struct {
	files     *static.Files
	fallback  string
	immutable func(name string) bool
	plain     []string // Cache-Control of plain paths

	mu     sync.RWMutex
	prefix string
	placed bool // the prefix is known

	writers sync.Pool // of *contentWriter
}

// Static returns a handler for the files of a file system, such as an [embed.FS] or [os.DirFS].
// Mount it:
//
//	//go:embed assets
//	var embedded embed.FS
//
//	files, err := fs.Sub(embedded, "assets")
//	…
//	assets := backend.Static(files, backend.StaticConfig{})
//	r.Mount("/assets", assets)
//	page := template.New("page").Funcs(template.FuncMap{"asset": assets.Path})
//
// [StaticFiles.Path] gives a file a path with the hash of its content, which browsers keep for
// a year without asking again: <link rel="stylesheet" href="{{asset "app.css"}}">.
//
//   - A path with the current hash gets Cache-Control: public, max-age=31536000, immutable. The
//     plain path gets no-cache: browsers ask again, and get a 304 if the file is the same. So
//     does a path with another hash, as pages have that were loaded before the program was
//     updated, or while old and new processes run side by side: they get the current file.
//   - ETag is the hash of the content. The first request reads the file for it. So does the
//     first one after size or time of the file have changed, which no embedded file does.
//   - HEAD, conditional requests and Range are answered, also if [Compress] has compressed the
//     response. A Range with several ranges gets the whole file.
//   - Content-Type depends on the extension only, and not on the machine. It is
//     application/octet-stream for unknown ones.
//   - A directory is never listed. If it has an index.html, that answers, after a redirect to
//     the path with a slash.
//   - The response is 404 for files and directories whose name begins with a dot, such as .env
//     and .git, except within /.well-known, for names with a backslash, a colon or NUL, and for
//     what is no regular file. It is 405 for methods other than GET, HEAD and OPTIONS. [WriteError]
//     writes the errors.
//
// os.DirFS follows symbolic links out of its directory. An os.Root does not:
//
//	root, err := os.OpenRoot("assets")
//	…
//	assets := backend.Static(root.FS(), backend.StaticConfig{})
//
// [HeadersConfig] has the Content-Security-Policy of pages; the default one blocks scripts of
// static pages. The paths within files, such as url(font.woff2) in a style sheet, are not changed.
//
// Mount registers the path with GET only, so that other patterns can have other methods. The
// handler can also be registered for a pattern that ends in a wildcard such as {path...}, whose
// value is the name of the file, or behind [http.StripPrefix].
//
// Static panics if the file system is nil or the config is invalid.
func Static(fsys fs.FS, config StaticConfig) *StaticFiles {
	if fsys == nil {
		panic("backend: Static: the file system is nil")
	}
	s := &StaticFiles{
		files:    static.New(fsys, maps.Clone(config.Types)),
		fallback: config.Fallback, immutable: config.Immutable, plain: cacheAndCheck,
		prefix: strings.TrimSuffix(config.Prefix, "/"), placed: config.Prefix != "",
	}
	if config.MaxAge != 0 {
		s.plain = []string{"public, max-age=" + strconv.Itoa(int(config.MaxAge.Seconds()))}
	}
	must("Static", errors.Join(checkStaticPrefix(config.Prefix), s.checkFallback(), checkTypes(config.Types), checkStaticAge(config.MaxAge)))
	return s
}

func checkStaticPrefix(prefix string) error {
	if u, err := url.Parse(prefix); err == nil && u.RawQuery == "" && u.Fragment == "" {
		isPath := u.Scheme == "" && u.Host == "" && (prefix == "" || prefix[0] == '/')
		if isPath || (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return nil
		}
	}
	return fmt.Errorf(`%s %q is neither a path such as "/assets" nor an address such as "https://cdn.example/assets"`, "Prefix", prefix)
}

func checkStaticAge(age time.Duration) error {
	if age != 0 && age < time.Second {
		return fmt.Errorf("%s %v is shorter than a second", "MaxAge", age)
	}
	return nil
}

func (s *StaticFiles) checkFallback() error {
	if s.fallback == "" {
		return nil
	}
	if _, err := s.lookup(s.fallback); err != nil {
		return fmt.Errorf(`%s %q: %w: name a file of the file system, such as "index.html", and use fs.Sub for a directory of it`, "Fallback", s.fallback, err)
	}
	return nil
}

func checkTypes(types map[string]string) (err error) {
	for extension, contentType := range types {
		if path.Ext(extension) != extension || extension == "" || strings.ToLower(extension) != extension {
			err = errors.Join(err, fmt.Errorf(`%s: %q is not an extension in lower case such as ".gpx"`, "Types", extension))
		}
		if !strings.Contains(contentType, "/") {
			err = errors.Join(err, fmt.Errorf(`%s: %q of %q is not a content type such as "application/gpx+xml"`, "Types", contentType, extension))
		}
		err = errors.Join(err, checkValue("Types: "+extension+":", contentType))
	}
	return err
}

// mountOn adds the route to a router.
func (s *StaticFiles) mountOn(r *Router, prefix, place string) {
	full := r.fullPrefix() + prefix
	r.register("GET "+prefix+"/{path...}", s, nil, place)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.placed && !strings.Contains(full, "{") {
		s.prefix, s.placed = full, true
	}
}

// Path returns the path of a file with the hash of its content, such as
// /assets/css/app-3f2a91c0.css for css/app.css. A template can call it. The error says that
// there is no such file, or that the files are not mounted yet.
func (s *StaticFiles) Path(name string) (string, error) {
	file, err := s.lookup(name)
	if err != nil {
		return "", fmt.Errorf("static file %q: %w", name, err)
	}
	s.mu.RLock()
	prefix, placed := s.prefix, s.placed
	s.mu.RUnlock()
	if !placed {
		return "", fmt.Errorf("static file %q: the prefix is not known: use Router.Mount with a prefix without wildcards, or set StaticConfig.Prefix", name)
	}
	if !s.isImmutable(name) {
		name = static.AddHash(name, file.Hash)
	}
	return prefix + "/" + (&url.URL{Path: name}).EscapedPath(), nil
}

func (s *StaticFiles) isImmutable(name string) bool { return s.immutable != nil && s.immutable(name) }

// lookup returns the file with the name, which may be any text.
func (s *StaticFiles) lookup(name string) (*static.File, error) {
	if !static.Servable(name) {
		return nil, static.ErrMissing
	}
	return s.files.Lookup(name)
}

// ServeHTTP answers with a file.
func (s *StaticFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		endHandler(w, r, err)
	}
}

func (s *StaticFiles) serve(w http.ResponseWriter, r *http.Request) error {
	if !isGet(r) {
		setAllow(w, []string{http.MethodGet, http.MethodHead, http.MethodOptions})
		if r.Method == http.MethodOptions {
			writeEmpty(w, http.StatusNoContent)
			return nil
		}
		return &Error{Code: MethodNotAllowed}
	}
	name := fileName(r)
	file, forever, err := s.find(name)
	switch {
	case errors.Is(err, static.ErrDirectory):
		if _, err := s.lookup(name + "/index.html"); err == nil && strings.HasPrefix(requestPath(r), "/") {
			redirectToSubtree(w, r)
			return nil
		}
		return s.serveFallback(w, r, name)
	case errors.Is(err, static.ErrMissing):
		return s.serveFallback(w, r, name)
	case err != nil:
		return err
	}
	return s.serveFile(w, r, file, s.caching(name, file, forever))
}

// caching returns Cache-Control for a file under a name.
func (s *StaticFiles) caching(name string, file *static.File, forever bool) []string {
	switch {
	case forever:
		return cacheForever
	case name == file.Name && !strings.HasPrefix(file.Type[0], "text/html"):
		return s.plain
	}
	return cacheAndCheck
}

// fileName returns the name that a request asks for: the value of the wildcard that matches
// the rest of the path, or else the path.
func fileName(r *http.Request) string {
	if pattern, ok := strings.CutSuffix(r.Pattern, "...}"); ok {
		return r.PathValue(pattern[strings.LastIndexByte(pattern, '{')+1:])
	}
	return strings.TrimPrefix(r.URL.Path, "/")
}

// find returns the file for a name, which may have a hash. forever says that the content of
// the name never changes.
func (s *StaticFiles) find(name string) (file *static.File, forever bool, err error) {
	if name == "" || strings.HasSuffix(name, "/") {
		file, err = s.lookup(name + "index.html")
		return file, false, err
	}
	plain, hash, hashed := static.CutHash(name)
	if hashed {
		if file, err = s.lookup(plain); err == nil && file.Hash == hash {
			return file, true, nil
		}
	}
	exact, err := s.lookup(name)
	if err != nil && hashed && file != nil {
		return file, false, nil
	}
	return exact, err == nil && s.isImmutable(name), err
}

// serveFallback answers a request for which there is no file.
func (s *StaticFiles) serveFallback(w http.ResponseWriter, r *http.Request, name string) error {
	page := strings.TrimSuffix(name, "/")
	if s.fallback == "" || page != "" && !static.Servable(page) || path.Ext(page) != "" {
		return &Error{Code: NotFound}
	}
	header.AddVary(w.Header(), varyAccept)
	if !prefersHTML(r.Header["Accept"], "") {
		return &Error{Code: NotFound}
	}
	file, err := s.lookup(s.fallback)
	if err != nil {
		return fmt.Errorf("static file %q: %w", s.fallback, err)
	}
	return s.serveFile(w, r, file, cacheAndCheck)
}

// These header values are shared by all responses, and must not be changed.
var (
	cacheForever  = []string{"public, max-age=31536000, immutable"}
	cacheAndCheck = []string{"no-cache"}
	varyAccept    = []string{"Accept"}
)

// serveFile answers with a file, or with 304 or 412 by the conditions of the request.
func (s *StaticFiles) serveFile(w http.ResponseWriter, r *http.Request, file *static.File, caching []string) error {
	if lists := r.Header["If-Match"]; len(lists) > 0 {
		if _, matches := etag.Find(lists, file.Tag, etag.Strong, response.Codings...); !matches {
			return &Error{Code: PreconditionFailed}
		}
	}
	if lists := r.Header["If-None-Match"]; len(lists) > 0 {
		tag, known := etag.Find(lists, file.Tag, etag.Loose, response.AcceptableCodings(r.Header["Accept-Encoding"])...)
		if known {
			setFileHeaders(w, file, caching)
			if tag != file.Tag { // of the compressed response
				w.Header()["Etag"] = []string{tag}
			}
			delete(w.Header(), "Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	opened, content, err := s.files.Open(file.Name)
	if errors.Is(err, static.ErrMissing) {
		return &Error{Code: NotFound}
	}
	if err != nil {
		return fmt.Errorf("static file: %w", err)
	}
	defer content.Close()
	if opened.Hash != file.Hash { // it has changed since
		caching = cacheAndCheck
	}
	setFileHeaders(w, opened, caching)
	to, spare := s.writers.Get().(*contentWriter)
	if !spare {
		to = &contentWriter{}
	}
	err = serveContent(to, w, r, opened.ModTime, content)
	*to = contentWriter{}
	s.writers.Put(to) // not after a panic
	return err
}

func setFileHeaders(w http.ResponseWriter, file *static.File, caching []string) {
	head := w.Header()
	head["Content-Type"] = file.Type
	head["Etag"] = file.ETag
	head["X-Content-Type-Options"] = nosniff
	head["Cache-Control"] = caching
	if rw := response.Of(w); rw != nil {
		rw.KeepStrongTags()
	}
}
