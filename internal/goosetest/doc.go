// Package goosetest has tests only: that every file which goose runs is run by this
// project with the same statements, or is refused with what to change. It is a module of
// its own because of goose.
package goosetest
