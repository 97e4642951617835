package backend_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

func ExampleSetStatus() {
	type note struct {
		ID   string `json:"id"`
		Text string `json:"text" validate:"max=100"`
	}
	stored := map[string]note{}
	put := func(ctx context.Context, in note) (note, error) {
		if _, exists := stored[in.ID]; !exists {
			backend.SetStatus(ctx, http.StatusCreated)
		}
		stored[in.ID] = in
		backend.SetHeader(ctx, "X-Notes", fmt.Sprint(len(stored)))
		return in, nil
	}

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("putNote", backend.Public, put, backend.Route("PUT /notes/{id}"),
		backend.Status(200, 201), backend.ResponseHeader("X-Notes", "How many notes there are.")))
	rest := logic.REST()
	request(rest, "PUT", "/notes/a", `{"text":"Milk"}`)
	w := request(rest, "PUT", "/notes/a", `{"text":"Milk and bread"}`)
	fmt.Println(w.Header().Get("X-Notes"))
	// Output:
	// 201 {"id":"a","text":"Milk"}
	// 200 {"id":"a","text":"Milk and bread"}
	// 1
}

func ExampleFile() {
	export := func(context.Context, backend.None) (backend.File, error) {
		return backend.File{Name: "notes.csv", Write: func(_ context.Context, w io.Writer) error {
			rows := csv.NewWriter(w)
			rows.Write([]string{"id", "title"})
			for id := range 3 { // here the rows of backend.Each
				rows.Write([]string{fmt.Sprint(id), "Milk"})
			}
			rows.Flush()
			return rows.Error()
		}}, nil
	}
	picture := func(context.Context, backend.None) (backend.File, error) {
		return backend.File{Type: "text/plain", Inline: true, Body: strings.NewReader("0123456789")}, nil
	}

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("export", backend.Public, export, backend.Route("GET /notes.csv"), backend.Produces("text/csv")),
		backend.Query("picture", backend.Public, picture, backend.Route("GET /picture")),
	)
	rest := logic.REST()
	fmt.Println(request(rest, "GET", "/notes.csv", "").Header().Get("Content-Disposition"))
	request(rest, "GET", "/picture", "", "Range", "bytes=2-4")
	// Output:
	// 200 id,title
	// 0,Milk
	// 1,Milk
	// 2,Milk
	// attachment; filename="notes.csv"
	// 206 234
}

func ExampleRedirect() {
	create := func(_ context.Context, in struct {
		Title string `json:"title" validate:"required,max=100"`
	}) (backend.Redirect, error) {
		return backend.Redirect{To: "/notes/5"}, nil
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("createNote", backend.Public, create, backend.Route("POST /notes")))
	w := request(logic.REST(), "POST", "/notes", `{"title":"Milk"}`)
	fmt.Println(w.Header().Get("Location"))
	// Output:
	// 303
	// /notes/5
}

func ExampleForm() {
	type picture struct {
		Album   string         `json:"album"`
		Picture backend.Upload `json:"picture" accept:"image/png,image/jpeg" maxsize:"5MiB"`
		Caption string         `json:"caption,omitempty" validate:"max=200"`
	}
	add := func(_ context.Context, in picture) (backend.Redirect, error) {
		fmt.Println(in.Album, in.Picture.Name, in.Picture.Type, in.Picture.Size, in.Caption)
		return backend.Redirect{To: "/albums/" + in.Album}, nil // io.Copy(file, in.Picture.Reader())
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("addPicture", backend.Public, add, backend.Form(), backend.Route("POST /albums/{album}")))

	// <form method="post" enctype="multipart/form-data" action="/albums/cats">
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, _ := form.CreateFormFile("picture", "tom.png")
	io.WriteString(file, "\x89PNG\r\n\x1a\n…")
	form.WriteField("caption", "Tom")
	form.Close()
	w := request(logic.REST(), "POST", "/albums/cats", body.String(), "Content-Type", form.FormDataContentType())
	fmt.Println(w.Header().Get("Location"))
	// Output:
	// cats tom.png image/png 11 Tom
	// 303
	// /albums/cats
}
