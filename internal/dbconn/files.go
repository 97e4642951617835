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
	open  []fileID // what the paths led to when the files were opened; none for one that may not be open yet
}

func openFiles(paths []string) *files {
	f := &files{paths, make([]fileID, len(paths))}
	if len(paths) > 0 {
		f.open[0], _ = identify(paths[0])
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
	if len(f.open) > 0 && !f.open[0].same(idOfInfo(first)) {
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
		unknown := f.open[i] == fileID{}
		if unknown && !used {
			continue
		}
		now, err := identify(path)
		switch {
		case unknown: // SQLite opens its WAL late, and has none on some file systems
			f.open[i] = now
			continue
		case err == nil && !f.open[i].same(now):
			err = errors.New(path + " is not the file that was opened")
		}
		if err != nil {
			return fmt.Errorf("%w; restore the file, or restart the program", err)
		}
	}
	return nil
}
