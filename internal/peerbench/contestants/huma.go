package contestants

// huma on net/http's ServeMux, by its documentation. It decodes and validates by the
// tags of its inputs, and its errors are problems.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-chi/chi/v5/middleware"
)

type (
	humaOut[T any] struct{ Body T }
	humaIn[T any]  struct{ Body T }
	humaText       struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	humaItem struct {
		ID int64 `path:"id"`
	}
	humaOwner struct {
		Owner int64 `path:"owner"`
	}
	humaN struct {
		N int `path:"n" minimum:"1" maximum:"50"`
	}
	humaFile struct {
		RawBody huma.MultipartFormFiles[struct {
			File huma.FormFile `form:"file" required:"true"`
		}]
	}
)

func serveHuma(env Env) error {
	s, err := idiomatic.store(env)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	config := huma.DefaultConfig("peerbench", "1")
	config.CreateHooks = nil // which add a link to a schema to every answer
	api := humago.New(mux, config)
	huma.Get(api, "/plain", func(context.Context, *struct{}) (*humaText, error) {
		return &humaText{"text/plain; charset=utf-8", []byte(Text)}, nil
	})
	huma.Get(api, "/json", func(context.Context, *struct{}) (*humaOut[Message], error) {
		return &humaOut[Message]{Message{Text}}, nil
	})
	huma.Register(api, huma.Operation{Method: "POST", Path: "/orders", DefaultStatus: http.StatusCreated}, func(_ context.Context, in *humaIn[NewOrder]) (*humaOut[Order], error) {
		return &humaOut[Order]{Accept(in.Body)}, nil
	})
	huma.Get(api, "/items/{id}", func(ctx context.Context, in *humaItem) (*humaOut[Item], error) {
		item, err := s.Item(ctx, in.ID)
		if errors.Is(err, ErrNotFound) {
			return nil, huma.Error404NotFound(err.Error())
		}
		return &humaOut[Item]{item}, err
	})
	huma.Get(api, "/owners/{owner}/items", func(ctx context.Context, in *humaOwner) (*humaOut[[]Item], error) {
		items, err := s.Items(ctx, in.Owner)
		return &humaOut[[]Item]{items}, err
	})
	huma.Get(api, "/lookups/{n}", func(ctx context.Context, in *humaN) (*humaOut[[]World], error) {
		worlds, err := oneByOne(ctx, s, in.N)
		return &humaOut[[]World]{worlds}, err
	})
	huma.Get(api, "/batch/{n}", func(ctx context.Context, in *humaN) (*humaOut[[]World], error) {
		worlds, err := s.Worlds(ctx, LookupIDs(in.N))
		return &humaOut[[]World]{worlds}, err
	})
	huma.Register(api, huma.Operation{Method: "POST", Path: "/entries", DefaultStatus: http.StatusCreated}, func(ctx context.Context, in *humaIn[NewEntry]) (*humaOut[Inserted], error) {
		id, err := s.Insert(ctx, in.Body)
		return &humaOut[Inserted]{Inserted{id}}, err
	})
	huma.Post(api, "/updates/{n}", func(ctx context.Context, in *humaN) (*humaOut[[]World], error) {
		worlds, err := s.Update(ctx, LookupIDs(in.N))
		return &humaOut[[]World]{worlds}, err
	})
	huma.Get(api, "/fortunes", func(ctx context.Context, _ *struct{}) (*humaText, error) {
		fortunes, err := s.Fortunes(ctx)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		err = Page(&text, fortunes)
		return &humaText{"text/html; charset=utf-8", text.Bytes()}, err
	})
	huma.Register(api, huma.Operation{Method: "POST", Path: "/upload", DefaultStatus: http.StatusCreated, MaxBodyBytes: 64 << 20}, func(_ context.Context, in *humaFile) (*humaOut[Received], error) {
		n, err := io.Copy(io.Discard, in.RawBody.Data().File)
		return &humaOut[Received]{Received{n}}, err
	})
	if !env.equal() {
		return env.serve(mux)
	}
	logger := middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(env.Log, "", log.LstdFlags), NoColor: true})
	return env.serve(middleware.RequestID(logger(middleware.Recoverer(withSecurityHeaders(middleware.Timeout(10 * time.Second)(mux))))))
}
