// Package webauthntest has tests only: that package webauthn accepts and refuses the
// same responses as another implementation does, but for the differences listed there.
// It is a module of its own because of that implementation.
package webauthntest
