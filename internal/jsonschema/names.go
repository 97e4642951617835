package jsonschema

import (
	"path"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Names gives types the names that clients see. Documents that share one call a
// type by the same name. A name depends on those that were given before, so the
// documents have to ask in the same order each time the program runs. It is safe
// for concurrent use.
type Names struct {
	mu    sync.Mutex
	given map[nameKey]string
	taken map[string]bool
}

// nameKey is what has a name: a type may look different as input and as output.
type nameKey struct {
	of      reflect.Type
	in      bool
	lenient bool   // an input that may have other properties
	at      string // of some fields only: the operation whose body they are
}

// NewNames returns names without those that are taken by something else than
// types.
func NewNames(taken ...string) *Names {
	n := &Names{given: map[nameKey]string{}, taken: map[string]bool{}}
	for _, name := range taken {
		n.taken[name] = true
	}
	return n
}

// Of returns the name of a type, which consists of letters, digits and
// underscores: its own, or what tells it from other types with that.
func (n *Names) Of(t *plan.Type, direction plan.Direction) string {
	return n.of(nameKey{of: t.Go, in: direction == plan.In}, t)
}

// of returns the name of a type as the key describes it.
func (n *Names) of(key nameKey, t *plan.Type) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, known := n.given[key]
	if !known {
		name = n.choose(key, plain(t.Name))
		n.given[key], n.taken[name] = name, true
	}
	return name
}

// choose returns a name that is not taken. Types without a name are called by
// their operation.
func (n *Names) choose(key nameKey, of string) string {
	direction := "Output"
	switch {
	case key.lenient:
		direction = "Lenient"
	case key.in:
		direction = "Input"
	}
	if of == "" {
		of, direction = capital(key.at)+direction, ""
	}
	from, at := capital(path.Base(key.of.PkgPath())), capital(key.at)
	candidates := []string{of, of + direction, from + of, from + of + direction, at + of}
	if !key.in {
		candidates = []string{of, from + of, of + direction}
	}
	for i := 2; ; i++ {
		for _, name := range candidates {
			if !n.taken[name] {
				return name
			}
		}
		candidates = []string{of + strconv.Itoa(i)}
	}
}

// capital returns a name as part of another: plain, and with a capital at its
// beginning.
func capital(name string) string {
	name = plain(name)
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// plain removes what names of types cannot have in every document.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, name)
}
