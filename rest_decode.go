package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/form"
	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/render"
)

// This file decodes the input of an operation from a request to the REST door.

// decode decodes the input from the request, and the relations that the client asks
// for.
func (c *restCall) decode(_ context.Context, in any) error {
	if err := c.checkConditions(); err != nil {
		return err
	}
	value := reflect.ValueOf(in).Elem()
	var fields []FieldError
	if err := c.decodeText(value, &fields); err != nil {
		return err
	}
	if err := c.decodeBody(value, &fields); err != nil {
		return err
	}
	if len(fields) > 0 {
		return &Error{Code: Invalid, Fields: fields}
	}
	return nil
}

// maxQueryParams bounds the parameters of a query string.
const maxQueryParams = 256

// decodeText decodes the fields that come from path, query, headers and cookies.
func (c *restCall) decodeText(in reflect.Value, wrong *[]FieldError) error {
	r, req := c.route, c.req
	query, err := parseQuery(req.URL.RawQuery)
	if err != nil {
		return err
	}
	for name := range query {
		if !r.op.settings.ignoreUnknown && !r.input.HasQuery(name) && (name != includeParam || len(r.includes) == 0) {
			*wrong = append(*wrong, FieldError{Pointer: httpin.Pointer(cut(name, 200)), Rule: "unknown", Message: "is not a parameter of this request"})
		}
	}
	*wrong = append(*wrong, wrongFields(r.input.Decode(req, c.path.values, query, in, false))...)
	if lists := query[includeParam]; len(lists) > 0 && len(r.includes) > 0 {
		c.selection = r.decodeInclude(lists, wrong)
	}
	slices.SortFunc(*wrong, func(a, b FieldError) int {
		return strings.Compare(r.input.SentPointer(a.Pointer, a.Rule), r.input.SentPointer(b.Pointer, b.Rule))
	})
	return nil
}

func parseQuery(text string) (url.Values, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Count(text, "&") >= maxQueryParams {
		return nil, &Error{Code: Malformed, Message: fmt.Sprintf("The query string has more than %d parameters.", maxQueryParams)}
	}
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, (&Error{Code: Malformed, Message: "The query string cannot be read."}).Wrap(err)
	}
	return query, nil
}

// decodeInclude returns the selection that the values of the parameter include ask for.
func (r *restRoute) decodeInclude(lists []string, wrong *[]FieldError) *render.Selection {
	tree := included{}
	for _, list := range lists {
		for path := range strings.SplitSeq(list, ",") {
			if _, known := slices.BinarySearch(r.includes, path); !known {
				*wrong = append(*wrong, FieldError{Pointer: httpin.Pointer(includeParam), Rule: "oneof", Message: "must be one of " + strings.Join(r.includes, ", ")})
				return nil
			}
			tree.add(path)
		}
	}
	return r.door.relations.selection(r.op.outPlan, tree)
}

// asSent translates the pointers of an error from fields of the input to the request:
// to the names of parameters, headers and cookies, and to pointers into the body if one
// field is the body.
func (r *restRoute) asSent(err error) error {
	wrong, ok := errors.AsType[*Error](err)
	if !r.input.Renames() || !ok || len(wrong.Fields) == 0 {
		return err
	}
	renamed := *wrong
	renamed.Fields = slices.Clone(wrong.Fields)
	for i, field := range renamed.Fields {
		renamed.Fields[i].Pointer = r.input.SentPointer(field.Pointer, field.Rule)
	}
	return &renamed
}

// decodeBody decodes the fields that come from the body.
func (c *restCall) decodeBody(in reflect.Value, wrong *[]FieldError) error {
	r := c.route
	if r.op.kind == isQuery {
		return nil
	}
	if mediaType, boundary := r.forms.typeOf(c.req.Header); mediaType != "" {
		return c.decodeForm(mediaType, boundary, in, wrong)
	}
	if err := c.readBody(); err != nil {
		return err
	}
	body, at := c.body, r.input.BodyAt
	switch none := jsonin.Empty(body); {
	case none && r.input.HasBody() && !r.op.settings.optionalBody:
		return &Error{Code: Malformed, Message: "The body is missing. Send it as " + r.bodyTypes() + "."}
	case none && (at != nil || !r.input.HasBody()):
		return nil
	case none:
		body = emptyObject
	default:
		if err := c.checkType(); err != nil {
			return err
		}
	}
	if at == nil {
		return decodeJSON(r.input.Body, body, in, "", wrong, &c.memory)
	}
	return decodeJSON(r.input.Body, body, in.FieldByIndex(at.Index), httpin.Pointer(at.Name), wrong, &c.memory)
}

// decodeForm decodes the fields that come from the body from a form.
func (c *restCall) decodeForm(mediaType, boundary string, in reflect.Value, wrong *[]FieldError) error {
	if c.form == nil {
		if err := c.readForm(mediaType, boundary); err != nil {
			return err
		}
	}
	c.route.forms.decode(c.form, in, c.route.op.settings.ignoreUnknown, wrong)
	return nil
}

