// Command huma is the least program with huma.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type text struct{ Body []byte }

func main() {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("hello", "1"))
	huma.Get(api, "/", func(context.Context, *struct{}) (*text, error) { return &text{[]byte("Hello, World")}, nil })
	log.Fatal(http.ListenAndServe(os.Getenv("ADDR"), mux))
}
