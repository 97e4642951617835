package main

import "testing"

// All contestants do the same work, or their numbers would mean nothing.
func TestContestants(t *testing.T) {
	for _, c := range contestants {
		for _, r := range requests {
			if err := check(c, r); err != nil {
				t.Errorf("%s, %s: %v", c.name, r.name, err)
			}
		}
	}
}