// readForm reads the form, once.
func (c *restCall) readForm(mediaType, boundary string) (err error) {
	forms := c.route.forms
	if err := forms.check(c.req); err != nil {
		return err
	}
	if err := c.checkCoding(); err != nil {
		return err
	}
	if mediaType == urlencodedType {
		if err = c.readBody(); err == nil {
			c.form, err = forms.parse(c.body)
		}
		return err
	}
	c.disk = c.route.door.logic.disk.Begin(clientKey(c.address()))
	c.form, err = forms.read(c.limitedBody(), boundary, c.route.op.settings.ignoreUnknown, form.Limits{Memory: &c.memory, Disk: &c.disk})
	return bodyFault(err)
}

// bodyFault returns an error of reading the body: if it is none of ours, such as broken
// chunks, it is the client's fault.
func bodyFault(err error) error {
	_, ofDisk := errors.AsType[*fs.PathError](err)
	if err != nil && CodeOf(err) == Internal && !ofDisk {
		err = (&Error{Code: Malformed, Message: "The body could not be read to its end."}).Wrap(err)
	}
	return err
}

// limitedBody returns the body with the limit of the operation, which may be above the
// limit of the stack.
func (c *restCall) limitedBody() io.Reader {
	limit := c.route.op.settings.maxBody
	limitBody(c.w, c.req, limit)
	if n := c.req.ContentLength; n < 0 || n > limit { // net/http never reads more than ContentLength
		return http.MaxBytesReader(c.w, c.req.Body, limit)
	}
	return c.req.Body
}

// readBody reads the body, once.
func (c *restCall) readBody() (err error) {
	if c.read {
		c.memory.Shrink(c.arrived) // what an earlier try of the transaction has decoded is garbage
		return nil
	}
	c.body, err = readAll(c.body[:0], c.limitedBody(), &c.memory)
	c.read, c.arrived = err == nil, c.memory.Used()
	return bodyFault(err)
}

// readAll is io.ReadAll that appends to dst, and takes the memory for it from memory.
func readAll(dst []byte, from io.Reader, memory *admission.Portion) ([]byte, error) {
	for counted := cap(dst); ; { // a spare buffer is there anyway
		dst = slices.Grow(dst, 512)
		if more := cap(dst) - counted; !memory.Use(int64(more)) {
			return dst, noMemory(errNoMemory)
		}
		counted = cap(dst)
		n, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// checkType refuses a body whose Content-Type is not JSON, and says in answer what is
// accepted. A page of another origin can send other types without a preflight.
func (c *restCall) checkType() error {
	r, head, answer := c.route, c.req.Header, c.w.Header()
	if !r.input.HasBody() && !r.sendsJSON(head) {
		return &Error{Code: Malformed, Message: "This request takes no body."}
	}
	if err := c.checkCoding(); err != nil {
		return err
	}
	switch json := r.sendsJSON(head); {
	case json && (r.forms == nil || len(r.forms.files) == 0):
		return nil
	case r.forms != nil:
		answer.Set("Accept", strings.Join(r.forms.types, ", ")) // RFC 9110, section 15.5.16
		return &Error{Code: Unsupported, Message: "Send the body as " + r.bodyTypes() + "."}
	}
	if patch := r.acceptPatch(); patch != nil {
		answer["Accept-Patch"] = patch
	} else {
		answer.Set("Accept", "application/json") // RFC 9110, section 15.5.16
	}
	return &Error{Code: Unsupported, Message: "Send the body as " + r.bodyTypes() + "."}
}

// bodyTypes returns the media types that a body may have, in words.
func (r *restRoute) bodyTypes() string {
	if r.forms != nil {
		return strings.Join(r.forms.types, " or ")
	}
	return "application/json in UTF-8"
}

// checkCoding refuses a body that is compressed.
func (c *restCall) checkCoding() error {
	if coding := c.req.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		c.w.Header().Set("Accept-Encoding", "identity") // RFC 9110, section 12.5.3
		return &Error{Code: Unsupported, Message: "Send the body without Content-Encoding."}
	}
	return nil
}

// sendsJSON reports whether the header of a request says that its body is JSON.
func (r *restRoute) sendsJSON(head http.Header) bool {
	declared := head["Content-Type"]
	return len(declared) == 1 && (declared[0] == "application/json" || r.isJSON(declared[0]))
}

// isJSON reports whether a Content-Type is JSON. Its parameters, and the charset of old
// clients, have no meaning (RFC 8259, section 11): a body that is not UTF-8 is not JSON.
func (r *restRoute) isJSON(declared string) bool {
	mediaType, _ := header.CutParams(declared)
	return strings.EqualFold(mediaType, "application/json") || strings.EqualFold(mediaType, "application/merge-patch+json") && r.method == http.MethodPatch
}

// acceptPatch implements [patches].
func (r *restRoute) acceptPatch() []string {
	if r.method != http.MethodPatch || !r.input.HasBody() {
		return nil
	}
	return patchTypes
}

var patchTypes = []string{"application/json, application/merge-patch+json"}
