package backend_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// browse sends requests as a browser does: with the cookies that it has got.
func browse(h http.Handler, requests ...[2]string) {
	cookies := map[string]*http.Cookie{}
	for _, request := range requests {
		r := httptest.NewRequest(request[0], "https://shop.example"+request[1], nil)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for _, cookie := range w.Result().Cookies() {
			cookies[cookie.Name] = cookie
		}
		fmt.Println(strings.TrimSpace(fmt.Sprintln(request[0], request[1], w.Code, w.Body)))
	}
}

func ExampleSessionKey() {
	type Cart struct{ Items []string }
	var cart = backend.NewSessionKey[Cart]("cart")
	var flash = backend.NewSessionKey[string]("flash") // a message for the next page

	sessions := backend.NewSessions(nil, backend.SessionConfig{}) // in memory; with a db, in its tables
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}), sessions.Middleware)
	r.Handle("POST /cart/{item}", backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		err := cart.Update(r.Context(), func(c *Cart) error {
			c.Items = append(c.Items, r.PathValue("item"))
			return nil
		})
		if err != nil {
			return err
		}
		return flash.Set(r.Context(), "Added.")
	}))
	r.Handle("GET /cart", backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		c, err := cart.Get(r.Context())
		if err != nil {
			return err
		}
		message, err := flash.Take(r.Context())
		if err != nil {
			return err
		}
		fmt.Fprint(w, c.Items, " ", message)
		return nil
	}))

	browse(r, [2]string{"POST", "/cart/tea"}, [2]string{"POST", "/cart/milk"}, [2]string{"GET", "/cart"}, [2]string{"GET", "/cart"})
	// Output:
	// POST /cart/tea 200
	// POST /cart/milk 200
	// GET /cart 200 [tea milk] Added.
	// GET /cart 200 [tea milk]
}

func ExampleSessions_SignIn() {
	sessions := backend.NewSessions(nil, backend.SessionConfig{})
	type credentials struct {
		Name string `json:"name"`
	}
	signIn := func(ctx context.Context, in credentials) (backend.None, error) {
		if in.Name != "ann" { // the program checks the password
			return backend.None{}, backend.Errorf(backend.Unauthenticated, "The name or the password is wrong.")
		}
		return backend.None{}, sessions.SignIn(ctx, "7", backend.SignInConfig{})
	}
	signOut := func(ctx context.Context, _ backend.None) (backend.None, error) {
		return backend.None{}, sessions.SignOut(ctx)
	}
	me := func(ctx context.Context, _ backend.None) (backend.AccountID, error) {
		return backend.CallerFrom(ctx).ID, nil
	}

	logic := backend.NewLogic(nil, sessions, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
	logic.Add(
		backend.Mutation("signIn", backend.Public, signIn, backend.Route("POST /sign-in/{name}")),
		backend.Mutation("signOut", backend.SignedIn, signOut, backend.Route("POST /sign-out")),
		backend.Query("me", backend.SignedIn, me, backend.Route("GET /me")),
	)
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}), sessions.Middleware)
	r.Mount("/", logic.REST())

	browse(r, [2]string{"POST", "/sign-in/ann"}, [2]string{"GET", "/me"}, [2]string{"POST", "/sign-out"})
	// Output:
	// POST /sign-in/ann 204
	// GET /me 200 "7"
	// POST /sign-out 204
}
