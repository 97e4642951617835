package main

// The check before anything is measured: a contestant must answer as all others do.

import (
	"bytes"
	"fmt"
)

// golden returns an error unless a running contestant answers all requests of the work
// correctly, each twice: what is cached must be right, too.
func golden(addr string, w work) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for range 2 {
		for i, request := range w.requests {
			a, err := c.do(request, &bytes.Buffer{})
			if err != nil {
				return err
			}
			if a.status != w.status {
				return fmt.Errorf("status %d instead of %d: %s", a.status, w.status, short(string(a.body)))
			}
			if err := w.check(i, a); err != nil {
				return err
			}
		}
	}
	return nil
}
