//go:build !unix

package dbconn

import "os"

// fileID tells a file from all others that exist at the same time. The zero fileID is none.
type fileID struct{ info os.FileInfo }

// identify returns the file that a path leads to.
func identify(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	return idOfInfo(info), nil
}

// idOfInfo returns the file that [os.Stat] has found.
func idOfInfo(info os.FileInfo) fileID { return fileID{info} }

func (id fileID) same(other fileID) bool { return os.SameFile(id.info, other.info) }
