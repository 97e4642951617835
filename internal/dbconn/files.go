package dbconn

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
)

// complete is a connection that keeps its prepared statements, and waits for the locks of
// other processes, by itself.
type complete interface {
	Conn
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// completeConn is such a connection and its files.
type completeConn struct {
	complete
	*files
}

// Unwrap returns the driver's own connection.
func (c completeConn) Unwrap() driver.Conn { return c.complete }

// files are the files of a connection to an embedded engine, see Options.Files.
type files struct {
	paths []string
	infos []os.FileInfo // what they were when the connection was made
}

func openFiles(paths []string) *files {
	f := &files{paths, make([]os.FileInfo, len(paths))}
	if len(paths) > 0 {
		f.infos[0], _ = os.Stat(paths[0])
	}
	return f
}

// filed is a connection with files.
type filed interface {
	opened(first os.FileInfo) error
	intact(used bool) error
}

// Opened returns an error if the first file of a connection was not first when the
// connection was made: what is written on the connection is then in another database.
func Opened(raw Conn, first os.FileInfo) error {
	if c, ok := raw.(filed); ok {
		return c.opened(first)
	}
	return nil
}

func (f *files) opened(first os.FileInfo) error {
	if len(f.infos) > 0 && (f.infos[0] == nil || !os.SameFile(f.infos[0], first)) {
		return errors.New(f.paths[0] + " was not the file that was opened first; restart the program")
	}
	return nil
}

// Intact returns an error if the paths of a connection's files lead to other files now, or
// to none: what is written on the connection is then lost. used says that the connection
// has just read or written, so that all its files are open.
func Intact(raw Conn, used bool) error {
	if c, ok := raw.(filed); ok {
		return c.intact(used)
	}
	return nil
}

func (f *files) intact(used bool) error {
	for i, path := range f.paths {
		if f.infos[i] == nil && !used {
			continue
		}
		now, err := os.Stat(path)
		switch {
		case f.infos[i] == nil: // SQLite opens its WAL late, and has none on some file systems
			f.infos[i] = now
			continue
		case err == nil && !os.SameFile(f.infos[i], now):
			err = errors.New(path + " is not the file that was opened")
		}
		if err != nil {
			return fmt.Errorf("%w; restore the file, or restart the program", err)
		}
	}
	return nil
}
