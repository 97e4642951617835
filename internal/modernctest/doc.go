// Package modernctest has tests only: that package backend works with the driver of
// modernc.org/sqlite in a program that does not import backend/sqlite.
package modernctest
