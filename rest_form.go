package backend

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"

	"github.com/seed-215b9b7c/backend/internal/form"
	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file decodes the input of an operation from a form.

const (
	urlencodedType = "application/x-www-form-urlencoded"
	multipartType  = "multipart/form-data"
)

// formReader reads forms for one route.
type formReader struct {
	input *httpin.Input
	files map[string]form.Files // the fields that are files
	types []string              // the media types that the route takes
}

// newFormReader returns the reader of the forms of a route, or an error with everything that
// no form can have.
func newFormReader(input *httpin.Input) (*formReader, error) {
	if err := input.CompileForm(); err != nil {
		return nil, fmt.Errorf("the option Form: %w", err)
	}
	f := &formReader{input: input, files: map[string]form.Files{}, types: []string{"application/json", urlencodedType, multipartType}}
	for _, field := range input.FormFiles {
		f.files[field.Name], _, _ = filesOf(field) // checked with the operation
		f.types = []string{multipartType}
	}
	return f, nil
}

// typeOf returns the type of the form that a request has, and the boundary of its parts. It
// is "" for a request with another body, and for routes that take no forms.
func (f *formReader) typeOf(head http.Header) (mediaType, boundary string) {
	if f == nil {
		return "", ""
	}
	declared := head["Content-Type"]
	if len(declared) != 1 {
		return "", ""
	}
	mediaType, params, _ := mime.ParseMediaType(declared[0])
	switch {
	case mediaType == multipartType:
		return mediaType, params["boundary"]
	case mediaType == urlencodedType && len(f.files) == 0:
		return mediaType, ""
	}
	return "", ""
}

// check refuses a form that a page of another site may have sent. [CrossOrigin] does so for
// all requests; this is for programs without it. Without forms, browsers ask first.
func (f *formReader) check(r *http.Request) error {
	if x := exchangeFrom(r.Context()); x != nil && x.client.sameOrigin {
		return nil
	}
	if _, err := new(crossOrigin).check(r); err != nil {
		return foreignSite(err)
	}
	return nil
}

// read reads a form with several parts. The form must be closed, also after an error.
func (f *formReader) read(body io.Reader, boundary string, ignoreUnknown bool, limits form.Limits) (*form.Form, error) {
	if boundary == "" {
		return &form.Form{}, &Error{Code: Malformed, Message: "The Content-Type of the form has no boundary."}
	}
	fields := form.Fields{Files: f.files}
	if ignoreUnknown {
		fields.Ignored = func(name string) bool { return !f.input.HasForm(name) }
	}
	sent, err := form.ReadMultipart(body, boundary, fields, limits)
	return sent, formError(err)
}

// parse parses a form that is one text.
func (f *formReader) parse(body []byte) (*form.Form, error) {
	values, err := form.ParseURLEncoded(body)
	return &form.Form{Values: values}, formError(err)
}

// formError translates an error of reading a form.
func formError(err error) error {
	if syntax, ok := errors.AsType[*form.SyntaxError](err); ok {
		return &Error{Code: Malformed, Message: "The form " + syntax.Error() + "."}
	}
	if err == form.ErrNoMemory || err == form.ErrNoDisk {
		return noMemory(err)
	}
	return err
}

// decode puts the fields of a form into an input. It appends to wrong what is wrong.
func (f *formReader) decode(sent *form.Form, in reflect.Value, ignoreUnknown bool, wrong *[]FieldError) {
	for name := range sent.Values {
		if !ignoreUnknown && !f.input.HasForm(name) {
			*wrong = append(*wrong, FieldError{Pointer: httpin.Pointer(cut(name, 200)), Rule: "unknown", Message: notInForm})
		}
	}
	*wrong = append(*wrong, wrongFields(f.input.DecodeForm(sent.Values, in))...)
	for _, w := range sent.Wrong {
		if _, isFile := f.files[w.Name]; !isFile && !f.input.HasForm(w.Name) {
			w.Rule, w.Message = "unknown", notInForm
		}
		*wrong = append(*wrong, FieldError{Pointer: httpin.Pointer(cut(w.Name, 200)), Rule: w.Rule, Message: w.Message})
	}
	for _, field := range f.input.FormFiles {
		f.decodeFiles(sent, field, in.FieldByIndex(field.Index), wrong)
	}
}

const notInForm = "is not a field of this form"

// decodeFiles sets a field to the files of a form.
func (f *formReader) decodeFiles(sent *form.Form, field *plan.Field, into reflect.Value, wrong *[]FieldError) {
	var uploads []Upload
	for _, file := range sent.Files[field.Name] {
		uploads = append(uploads, Upload{Name: file.Name, Type: file.Type, Size: file.Size, content: file.Content})
	}
	switch {
	case into.Kind() == reflect.Slice:
		into.Set(reflect.ValueOf(uploads).Convert(into.Type()))
	case len(uploads) > 0:
		into.Set(reflect.ValueOf(uploads[0]))
	case field.Required && !sent.Sent[field.Name]:
		*wrong = append(*wrong, FieldError{Pointer: httpin.Pointer(field.Name), Rule: "required", Message: "is missing"})
	}
}
