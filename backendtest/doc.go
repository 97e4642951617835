// Package backendtest is for the go test of programs that use package backend:
// throw-away databases on every engine ([EachDB], [NewDB]), a client for
// handlers ([NewClient]), callers who need no password ([Callers]), and the suite
// that says what every engine must do alike ([TestDB]).
package backendtest
