// Package static finds the files of an fs.FS that a web server serves, with their content
// types and the hashes of their contents.
package static

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/mediatype"
)

var (
	// ErrMissing is the error for a name that no file has.
	ErrMissing = errors.New("there is no such file")
	// ErrDirectory is the error for the name of a directory.
	ErrDirectory = errors.New("it is a directory")
)

// Files are the files of a file system. It is safe for concurrent use. It keeps the hash of
// each file that was looked up, and makes it again when time or size of the file have
// changed. It never looks again at files without a time, as those of embed.FS.
type Files struct {
	fsys  fs.FS
	types map[string]string

	mu      sync.RWMutex
	entries map[string]*entry // by name, of files that exist or existed
}

// maxEntries bounds what is kept: on a disk that ignores case, or with a symbolic link to a
// directory around it, a file has any number of names.
const maxEntries = 1 << 16

// entry is what is known of one file.
type entry struct {
	hashing sync.Mutex // held while a file is hashed, so that others wait instead of hashing it
	file    atomic.Pointer[File]
}

// File is one version of a file. The slices are values of headers, and must not be changed.
type File struct {
	Name    string
	Hash    string   // for [AddHash]
	Tag     string   // the strong entity tag
	ETag    []string // Tag
	Type    []string // Content-Type
	ModTime time.Time
	size    int64
}

// New returns the files of a file system. types has content types by extension, in lower case,
// in addition to the usual ones.
func New(fsys fs.FS, types map[string]string) *Files {
	return &Files{fsys: fsys, types: types, entries: map[string]*entry{}}
}

// Lookup returns the file with the name, which must be [Servable]. The error is [ErrMissing]
// if there is none or if it may not be read, [ErrDirectory], or one of the file system.
func (f *Files) Lookup(name string) (*File, error) {
	e := f.entry(name)
	var known *File
	if e != nil {
		if known = e.file.Load(); known != nil && known.ModTime.IsZero() {
			return known, nil
		}
	}
	info, err := f.stat(name)
	if err != nil {
		return nil, err
	}
	if known != nil && known.is(info) {
		return known, nil
	}
	if e == nil {
		e = f.addEntry(name)
	}
	return f.hash(e, name, info)
}

// Open opens the file with the name. The file is the version whose content is read.
func (f *Files) Open(name string) (*File, io.ReadSeekCloser, error) {
	for range 3 { // the file may change between the two
		file, err := f.Lookup(name)
		if err != nil {
			return nil, nil, err
		}
		content, err := f.fsys.Open(name)
		if err != nil {
			return nil, nil, f.missing(name, err)
		}
		info, err := content.Stat()
		if err == nil && file.is(info) {
			seeker, err := seekable(content)
			return file, seeker, err
		}
		content.Close()
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errors.New("the file changes all the time")
}

func (f *Files) entry(name string) *entry {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.entries[name]
}

func (f *Files) addEntry(name string) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[name]
	if e == nil {
		if len(f.entries) >= maxEntries {
			clear(f.entries)
		}
		e = &entry{}
		f.entries[strings.Clone(name)] = e
	}
	return e
}

// stat returns the description of a regular file.
func (f *Files) stat(name string) (fs.FileInfo, error) {
	if strings.Contains(name, ":") { // a stream of another file on Windows
		return nil, ErrMissing
	}
	info, err := fs.Stat(f.fsys, name)
	switch {
	case err != nil:
		return nil, f.missing(name, err)
	case info.IsDir():
		return nil, ErrDirectory
	case !info.Mode().IsRegular(): // opening a pipe would wait for a writer
		return nil, ErrMissing
	}
	return info, nil
}

// missing returns ErrMissing if err means that there is no file that may be served, which is
// so for a symbolic link that cannot be followed, as those that lead out of an os.Root.
func (f *Files) missing(name string, err error) error {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP} {
		if errors.Is(err, known) {
			return ErrMissing
		}
	}
	if f.throughLink(name) {
		return ErrMissing
	}
	return err
}

// throughLink reports whether the name or a directory in it is a symbolic link.
func (f *Files) throughLink(name string) bool {
	for end := 0; end < len(name); end++ {
		if slash := strings.IndexByte(name[end:], '/'); slash >= 0 {
			end += slash
		} else {
			end = len(name)
		}
		info, err := fs.Lstat(f.fsys, name[:end])
		if err != nil {
			return false
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// hash reads the file and keeps its hash. info is how the caller has found it.
func (f *Files) hash(e *entry, name string, info fs.FileInfo) (*File, error) {
	e.hashing.Lock()
	defer e.hashing.Unlock()
	if known := e.file.Load(); known != nil && known.is(info) {
		return known, nil
	}
	content, err := f.fsys.Open(name)
	if err != nil {
		return nil, f.missing(name, err)
	}
	defer content.Close()
	if info, err = content.Stat(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return nil, err
	}
	file := newFile(strings.Clone(name), sum.Sum(nil), info)
	file.Type = []string{cmp.Or(f.types[strings.ToLower(path.Ext(name))], mediatype.ByName(name))}
	e.file.Store(file)
	return file, nil
}

func newFile(name string, sum []byte, info fs.FileInfo) *File {
	tag, _ := etag.Quote(base64.RawURLEncoding.EncodeToString(sum[:12]))
	return &File{
		Name: name, Hash: hex.EncodeToString(sum)[:hashLength], Tag: tag, ETag: []string{tag},
		ModTime: info.ModTime(), size: info.Size(),
	}
}

// is reports whether the file looks as it did when it was hashed.
func (f *File) is(info fs.FileInfo) bool {
	return f.size == info.Size() && f.ModTime.Equal(info.ModTime())
}

// seekable returns a file that can be read from any position. It reads others into memory, as
// those of zip.Reader.
func seekable(file fs.File) (io.ReadSeekCloser, error) {
	if seeker, ok := file.(io.ReadSeekCloser); ok {
		return seeker, nil
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	return inMemory{bytes.NewReader(content)}, err
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
