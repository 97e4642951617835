// Hello shows the router and the server, and nothing else:
//
//	go run ./examples/hello
//	curl http://127.0.0.1:8080/hello/world
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/seed-215b9b7c/backend"
)

func main() {
	if err := backend.Serve(context.Background(), routes(), backend.ServerConfig{Addr: os.Getenv("ADDR")}); err != nil {
		log.Fatal(err)
	}
}

func routes() http.Handler {
	r := backend.NewRouter()
	r.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
	})
	return r
}
