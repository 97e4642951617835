package backend

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// This file has the values of sessions.

// SessionKey is the key of a value in sessions. Values are stored as JSON.
//
//	var cart = backend.NewSessionKey[Cart]("cart")
//
//	func addItem(w http.ResponseWriter, r *http.Request) error {
//		return cart.Update(r.Context(), func(c *Cart) error {
//			c.Items = append(c.Items, r.FormValue("item"))
//			return nil
//		})
//	}
//
// All methods need a context from behind [Sessions.Middleware]. Their errors have the code of
// the store, such as [Unavailable]. A key is safe for concurrent use.
type SessionKey[T any] struct{ name string }

// NewSessionKey returns the key with a name. Keys with the same name have the same value, so
// use one variable for each. An empty name panics.
func NewSessionKey[T any](name string) SessionKey[T] {
	if name == "" {
		panic("backend: NewSessionKey needs a name")
	}
	return SessionKey[T]{name}
}

// Get returns the value, or the zero value if there is none. A request reads its session
// once, and does not see what others change afterwards, unless it changes the session itself.
func (k SessionKey[T]) Get(ctx context.Context) (value T, err error) {
	c, err := sessionFrom(ctx)
	if err != nil {
		return value, err
	}
	state, err := c.current(ctx)
	if err != nil || state.stored == nil {
		return value, err
	}
	values, err := readValues(state.stored)
	if err != nil {
		return value, err
	}
	return k.decode(values)
}

// Set stores a value. If it is the value that was stored before, nothing is written. Without
// a session, one begins.
//
// The browser gets the cookie of a new session with the header of the response. So Set begins
// one before the response is written, and otherwise returns an error. If it does so in a
// transaction, the response must be written after that.
func (k SessionKey[T]) Set(ctx context.Context, value T) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("session value %q: %w", k.name, err)
	}
	return changeValues(ctx, func(values sessionValues) error {
		values[k.name] = text
		return nil
	})
}

// Update changes the value by f, which gets the value of this moment, or the zero value. It
// is atomic: of updates by several requests at the same time none is lost. f may be called
// again, and must not use the session itself. If f returns an error, nothing is changed, and
// Update returns it.
func (k SessionKey[T]) Update(ctx context.Context, f func(value *T) error) error {
	return changeValues(ctx, func(values sessionValues) error {
		value, err := k.decode(values)
		if err == nil {
			err = f(&value)
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("session value %q: %w", k.name, err)
		}
		if _, stored := values[k.name]; stored || !isZeroJSON[T](text) {
			values[k.name] = text
		}
		return nil
	})
}

// isZeroJSON reports whether text is the zero value of T as JSON.
func isZeroJSON[T any](text []byte) bool {
	var zero T
	is, err := json.Marshal(zero)
	return err == nil && bytes.Equal(is, text)
}

// Take returns the value and deletes it. Of several requests at the same time only one gets
// it, such as a message that the next page shows once. A value that cannot be read, since T
// has changed, is deleted, too.
func (k SessionKey[T]) Take(ctx context.Context) (value T, err error) {
	var unread error
	err = changeValues(ctx, func(values sessionValues) error {
		value, unread = k.decode(values)
		delete(values, k.name)
		return nil
	})
	if err = cmp.Or(err, unread); err != nil {
		var none T
		return none, err
	}
	return value, nil
}

// Delete deletes the value, if there is one.
func (k SessionKey[T]) Delete(ctx context.Context) error {
	return changeValues(ctx, func(values sessionValues) error {
		delete(values, k.name)
		return nil
	})
}

func (k SessionKey[T]) decode(values sessionValues) (value T, err error) {
	text, ok := values[k.name]
	if !ok {
		return value, nil
	}
	if err := json.Unmarshal(text, &value); err != nil {
		var none T
		return none, fmt.Errorf("session value %q, which may be of an earlier version of the program: %w", k.name, err)
	}
	return value, nil
}

// sessionValues are the values of a session by the names of their keys.
type sessionValues map[string]json.RawMessage

// maxSessionBytes bounds the values of a session: they are read by every request that uses it.
const maxSessionBytes = 64 << 10

func readValues(s *StoredSession) (values sessionValues, err error) {
	values = sessionValues{}
	if err := json.Unmarshal(s.Values, &values); err != nil {
		return nil, fmt.Errorf("the values of session %s: %w", s.ID, err)
	}
	return values, nil
}

// changeValues changes the values of the session of ctx.
func changeValues(ctx context.Context, change func(sessionValues) error) error {
	c, err := sessionFrom(ctx)
	if err != nil {
		return err
	}
	return c.change(ctx, func(s *StoredSession) error {
		values, err := readValues(s)
		if err == nil {
			err = change(values)
		}
		if err != nil {
			return err
		}
		if s.Values, err = json.Marshal(values); err != nil {
			return err
		}
		if len(s.Values) > maxSessionBytes {
			return fmt.Errorf("the values of a session would have %d bytes; %d is the most: store what is large in a table, and its id in the session", len(s.Values), maxSessionBytes)
		}
		return nil
	})
}
