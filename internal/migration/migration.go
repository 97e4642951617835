// Package migration reads migration files in the format of goose
// (https://github.com/pressly/goose): NNNN_name.sql with a section after
// "-- +goose Up" and one after "-- +goose Down", statements that end with a
// semicolon, or stand between "-- +goose StatementBegin" and "StatementEnd",
// and "-- +goose NO TRANSACTION".
package migration

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// File is one migration file.
type File struct {
	Version  int64
	Name     string // the file's name
	Checksum string // SHA-256 of the text with line feeds only and no byte order mark, in hex
	Up       []string
	Down     []string
	HasDown  bool
	NoTx     bool // must not run in a transaction
}

// Folders are the names of per-engine folders.
var Folders = []string{"sqlite", "postgres", "mysql"}

// Load reads the migrations in fsys: from the folder named after the engine if
// there are such folders, else from fsys itself, or from the one folder that
// is all fsys holds, as with go:embed. They come sorted by version. The error
// names every file that cannot be read.
func Load(fsys fs.FS, engine string, dialect sqltext.Dialect) ([]File, error) {
	dir, names, err := find(fsys, ".", engine)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no .sql file in %s; give the folder that has them, or nil if there are none", dir)
	}
	var files []File
	var wrong []error
	for _, name := range names {
		file, err := read(fsys, path.Join(dir, name), dialect)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
			continue
		}
		files = append(files, *file)
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Version, b.Version) })
	for i := 1; i < len(files); i++ {
		if files[i].Version == files[i-1].Version {
			wrong = append(wrong, fmt.Errorf("%s and %s have the same version", files[i-1].Name, files[i].Name))
		}
	}
	return files, errors.Join(wrong...)
}

// find returns the folder that holds the migrations and their names.
func find(fsys fs.FS, dir, engine string) (string, []string, error) {
	names, folders, err := list(fsys, dir)
	if err != nil {
		return "", nil, err
	}
	perEngine := slices.ContainsFunc(folders, func(folder string) bool { return slices.Contains(Folders, folder) })
	switch {
	case perEngine && len(names) > 0:
		return "", nil, fmt.Errorf("%s is beside per-engine folders; put it into them", names[0])
	case perEngine && !slices.Contains(folders, engine):
		return "", nil, fmt.Errorf("there are per-engine folders, and none named %s", engine)
	case perEngine:
		dir = path.Join(dir, engine)
		names, _, err = list(fsys, dir)
		return dir, names, err
	case len(names) == 0 && len(folders) == 1:
		return find(fsys, path.Join(dir, folders[0]), engine)
	case len(names) == 0 && len(folders) > 1:
		return "", nil, fmt.Errorf("there are no .sql files, and more than one folder to look into (%s); choose with fs.Sub", strings.Join(folders, ", "))
	}
	return dir, names, nil
}

// list returns the migration files and the folders in dir. A file that looks like a
// migration but has a wrong name is an error.
func list(fsys fs.FS, dir string) (names, folders []string, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		isDir := entry.IsDir()
		if entry.Type()&fs.ModeSymlink != 0 {
			target, err := fs.Stat(fsys, path.Join(dir, name))
			isDir = err == nil && target.IsDir()
		}
		switch {
		case isDir:
			folders = append(folders, name)
		case strings.HasSuffix(name, ".sql"):
			names = append(names, name)
		case strings.EqualFold(path.Ext(name), ".sql"):
			return nil, nil, fmt.Errorf("%s must be named .sql in lower case", name)
		}
	}
	return names, folders, nil
}

func read(fsys fs.FS, name string, dialect sqltext.Dialect) (*File, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	return Parse(path.Base(name), string(data), dialect)
}

var fileName = lazyre.New(`^(\d+)_.*\.sql$`)

// Parse reads the text of a migration file. Errors name the line.
func Parse(name, text string, dialect sqltext.Dialect) (*File, error) {
	match := fileName().FindStringSubmatch(name)
	if match == nil {
		return nil, errors.New("the name is not a number, an underscore and a name: 0001_create_notes.sql")
	}
	version, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil || version < 1 {
		return nil, errors.New("the number in the name is not between 1 and 9223372036854775807")
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n") // of Windows' editors
	sum := sha256.Sum256([]byte(text))
	p := parser{dialect: dialect, file: File{Version: version, Name: name, Checksum: hex.EncodeToString(sum[:])}}
	if err := p.run(text); err != nil {
		return nil, err
	}
	return &p.file, nil
}

// parser collects the lines of a statement until it ends.
type parser struct {
	dialect sqltext.Dialect
	file    File
	section *[]string // where statements go: Up, Down, or nil before the first
	block   int       // line of StatementBegin, or 0
	first   int       // line of the first collected one
	lines   strings.Builder
}

func (p *parser) run(text string) error {
	number := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		number++
		if err := p.line(number, line); err != nil {
			return err
		}
	}
	if p.block != 0 {
		return fmt.Errorf("line %d: StatementBegin has no StatementEnd", p.block)
	}
	if err := p.flush(false); err != nil {
		return err
	}
	if p.section == nil {
		return errors.New(`there is no "-- +goose Up" line`)
	}
	return nil
}

