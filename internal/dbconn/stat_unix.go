//go:build unix

package dbconn

import (
	"os"
	"syscall"
)

// fileID tells a file from all others that exist at the same time. The zero fileID is none.
type fileID struct{ device, inode uint64 }

// identify returns the file that a path leads to. It makes no FileInfo, which takes a third
// of the time of [os.Stat].
func identify(path string) (fileID, error) {
	var found syscall.Stat_t
	err := syscall.Stat(path, &found)
	for err == syscall.EINTR {
		err = syscall.Stat(path, &found)
	}
	if err != nil {
		return fileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return idOf(&found), nil
}

// idOfInfo returns the file that [os.Stat] has found.
func idOfInfo(info os.FileInfo) fileID { return idOf(info.Sys().(*syscall.Stat_t)) }

func idOf(found *syscall.Stat_t) fileID { return fileID{uint64(found.Dev), uint64(found.Ino)} }

func (id fileID) same(other fileID) bool { return id == other }
