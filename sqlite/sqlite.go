// Package sqlite is the driver for SQLite. Import it for its effect:
//
//	import _ "github.com/seed-215b9b7c/backend/sqlite"
//
// [backend.Open] then uses it for URLs that begin with sqlite:. It has the engine of
// modernc.org/sqlite, which needs no C compiler, and calls it without that package's own
// driver:
//
//   - Rows take no allocation for each value.
//   - A deadline ends a statement wherever it is: in a search for the next row, or while it
//     waits for the lock of another process. It costs no goroutine.
//   - Lists of arguments take time in proportion to their length.
//
// Functions, collations and hooks that are registered with modernc.org/sqlite do not exist on
// its connections. A program that needs them imports modernc.org/sqlite instead.
//
// Package database/sql knows the driver as "backend-sqlite". Errors of SQLite have a method
// Code, with the extended result code as an int.
package sqlite

import (
	"database/sql"

	"github.com/seed-215b9b7c/backend/internal/sqliteconn"
)

func init() { sql.Register("backend-sqlite", &sqliteconn.Driver{}) }
