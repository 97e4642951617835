package backend

import (
	"context"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// This file answers a request to the REST door: from its headers to a call, and
// from what became of that to an answer. The input is in rest_decode.go.

// ServeHTTP answers one request.
func (r *restRoute) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	HandlerFunc(r.serve).ServeHTTP(w, req)
}

func (r *restRoute) serve(w http.ResponseWriter, req *http.Request) error {
	if !acceptsJSON(req.Header.Values("Accept")) {
		return &Error{Code: NotAcceptable, Message: "This is available as application/json."}
	}
	head := w.Header()
	r.deprecation(head)
	call := doorCall{op: r.op, request: req, mode: r.op.options.tx}
	if r.op.options.key != keyIgnored {
		var err error
		if call.key, err = idempotencyKey(req.Header); err != nil {
			return err
		}
	}
	var tree included
	if len(r.includes) > 0 {
		tree = included{}
	}
	call.decode = func(in any) error { return r.decode(w, req, reflect.ValueOf(in).Elem(), tree) }
	if err := r.precondition(req, &call); err != nil {
		return err
	}
	var text []byte
	call.encode = func(ctx context.Context, out any) (err error) {
		text, err = r.encode(ctx, reflect.ValueOf(out).Elem(), tree)
		return err
	}
	result, err := r.door.logic.call(req.Context(), call)
	if err != nil {
		return err
	}
	return r.answer(w, req, answer{result, text, len(tree) > 0})
}

// encode writes an output with the relations that were asked for.
func (r *restRoute) encode(ctx context.Context, out reflect.Value, tree included) ([]byte, error) {
	if len(tree) == 0 {
		return r.op.encode.Append(nil, out)
	}
	i := inclusion{logic: r.door.logic, door: restDoorName}
	return i.write(ctx, r.op.encode, r.op.outPlan, out, tree)
}

// answer is what became of a call, and its output as JSON.
type answer struct {
	callResult
	text    []byte
	related bool // it has relations, which the output's own version knows nothing of
}

// acceptsJSON reports whether an Accept header allows JSON; without one all is
// allowed.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	best, bestRank := 0.0, -1
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, params, err := mime.ParseMediaType(item)
			rank := slices.Index([]string{"*/*", "application/*", "application/json"}, mediaType)
			if err != nil || rank < 0 {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			if rank > bestRank { // the most specific one counts
				best, bestRank = q, rank
			}
		}
	}
	return best > 0
}

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header,
// a string in quotes, or without, as most clients send it. A key that is there
// and none, such as an empty one, is an error: the client counts on it.
func idempotencyKey(head http.Header) (string, error) {
	lines := head.Values("Idempotency-Key")
	if len(lines) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(lines[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	unfit := func(c rune) bool { return c < ' ' || c > '~' }
	if len(lines) > 1 || strings.TrimSpace(key) == "" || strings.ContainsFunc(key, unfit) {
		return "", &Error{Code: Malformed, Message: "Send one Idempotency-Key header, with visible ASCII characters."}
	}
	return key, nil
}

func (r *restRoute) deprecation(head http.Header) {
	options := r.op.options
	if !options.since.IsZero() {
		head.Set("Deprecation", "@"+strconv.FormatInt(options.since.Unix(), 10))
	}
	if !options.sunset.IsZero() {
		head.Set("Sunset", options.sunset.UTC().Format(http.TimeFormat))
	}
}

// answer writes the answer.
func (r *restRoute) answer(w http.ResponseWriter, req *http.Request, a answer) error {
	head := w.Header()
	if a.replayed {
		head.Set("Idempotency-Replayed", "true")
	}
	r.caching(head, a.caller)
	if r.status == http.StatusNoContent {
		w.WriteHeader(r.status)
		return nil
	}
	if r.created != nil {
		if location := r.location(req, a.out); location != "" {
			head.Set("Location", location)
		}
	}
	if next := nextCursor(a.out); next != "" && r.cursor != "" {
		query := req.URL.Query()
		query.Set(r.cursor, string(next))
		head.Set("Link", "<"+req.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
	}
	if r.version(w, req, a) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	head["Content-Type"] = jsonType
	head["Content-Length"] = []string{strconv.Itoa(len(a.text))}
	w.WriteHeader(r.status)
	_, err := w.Write(a.text)
	return err
}

var jsonType = []string{"application/json"}

// caching says how long an answer may be kept, and by whom.
func (r *restRoute) caching(head http.Header, caller Caller) {
	age := r.op.options.cache
	if age > 0 {
		r.vary(head)
	}
	switch {
	case age > 0 && caller.SignedIn():
		head.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(age.Seconds())))
	case age > 0:
		head.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
	case caller.SignedIn():
		head["Cache-Control"] = noStore
	}
}

// vary names the headers that an answer that is kept depends on: the input's,
// and those that usually say who calls (RFC 9110, section 12.5.5).
func (r *restRoute) vary(head http.Header) {
	names := map[string]bool{}
	if r.door.logic.auth != nil {
		names["Authorization"], names["Cookie"] = true, true
	}
	for _, param := range r.params {
		switch param.place {
		case "header":
			names[http.CanonicalHeaderKey(param.name)] = true
		case "cookie":
			names["Cookie"] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		head.Add("Vary", name)
	}
}

// location returns the path of what a POST route has created, which is one
// segment longer than its own, or "" if the output does not say. out is a *Out.
func (r *restRoute) location(req *http.Request, out any) string {
	value := reflect.ValueOf(out).Elem()
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return ""
		}
		value = value.Elem()
	}
	text, err := r.createdID.Append(nil, value.FieldByIndex(r.createdBy.Index))
	if err != nil {
		return ""
	}
	id := string(text) // as it is on the wire, without quotes
	if strings.HasPrefix(id, `"`) && json.Unmarshal(text, &id) != nil {
		return ""
	}
	if id == "" || id == "null" || id == "." || id == ".." { // the last two would be another path
		return ""
	}
	return req.URL.EscapedPath() + "/" + url.PathEscape(id)
}
