package clienttest

import (
	"net/http"

	"github.com/seed-215b9b7c/backend"
)

// Problem is an error of an API that has its own format. It has the name that the schema of
// errors has otherwise.
type Problem struct {
	Reason string   `json:"reason" doc:"What went wrong, for people."`
	Fields []string `json:"fields,omitempty"`
}

// OwnErrors has statuses that clients of an older API expect.
func OwnErrors() backend.ErrorsConfig {
	return backend.ErrorsConfig{
		ContentType: "application/vnd.things.error+json",
		Body: backend.ErrorBodyOf(func(_ *http.Request, e *backend.Error) Problem {
			body := Problem{Reason: e.Message}
			for _, field := range e.Fields {
				body.Fields = append(body.Fields, field.Pointer)
			}
			return body
		}),
		Status: func(e *backend.Error) int {
			if e.Code == backend.Invalid {
				return http.StatusBadRequest
			}
			return 0
		},
	}
}
