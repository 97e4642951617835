// Command backend is the least program with this package: peerbench measures its size
// and its start.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/seed-215b9b7c/backend"
)

func main() {
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{}))
	r.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World") })
	if err := backend.Serve(context.Background(), r, backend.ServerConfig{Addr: os.Getenv("ADDR")}); err != nil {
		log.Fatal(err)
	}
}
