// Command floor is the least program with net/http alone.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Hello, World") })
	log.Fatal(http.ListenAndServe(os.Getenv("ADDR"), nil))
}
