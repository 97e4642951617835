package backend_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

func TestHandlerFuncTurnsErrorsIntoResponses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"none", nil, 200, "fine"},
		{"ours", backend.Errorf(backend.Conflict, "Taken."), 409, `"detail":"Taken."`},
		{"foreign", errors.New("secret"), 500, `"code":"internal"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := answer(backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
				if test.err == nil {
					w.Write([]byte("fine"))
				}
				return test.err
			}), "GET", "/")
			require.Equal(t, test.status, w.Code)
			require.Contains(t, w.Body.String(), test.body)
			require.NotContains(t, w.Body.String(), "secret")
		})
	}
}