func (p *parser) line(number int, line string) error {
	trimmed := strings.TrimSpace(line)
	isComment := strings.HasPrefix(trimmed, "--")
	command, isCommand := strings.CutPrefix(strings.TrimSpace(strings.ReplaceAll(trimmed, "--", "")), "+goose")
	if isComment && isCommand {
		if err := p.command(number, strings.ToUpper(strings.Join(strings.Fields(command), " "))); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return nil
	}
	if p.section == nil && trimmed != "" && !isComment {
		return fmt.Errorf(`line %d: there is SQL before a "-- +goose Up" line; begin the file with this line`, number)
	}
	if p.lines.Len() == 0 {
		p.first = number
	}
	p.lines.WriteString(line)
	return nil
}

// command handles a "-- +goose" line.
func (p *parser) command(number int, command string) error {
	switch command {
	case "NO TRANSACTION": // anywhere
		p.file.NoTx = true
		return nil
	case "ENVSUB OFF":
		return nil
	case "ENVSUB ON":
		return errors.New("ENVSUB is not supported, since the environment would change what has run; write the values into the file, or write a Migration in Go")
	}
	if p.block != 0 && command != "STATEMENTEND" {
		return fmt.Errorf("%q inside the statement that begins at line %d", command, p.block)
	}
	switch command {
	case "UP":
		return p.begin(&p.file.Up, p.section == nil)
	case "DOWN":
		first := !p.file.HasDown
		p.file.HasDown = true
		return p.begin(&p.file.Down, first && p.section != nil)
	case "STATEMENTBEGIN":
		if p.section == nil {
			return errors.New("StatementBegin before Up")
		}
		p.block = number
		return p.beforeBlock()
	case "STATEMENTEND":
		if p.block == 0 {
			return errors.New("StatementEnd without StatementBegin")
		}
		p.block = 0
		return p.flush(true)
	}
	return fmt.Errorf("%q is not known; there are Up, Down, StatementBegin, StatementEnd and NO TRANSACTION", command)
}

func (p *parser) begin(section *[]string, inOrder bool) error {
	if !inOrder {
		return errors.New("a file has one Up section and then at most one Down section")
	}
	if p.section == nil {
		p.lines.Reset() // comments
	}
	err := p.flush(false)
	p.section = section
	return err
}

// beforeBlock turns the lines before a block into statements. The last one continues in
// the block unless a semicolon ends it.
func (p *parser) beforeBlock() error {
	rest, err := sqltext.Unfinished(p.dialect, p.lines.String())
	if err != nil {
		return p.flush(false)
	}
	text := p.lines.String()
	p.lines.Reset()
	p.lines.WriteString(text[:len(text)-len(rest)])
	err = p.flush(false)
	p.lines.WriteString(rest)
	return err
}

// flush turns the collected lines into statements.
func (p *parser) flush(single bool) error {
	text := p.lines.String()
	p.lines.Reset()
	if p.section == nil {
		return nil
	}
	if single {
		if statement := sqltext.Single(p.dialect, text); statement != "" {
			*p.section = append(*p.section, statement)
		}
		return nil
	}
	statements, err := sqltext.Split(p.dialect, text)
	if err != nil {
		return fmt.Errorf("in the SQL from line %d: %w", p.first, err)
	}
	*p.section = append(*p.section, statements...)
	return nil
}

// Checksum returns the checksum of the first n statements. It shows whether the
// statements of a migration that stopped halfway were changed.
func Checksum(statements []string) string {
	sum := sha256.Sum256([]byte(strings.Join(statements, ";\n")))
	return hex.EncodeToString(sum[:])
}

// Checksums returns the [Checksum] of the first n statements for each n from 0, in linear
// time.
func Checksums(statements []string) []string {
	sums := make([]string, 0, len(statements)+1)
	hash := sha256.New()
	sum := func() { sums = append(sums, hex.EncodeToString(hash.Sum(nil))) }
	sum()
	for i, statement := range statements {
		if i > 0 {
			hash.Write([]byte(";\n"))
		}
		hash.Write([]byte(statement))
		sum()
	}
	return sums
}
