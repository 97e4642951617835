// Package backendtest is for the go test of programs that use package backend:
// throw-away databases on every engine, and the suite that says what every
// engine must do alike.
package backendtest
