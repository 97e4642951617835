// Package httpin works out where each field of an input comes from in an HTTP
// request: the path, the query string, a header, a cookie or the body. It reads
// the fields that are text there.
package httpin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/params"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Input says where the fields of an input come from in the requests of one route.
// It is immutable once it was compiled.
type Input struct {
	Params []Param // fields that are text
	// Body decodes the body; nil: there may be none. If no field comes from the body, it
	// must be {}.
	Body *jsonin.Decoder
	// BodyAt is the field that is the body. Without one, BodyFields are the fields
	// of the input that come from the body.
	BodyAt     *plan.Field
	BodyFields []*plan.Field
	// FormFiles are those of BodyFields that are files of a form.
	FormFiles []*plan.Field

	form   []Param           // those of BodyFields that are text in a form
	query  map[string]bool   // parameters of the query string
	sentAs map[string]string // pointers to fields of the input → to where a request has them, if that differs
}

// Param is a field that is text in the request.
type Param struct {
	Field       *plan.Field
	Place, Name string // path, query, header or cookie, and the name there

	set    params.Setter
	at     int      // of path: which of its parameters
	absent []string // what it is where it is not sent; nil: nothing
}

// Compile works out where the fields of an input, a struct, come from. names are
// those of the path's parameters. A field that has no tag in and is not in the
// path comes from the body if there may be one, and from the query string
// otherwise. ignoreUnknown says that the body may have other fields, too. The error has
// everything that is wrong.
func Compile(in *plan.Type, names []string, mayHaveBody, ignoreUnknown bool) (*Input, error) {
	c := compiler{
		Input: Input{query: map[string]bool{}, sentAs: map[string]string{}},
		names: names, mayHaveBody: mayHaveBody, ignoreUnknown: ignoreUnknown,
	}
	var wrong []error
	for _, name := range names {
		if !slices.ContainsFunc(in.Fields, func(f *plan.Field) bool { return f.Name == name }) {
			wrong = append(wrong, fmt.Errorf("the input has no field for {%s}", name))
		}
	}
	for _, field := range in.Fields {
		if err := c.add(field); err != nil {
			wrong = append(wrong, fmt.Errorf("field %s: %w", field.GoName, err))
		}
	}
	if err := c.compileBody(in); err != nil {
		wrong = append(wrong, err)
	}
	return &c.Input, errors.Join(wrong...)
}

// PathNames returns the names of the parameters in the path of a route.
func PathNames(path string) (names []string) {
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok && name != "$}" {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}

type compiler struct {
	Input
	names                      []string // of the path's parameters
	mayHaveBody, ignoreUnknown bool
}

// add decides where a field comes from.
func (c *compiler) add(field *plan.Field) error {
	place, name := field.Place, field.PlaceName
	switch {
	case slices.Contains(c.names, field.Name):
		if place != "" && place != "path" {
			return fmt.Errorf("it is in the path and tagged in:%q", place)
		}
		place, name = "path", field.Name
	case place == "path":
		return errors.New("it is tagged in:\"path\", and the path has no such parameter")
	case place == "body":
		if !c.mayHaveBody {
			return errors.New("a query has no body")
		}
		if c.BodyAt != nil {
			return fmt.Errorf("%s is the body already", c.BodyAt.GoName)
		}
		c.BodyAt = field
		c.sentAs[Pointer(field.Name)] = ""
		return nil
	case place == "" && c.mayHaveBody:
		c.BodyFields = append(c.BodyFields, field)
		return nil
	case place == "":
		place, name = "query", field.Name
	}
	return c.addParam(field, place, name)
}

func (c *compiler) addParam(field *plan.Field, place, name string) error {
	if place == "cookie" && field.Type.Base().Kind == plan.Slice {
		return errors.New("a cookie has one value, and the field is a list")
	}
	set, err := params.Compile(field.Type)
	if err != nil {
		return err
	}
	if other := c.find(place, name); other != nil {
		return fmt.Errorf("%s is in:%q already", other.GoName, place+"="+name)
	}
	if place == "query" {
		c.query[name] = true
	}
	if name != field.Name {
		c.sentAs[Pointer(field.Name)] = Pointer(name)
	}
	param := Param{Field: field, Place: place, Name: name, set: set, at: slices.Index(c.names, name)}
	if field.HasDefault {
		param.absent = []string{field.Default}
	}
	c.Params = append(c.Params, param)
	return nil
}

// find returns the field that already comes from a parameter, or nil. Names of
// headers are compared without regard to case.
func (c *compiler) find(place, name string) *plan.Field {
	for _, p := range c.Params {
		if p.Place == place && (p.Name == name || place == "header" && strings.EqualFold(p.Name, name)) {
			return p.Field
		}
	}
	return nil
}

func (c *compiler) compileBody(in *plan.Type) (err error) {
	switch {
	case c.BodyAt != nil && len(c.BodyFields) > 0:
		return fmt.Errorf("field %s is the body, and other fields come from there, too", c.BodyAt.GoName)
	case c.BodyAt != nil:
		c.Body, err = jsonin.Compile(c.BodyAt.Type, jsonin.Options{IgnoreUnknown: c.ignoreUnknown})
	case c.mayHaveBody:
		use := func(f *plan.Field) bool { return slices.Contains(c.BodyFields, f) }
		c.Body, err = jsonin.Compile(in, jsonin.Options{Use: use, IgnoreUnknown: c.ignoreUnknown})
	}
	return err
}

// CompileForm makes the fields of the body come from a form as well. The error has
// everything that a form cannot have.
func (i *Input) CompileForm() error {
	if i.BodyAt != nil {
		return fmt.Errorf("the field %s is the body; leave the tag in:\"body\" out, so that its fields are those of the form", i.BodyAt.GoName)
	}
	if len(i.BodyFields) == 0 {
		return errors.New("no field comes from the body")
	}
	var wrong []error
	for _, field := range i.BodyFields {
		if elem := field.Type; plan.IsUpload(elem.Go) || elem.Kind == plan.Slice && plan.IsUpload(elem.Elem.Go) {
			i.FormFiles = append(i.FormFiles, field)
			continue
		}
		set, err := params.Compile(field.Type)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("field %s: %w", field.GoName, err))
			continue
		}
		param := Param{Field: field, Place: "form", Name: field.Name, set: set}
		if field.HasDefault {
			param.absent = []string{field.Default}
		}
		i.form = append(i.form, param)
	}
	return errors.Join(wrong...)
}

