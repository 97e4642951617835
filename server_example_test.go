package backend_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/seed-215b9b7c/backend"
)

// A program usually leaves Listener and Logger out, and runs until it gets
// SIGTERM. This one stops while a request runs, which is answered all the same.
func ExampleServe() {
	ctx, stop := context.WithCancel(context.Background())
	r := backend.NewRouter()
	r.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		stop()
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() {
		served <- backend.Serve(ctx, r, backend.ServerConfig{Listener: listener, Logger: slog.New(slog.DiscardHandler)})
	}()

	response, err := http.Get("http://" + listener.Addr().String() + "/hello/Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(string(body), err)
	fmt.Println("served:", <-served)
	// Output:
	// Hello, Ada! <nil>
	// served: <nil>
}

func ExampleNewHealth() {
	health := backend.NewHealth(
		backend.HealthCheck{Name: "database", Check: func(ctx context.Context) error { return nil }},                        // db.Ping
		backend.HealthCheck{Name: "mail", Check: func(ctx context.Context) error { return errors.New("no route to host") }}, // only logged
	)

	r := backend.NewRouter()
	r.Handle("GET /healthz", health.Live())
	r.Handle("GET /readyz", health.Ready())
	for _, path := range []string{"/healthz", "/readyz"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 {"status":"ok"}
	// 503 {"status":"failed","checks":{"database":"ok","mail":"failed"}}
}
