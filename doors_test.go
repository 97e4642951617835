package backend_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// object is input or output as every protocol can have it.
type object = map[string]any

// door calls operations through one protocol.
type door interface {
	// call returns the output with the relations that are asked for, or the code
	// of the error and the pointers to the fields that were wrong.
	call(t *testing.T, operation string, input object, relations []string, who string) (output any, code string, fields []string)
}

// doors are all protocols, each over the whole way from the network's bytes.
var doors = map[string]func(t *testing.T, logic *backend.Logic) door{
	"rest": func(t *testing.T, logic *backend.Logic) door {
		r := backend.NewRouter()
		r.Mount("/", logic.REST())
		return restDoor{backendtest.NewClient(t, r)}
	},
	"toy": func(t *testing.T, logic *backend.Logic) door { // a stranger's, without relations
		return toyDoor{backendtest.NewClient(t, toydoor.New(logic))}
	},
}

// scenarios are run through every door, in order, on one shop: the same call
// gives the same answer whatever the protocol.
var scenarios = []struct {
	operation string
	input     object
	who       string // and, after blanks, the relations to ask for
	output    any    // null members are left out, since not every protocol has them
	code      string
	fields    string
}{
	{"createItem", object{"name": "a"}, "", nil, "unauthenticated", ""},
	{"createItem", object{"name": "a", "price": 1.5}, "ann", object{"id": "1", "name": "a", "price": 1.5, "owner": "ann", "version": 1.0}, "", ""},
	{"createItem", object{"name": "<b>&\" ä \U0001D11E"}, "ann", object{"id": "2", "name": "<b>&\" ä \U0001D11E", "owner": "ann", "version": 1.0}, "", ""},
	{"createItem", object{}, "ann", nil, "invalid", "/name"},
	{"createItem", object{"name": "a", "owner": "bob"}, "ann", nil, "invalid", "/owner"},
	{"createItem", object{"name": strings.Repeat("ä", 21), "price": -1}, "ann", nil, "invalid", "/name /price"},
	{"createItem", object{"name": "forbidden"}, "ann", nil, "invalid", ""},
	{"item", object{"id": "1"}, "ann", object{"id": "1", "name": "a", "price": 1.5, "owner": "ann", "version": 1.0}, "", ""},
	{"item", object{"id": "1"}, "bob", nil, "not_found", ""},
	{"item", object{"id": "99"}, "ann", nil, "not_found", ""},
	{"item", object{"id": "x"}, "ann", nil, "invalid", "/id"},
	{"items", object{"limit": 1}, "bob", object{"items": []any{}}, "", ""},
	{"items", object{"limit": 51}, "ann", nil, "invalid", "/limit"},
	{"items", object{"after": "made up"}, "ann", nil, "malformed", ""},
	{"item", object{"id": "1"}, "ann seller", object{"id": "1", "name": "a", "price": 1.5, "owner": "ann", "version": 1.0, "seller": object{"name": "ann", "items": 2.0}}, "", ""},
	{"items", object{"limit": 1}, "ann seller seller.label", object{
		"items": []any{object{"id": "1", "name": "a", "price": 1.5, "owner": "ann", "version": 1.0, "seller": object{"name": "ann", "items": 2.0, "label": "<ann>"}}}, "next": "",
	}, "", ""},
	{"item", object{"id": "1"}, "bob seller", nil, "not_found", ""},
	{"createItem", object{"name": "c"}, "eve seller", nil, "forbidden", ""},
	{"items", object{}, "eve seller", object{"items": []any{}}, "", ""},
	{"patchItem", object{"id": "1", "name": "b"}, "bob", nil, "not_found", ""},
	{"patchItem", object{"id": "1", "name": "b"}, "ann", object{"id": "1", "name": "b", "price": 1.5, "owner": "ann", "version": 2.0}, "", ""},
	{"admin", object{}, "ann", nil, "forbidden", ""},
	{"admin", object{}, "ann:admin", "secret", "", ""},
	{"fail", object{"how": "secret"}, "ann", nil, "internal", ""},
	{"fail", object{"how": "gone"}, "ann", nil, "gone", ""},
	{"items", object{}, "wrong", nil, "unauthenticated", ""},
}

func TestEveryDoor(t *testing.T) {
	t.Parallel()
	for name, open := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
				_, logic := newShop(t, db)
				d := open(t, logic)
				for i, s := range scenarios {
					at := fmt.Sprintf("scenario %d: %s %v as %q", i, s.operation, s.input, s.who)
					who, relations, _ := strings.Cut(s.who, " ")
					if _, isToy := d.(toyDoor); isToy && relations != "" {
						continue
					}
					output, code, fields := d.call(t, s.operation, s.input, strings.Fields(relations), who)
					require.Equal(t, s.code, code, at)
					require.Equal(t, s.fields, strings.Join(fields, " "), at)
					require.Equal(t, s.output, output, at)
				}
			})
		})
	}
}

// restRoutes says where REST has the shop's operations.
var restRoutes = map[string]string{
	"items": "GET /items", "item": "GET /items/{id}", "createItem": "POST /items", "patchItem": "PATCH /items/{id}", "fail": "POST /fail", "admin": "GET /admin",
}

type restDoor struct{ client *backendtest.Client }

func (d restDoor) call(t *testing.T, operation string, input object, relations []string, who string) (any, string, []string) {
	method, path, _ := strings.Cut(restRoutes[operation], " ")
	query, body := url.Values{}, object{}
	for name, value := range input {
		switch {
		case strings.Contains(path, "{"+name+"}"):
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(fmt.Sprint(value)))
		case method == http.MethodGet:
			query.Set(name, fmt.Sprint(value))
		default:
			body[name] = value
		}
	}
	client := d.client
	if who != "" {
		client = client.With("Authorization", "Bearer "+who)
	}
	if len(relations) > 0 {
		query.Set("include", strings.Join(relations, ","))
	}
	path += "?" + query.Encode()
	var content any
	if method != http.MethodGet {
		content = body
	}
	return answered(client.Do(method, path, content))
}

// answered returns what a response says.
func answered(response *backendtest.Response) (output any, code string, fields []string) {
	if response.StatusCode >= 400 {
		problem := response.Problem()
		for _, field := range problem.Errors {
			fields = append(fields, field.Pointer)
		}
		return nil, problem.Code, fields
	}
	response.JSON(&output)
	return withoutNulls(output), "", nil
}

// toyDoor calls operations by their names.
type toyDoor struct{ client *backendtest.Client }

func (d toyDoor) call(t *testing.T, operation string, input object, _ []string, who string) (any, string, []string) {
	client := d.client
	if who != "" {
		client = client.With("Authorization", "Bearer "+who)
	}
	return answered(client.Post("/"+operation, input))
}

// withoutNulls leaves out members that are null, and what cursors hold.
func withoutNulls(value any) any {
	if o, ok := value.(object); ok {
		for name, member := range o {
			if member == nil {
				delete(o, name)
			}
		}
		if _, isPage := o["next"]; isPage {
			o["next"] = ""
		}
	}
	return value
}
