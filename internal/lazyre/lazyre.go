// Package lazyre compiles regular expressions when they are first used. Those of a package
// cost every program a part of its start otherwise, also the programs that never use them.
package lazyre

import (
	"regexp"
	"sync"
)

// New returns a function that returns the regular expression, which it compiles once. It
// panics if the pattern is wrong, as [regexp.MustCompile] does.
func New(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
