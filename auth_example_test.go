package backend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// account is an account of the program.
type account struct {
	ID   int64
	Name string
}

// accounts is an Authenticator: a bearer token says which account calls.
type accounts map[string]*account

func (a accounts) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return backend.Caller{}, nil // the anonymous caller
	}
	who, known := a[token]
	if !known {
		return backend.Caller{}, backend.Errorf(backend.Unauthenticated, "The token is not valid.")
	}
	return backend.Caller{ID: backend.AccountIDOf(who.ID), Scopes: []string{"notes:read"}, Account: who}, nil
}

func (a accounts) SecuritySchemes() []backend.SecurityScheme {
	return []backend.SecurityScheme{{Name: "token", HTTP: "bearer", Realm: "notes"}}
}

func ExampleAccountFrom() {
	me := func(ctx context.Context, _ backend.None) (string, error) {
		who, _ := backend.AccountFrom[*account](ctx)
		return "You are " + who.Name + ".", nil
	}

	logic := backend.NewLogic(nil, accounts{"a1b2": {7, "Ann"}}, backend.LogicConfig{})
	logic.Add(backend.Query("me", backend.SignedIn, me, backend.Route("GET /me")))
	request(logic.REST(), "GET", "/me", "", "Authorization", "Bearer a1b2")
	// Output: 200 "You are Ann."
}

func ExampleSecurityDescriber() {
	nothing := func(context.Context, backend.None) (backend.None, error) { return backend.None{}, nil }

	logic := backend.NewLogic(nil, accounts{"a1b2": {7, "Ann"}}, backend.LogicConfig{})
	logic.Add(backend.Mutation("clear", backend.Scope("notes:write"), nothing, backend.Route("POST /clear")))
	rest := logic.REST()

	var description struct {
		Components struct{ SecuritySchemes json.RawMessage }
	}
	w := httptest.NewRecorder()
	rest.OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &description); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Join(strings.Fields(string(description.Components.SecuritySchemes)), ""))

	for _, token := range []string{"", "Bearer wrong", "Bearer a1b2"} {
		r := httptest.NewRequest("POST", "/clear", nil)
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		rest.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// {"token":{"scheme":"bearer","type":"http"}}
	// 401 Bearer realm="notes"
	// 401 Bearer realm="notes", error="invalid_token"
	// 403 Bearer realm="notes", error="insufficient_scope", scope="notes:write"
}
