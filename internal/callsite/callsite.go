// Package callsite tells where a function was called, for errors about what was
// registered there.
package callsite

import (
	"runtime"
	"strconv"
)

// Caller returns file and line, as file:line, of a call on the stack of this
// goroutine: with 0 that of Caller itself, with 1 the call of the function that
// called Caller, and so on.
func Caller(above int) string {
	_, file, line, ok := runtime.Caller(above + 1)
	if !ok {
		return "unknown"
	}
	return file + ":" + strconv.Itoa(line)
}
