package main

import (
	"context"
	"net/http"
	"path"

	"github.com/seed-215b9b7c/backend"
)

// ErrorBody is an error in the format of the specification, which says what is wrong with
// what: {"errors":{"email":["has already been taken"]}}.
type ErrorBody struct {
	Errors map[string][]string `json:"errors"`
}

// errorBody puts every error of the program into that format, such as that of a path that
// does not exist, or a body that is not JSON.
func errorBody(_ *http.Request, e *backend.Error) ErrorBody {
	errors := map[string][]string{}
	for _, field := range e.Fields {
		name, message := path.Base(field.Pointer), field.Message // /user/email is email
		switch {
		case field.Rule == "required" || field.Rule == "notempty":
			message = "can't be blank"
		case e.Code == backend.Conflict && field.Rule == "unique":
			message = "has already been taken"
		}
		errors[name] = append(errors[name], message)
	}
	switch {
	case len(errors) > 0:
	case e.Anonymous():
		errors["token"] = []string{"is missing"}
	default:
		errors["body"] = []string{e.Message}
	}
	return ErrorBody{errors}
}

// about returns an error that says what is wrong with what.
func about(code backend.Code, what, message string) *backend.Error {
	return (&backend.Error{Code: code}).WithField(what, "", message)
}

// missing adds to the error of a query without a row what it did not find.
func missing(what string, err error) error {
	if err == nil || backend.CodeOf(err) != backend.NotFound {
		return err
	}
	return about(backend.NotFound, what, "not found").Wrap(err)
}

// own returns an error if the caller is not the author of what.
func own(ctx context.Context, what string, author backend.AccountID) error {
	if author == backend.CallerFrom(ctx).ID {
		return nil
	}
	return about(backend.Forbidden, what, "forbidden")
}
