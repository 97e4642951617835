// Package backendtest helps to test programs that use package backend. It has
// temporary databases on every engine ([EachDB], [NewDB]), a client for handlers
// ([NewClient]), callers who need no password ([Callers]), and a suite of tests of the
// behaviour that all engines share ([TestDB]).
package backendtest