// HasForm reports whether a field comes from the text of a form.
func (i *Input) HasForm(name string) bool {
	return slices.ContainsFunc(i.form, func(p Param) bool { return p.Name == name })
}

// DecodeForm puts the fields that are text in a form into in, and returns those that are
// wrong. HTML has no other way to say that a number, a time or the like is absent than
// to send "", nor that a bool is false than to send nothing.
func (i *Input) DecodeForm(values url.Values, in reflect.Value) (wrong []Wrong) {
	for n := range i.form {
		param := &i.form[n]
		sent, into := values[param.Name], in.FieldByIndex(param.Field.Index)
		kind := param.Field.Type.Base().Kind
		if len(sent) == 1 && sent[0] == "" && kind != plan.String && kind != plan.Slice {
			if param.Field.Type.Kind == plan.Opt {
				into.Field(plan.OptPresent).SetBool(true)
				into.Field(plan.OptNull).SetBool(true)
				continue
			}
			sent = nil
		}
		if len(sent) == 0 && kind != plan.Bool {
			sent = param.absent
		}
		switch {
		case len(sent) > 0:
			if err := param.set(typed(sent, kind), into); err != nil {
				wrong = append(wrong, Wrong{Pointer(param.Name), "format", err.Error(), err})
			}
		case param.Field.Required && kind != plan.Slice && kind != plan.Bool:
			wrong = append(wrong, Wrong{Pointer(param.Name), "required", "is missing", nil})
		}
	}
	return wrong
}

// typed returns values as the user has typed them: a checkbox is "on" if the page says
// nothing else, and browsers send each line break as CR LF (HTML standard, section
// 4.10.21.4), which would count as two characters.
func typed(values []string, kind plan.Kind) []string {
	if kind == plan.Bool && len(values) == 1 && values[0] == "on" {
		return []string{"true"}
	}
	for i, value := range values {
		if strings.Contains(value, "\r\n") {
			values = slices.Clone(values)
			values[i] = strings.ReplaceAll(value, "\r\n", "\n")
		}
	}
	return values
}

// HasBody reports whether any field comes from the body.
func (i *Input) HasBody() bool { return i.BodyAt != nil || len(i.BodyFields) > 0 }

// HasQuery reports whether a parameter of the query string is a field.
func (i *Input) HasQuery(name string) bool { return i.query[name] }

// Renames reports whether [Input.SentPointer] changes any pointer.
func (i *Input) Renames() bool { return len(i.sentAs) > 0 }

// SentPointer returns the pointer to where a request has the field that a pointer
// leads to: a field may have another name as a header, or be the body. rule is
// what is wrong there; "unknown" parameters are no fields.
func (i *Input) SentPointer(pointer, rule string) string {
	name, rest, below := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	sent, differs := i.sentAs["/"+name]
	switch {
	case !differs || rule == "unknown" && !below:
		return pointer
	case below:
		return sent + "/" + rest
	}
	return sent
}

// Pointer returns the JSON pointer to a field (RFC 6901).
func Pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// Wrong is a field that a request has wrong, or not at all.
type Wrong struct {
	Pointer, Rule, Message string
	Cause                  error // what its type said, if the field's type reads text by itself
}

// Decode puts the fields that are text into in, a value of the input's type, and
// returns those that are wrong. path has the values of the path's parameters, in the order
// of their names. partial says that fields may be missing.
func (i *Input) Decode(req *http.Request, path []string, query url.Values, in reflect.Value, partial bool) (wrong []Wrong) {
	for n := range i.Params {
		param := &i.Params[n]
		values := param.values(req, path, query)
		switch {
		case len(values) > 0:
			if err := param.set(values, in.FieldByIndex(param.Field.Index)); err != nil {
				wrong = append(wrong, Wrong{Pointer(param.Field.Name), "format", err.Error(), err})
			}
		case !partial && param.Field.Required && param.Field.Type.Kind != plan.Slice:
			wrong = append(wrong, Wrong{Pointer(param.Field.Name), "required", "is missing", nil})
		}
	}
	return wrong
}

// values returns what the request has for a parameter, or else its default.
func (p *Param) values(req *http.Request, path []string, query url.Values) []string {
	if values := p.sent(req, path, query); len(values) > 0 {
		return values
	}
	return p.absent
}

func (p *Param) sent(req *http.Request, path []string, query url.Values) []string {
	switch p.Place {
	case "path":
		return path[p.at : p.at+1]
	case "query":
		return query[p.Name]
	case "header":
		if values := req.Header.Values(p.Name); p.Field.Type.Base().Kind != plan.Slice {
			return values
		}
		return listItems(req.Header.Values(p.Name))
	}
	var values []string
	for _, cookie := range req.CookiesNamed(p.Name) {
		values = append(values, cookie.Value)
	}
	return values
}

// listItems returns the items of a header that is a list, whose lines mean the
// same as one line with commas (RFC 9110, section 5.3).
func listItems(lines []string) (items []string) {
	for l := header.Elements(lines); l.Next(); {
		items = append(items, l.Element)
	}
	return items
}
