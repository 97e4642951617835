//go:build generated

// Command goclient calls the server of package clienttest with a client that
// oapi-codegen made from its description. The client is not kept: the tests of
// package clienttest make it, and run this with the build tag generated.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"
	_ "github.com/oapi-codegen/runtime" // which the generated file imports
	"github.com/oapi-codegen/runtime/types"
)

func main() {
	log.SetFlags(log.Lshortfile)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	authenticate := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Args[2])
		return nil
	}
	client, err := NewClientWithResponses(os.Args[1]+"/api", WithRequestEditorFn(authenticate))
	check(err)
	stranger, err := NewClientWithResponses(os.Args[1] + "/api")
	check(err)
	unled, err := NewClientWithResponses(os.Args[1]+"/api", WithHTTPClient(&http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	check(err)

	created := creates(ctx, client)
	reads(ctx, stranger, created)
	lists(ctx, client, stranger)
	changes(ctx, client, created.Id)
	fails(ctx, client, stranger)
	settles(ctx, client)
	downloads(ctx, client, stranger)
	redirects(ctx, unled)
	sendsForms(ctx, client)
	uploads(ctx, client)
	turnsPages(ctx, stranger)
	removes(ctx, client, created.Id)
	others(ctx, client, stranger)
}

func check(err error) {
	if err != nil {
		log.Output(2, err.Error())
		os.Exit(1)
	}
}

func equal(got, want any) {
	if !reflect.DeepEqual(got, want) {
		log.Output(2, fmt.Sprintf("got %#v, want %#v", got, want))
		os.Exit(1)
	}
}

func lamp() NewThing {
	email, leaves := types.Email("a@example.com"), []PartInput{}
	thing := NewThing{
		Name: "Lamp",
		Basics: BasicsInput{
			Bool: true, Int: -1, Int8: -8, Int16: -16, Int32: -32, Int64: -1 << 63, Uint: 1, Uint8: 8, Uint16: 16, Uint32: 1<<32 - 1, Uint64: 1<<64 - 1,
			Float32: 0.5, Float64: 1e300, String: "ü\u2028", Quoted: "9007199254740993",
		},
		Colour: "red", Count: 3, Grade: 2, Note: nullable.NewNullNullable[string](), Label: nullable.NewNullableWithValue(SizeInput{Label: "x"}),
		Box: StockSizeInput{Width: 1.5, Height: 2}, Tags: []string{"a", "b"}, Lists: &[][]int32{{1, 2}, {}}, Fixed: []int32{1, 2, 3},
		Attrs: &map[string]string{"key": "value"}, Sizes: &map[string]*StockSizeInput{"small": {Width: 1, Height: 1}, "none": nil},
		Root: PartInput{Name: "root", Parts: &[]PartInput{{Name: "leaf", Parts: &leaves}}, Spare: nullable.NewNullableWithValue(PartInput{Name: "spare"})},
		Wait: int64(time.Second), Data: []byte{0, 1, 2}, Address: "192.0.2.1", Extra: map[string]any{"any": []any{"thing"}}, Owner: "9007199254740993",
		Email: &email, Range: PairInt32Int32Input{First: 1, Second: 2}, Samples: &[]PairStringSizeInput{{First: "x", Second: SizeInput{Label: "y"}}},
	}
	thing.Inline.On = true
	return thing
}

func creates(ctx context.Context, client *ClientWithResponses) *Thing {
	key := "go"
	created, err := client.CreateThingWithResponse(ctx, &CreateThingParams{IdempotencyKey: &key}, lamp())
	check(err)
	equal(created.StatusCode(), 201)
	thing, want := created.JSON201, lamp()
	equal(*created.Headers201.Location, "/api/things/"+thing.Id)
	equal(Basics(thing.Basics), Basics(want.Basics))
	equal([]any{thing.Name, string(thing.Colour), thing.Count, int(thing.Grade)}, []any{"Lamp", "red", want.Count, 2})
	equal([]any{thing.Note.IsNull(), thing.Label.MustGet(), thing.Box, thing.Tags}, []any{true, Size{Label: "x"}, StockSize{Width: 1.5, Height: 2}, want.Tags})
	equal([]any{thing.Fixed, *thing.Attrs, thing.Data.MustGet(), thing.Owner}, []any{want.Fixed, *want.Attrs, want.Data, want.Owner})
	equal([]any{thing.CreatedAt, thing.UpdatedAt.IsNull(), thing.Wait, thing.Extra}, []any{time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), true, want.Wait, want.Extra})
	equal((*thing.Root.Parts)[0].Name, "leaf")
	equal(thing.Root.Spare.Name, "spare")
	again, err := client.CreateThingWithResponse(ctx, &CreateThingParams{IdempotencyKey: &key}, lamp())
	check(err)
	equal(again.JSON201.Id, thing.Id)
	equal(again.HTTPResponse.Header.Get("Idempotency-Replayed"), "true")
	return thing
}

func reads(ctx context.Context, client *ClientWithResponses, thing *Thing) {
	found, err := client.ThingWithResponse(ctx, thing.Id, nil)
	check(err)
	equal(found.JSON200, thing)
	kept, err := client.ThingWithResponse(ctx, thing.Id, nil, func(_ context.Context, r *http.Request) error {
		r.Header.Set("If-None-Match", found.HTTPResponse.Header.Get("ETag"))
		return nil
	})
	check(err)
	equal(kept.StatusCode(), 304)
	missing, err := client.ThingWithResponse(ctx, "404", nil)
	check(err)
	equal(missing.ApplicationproblemJSON4XX.Code, "not_found")
	file, err := client.ThingFileWithResponse(ctx, "1", "a b.txt")
	check(err)
	equal(*file.JSON200, File{Id: "1", Path: "a b.txt"})
}

func lists(ctx context.Context, client, stranger *ClientWithResponses) {
	for _, name := range []string{"Box", "Bowl", "Table"} {
		body := lamp()
		body.Name, body.Colour = name, "green"
		made, err := client.CreateThingWithResponse(ctx, nil, body)
		check(err)
		equal(made.StatusCode(), 201)
	}
	limit, search, tenant, theme := int64(1), "B", "a", "dark"
	since, colours := time.Now(), []ThingsParamsColours{"blue", "green"}
	params := &ThingsParams{Limit: &limit, Search: &search, XTenant: &tenant, Theme: &theme, Since: &since, Colours: &colours}
	var names []string
	for range 10 {
		listed, err := stranger.ThingsWithResponse(ctx, params)
		check(err)
		equal(listed.StatusCode(), 200)
		for _, item := range listed.JSON200.Items {
			names = append(names, item.Name)
		}
		if params.After = listed.JSON200.Next; params.After == nil {
			break
		}
	}
	equal(names[len(names)-2:], []string{"Box", "Bowl"})
}

func changes(ctx context.Context, client *ClientWithResponses, id string) {
	noted, err := client.UpdateThingWithResponse(ctx, id, nil, PatchThing{Note: nullable.NewNullableWithValue("bright")})
	check(err)
	equal(noted.JSON200.Note.MustGet(), "bright")
	cleared, err := client.UpdateThingWithApplicationMergePatchPlusJSONBodyWithResponse(ctx, id, nil, PatchThing{Note: nullable.NewNullNullable[string]()})
	check(err)
	equal(cleared.StatusCode(), 200)
	equal([]any{cleared.JSON200.Note.IsNull(), cleared.JSON200.Name}, []any{true, "Lamp"})
	include := []ThingParamsInclude{"maker", "maker.homes"}
	unmade, err := client.ThingWithResponse(ctx, id, &ThingParams{Include: &include})
	check(err)
	equal(unmade.JSON200.Maker.IsNull(), true)
	wanted := []UpdateThingParamsInclude{"maker.homes"}
	made, err := client.UpdateThingWithResponse(ctx, id, &UpdateThingParams{Include: &wanted}, PatchThing{Note: nullable.NewNullableWithValue("made")})
	check(err)
	maker := made.JSON200.Maker.MustGet()
	equal([]any{maker.Name, *maker.Homes}, []any{"Ann", []string{"Ulm"}})
	attrs, err := client.PutAttrsWithResponse(ctx, id, PutAttrsJSONRequestBody{"a": "b"})
	check(err)
	equal(attrs.StatusCode(), 200)
}

func fails(ctx context.Context, client, stranger *ClientWithResponses) {
	body := lamp()
	body.Name, body.Box.Width = "", -1
	invalid, err := client.CreateThingWithResponse(ctx, nil, body)
	check(err)
	equal(invalid.StatusCode(), 422)
	var pointers []string
	for _, field := range *invalid.ApplicationproblemJSON4XX.Errors {
		pointers = append(pointers, field.Pointer)
	}
	equal(strings.Join(pointers, " "), "/name /box/width")
	nobody, err := stranger.CreateThingWithResponse(ctx, nil, lamp())
	check(err)
	equal(nobody.ApplicationproblemJSON4XX.Code, "unauthenticated")
	unpaid, err := client.PayWithResponse(ctx, &PayParams{IdempotencyKey: "pay"}, PayJSONRequestBody{Amount: 1})
	check(err)
	equal(unpaid.ApplicationproblemJSON4XX.Status, 403)
}

func removes(ctx context.Context, client *ClientWithResponses, id string) {
	current, err := client.ThingWithResponse(ctx, id, nil)
	check(err)
	stale, err := client.DeleteThingWithResponse(ctx, id, &DeleteThingParams{IfMatch: `"old"`})
	check(err)
	equal(stale.StatusCode(), 412)
	removed, err := client.DeleteThingWithResponse(ctx, id, &DeleteThingParams{IfMatch: current.HTTPResponse.Header.Get("ETag")})
	check(err)
	equal(removed.StatusCode(), 204)
}

func settles(ctx context.Context, client *ClientWithResponses) {
	created, err := client.PutSettingWithResponse(ctx, "go", SettingInput{Value: "a"})
	check(err)
	equal([]any{created.StatusCode(), *created.JSON201, *created.Headers201.XRevision}, []any{201, Setting{Name: "go", Value: "a"}, "1"})
	equal(strings.HasPrefix(*created.Headers201.SetCookie, "setting=go;"), true)
	changed, err := client.PutSettingWithResponse(ctx, "go", SettingInput{Value: "b"})
	check(err)
	equal([]any{changed.JSON200.Value, *changed.Headers200.XRevision}, []any{"b", "2"})
	emptied, err := client.PutSettingWithResponse(ctx, "go", SettingInput{})
	check(err)
	equal([]any{emptied.StatusCode(), *emptied.Headers204.XRevision}, []any{204, "3"})
}

func downloads(ctx context.Context, client, stranger *ClientWithResponses) {
	report, err := stranger.ReportWithResponse(ctx, "a.csv", nil)
	check(err)
	equal([]any{string(report.Body), *report.Headers200.ContentDisposition}, []any{"a,b\n1,2\n", `attachment; filename="a.csv"`})
	few := "bytes=0-2"
	part, err := stranger.ReportWithResponse(ctx, "a.csv", &ReportParams{Range: &few})
	check(err)
	equal([]any{string(part.Body), *part.Headers206.ContentRange}, []any{"a,b", "bytes 0-2/8"})
	blob, err := client.BlobWithResponse(ctx, "a", nil)
	check(err)
	equal(blob.Body, []byte{0, 0xff, 1})
}

// redirects needs clients that do not follow redirects.
func redirects(ctx context.Context, stranger *ClientWithResponses) {
	latest, err := stranger.LatestWithResponse(ctx)
	check(err)
	equal([]any{latest.StatusCode(), latest.Headers3XX.Location}, []any{302, "/api/reports/latest.csv"})
	left, err := stranger.LeaveMessageWithFormdataBodyWithResponse(ctx, LeaveMessageFormdataRequestBody{Thing: "1", Text: "Hi"})
	check(err)
	equal([]any{left.StatusCode(), left.Headers3XX.Location}, []any{303, "/api/things/1"})
}

func sendsForms(ctx context.Context, client *ClientWithResponses) {
	stars, urgent, tags := int64(3), true, []string{"a", "b"}
	want := Message{Thing: "1", Text: "Hi & bye", Stars: &stars, Urgent: true}
	written, err := client.WriteMessageWithFormdataBodyWithResponse(ctx, "1", WriteMessageFormdataRequestBody{Text: want.Text, Stars: &stars, Urgent: &urgent})
	check(err)
	equal(*written.JSON201, want)
	// oapi-codegen names the elements of a list tags[0], tags[1], which is not what OpenAPI says of forms.
	form := url.Values{"text": {want.Text}, "tags": tags}
	written, err = client.WriteMessageWithBodyWithResponse(ctx, "1", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	check(err)
	equal(*written.JSON201, Message{Thing: "1", Text: want.Text, Tags: &tags})
}

func uploads(ctx context.Context, client *ClientWithResponses) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	check(form.WriteField("title", "Trip"))
	for _, file := range [][3]string{{"cover", "a.png", "\x89PNG\r\n\x1a\n"}, {"papers", "b.txt", "b"}, {"papers", "c.txt", "c"}} {
		part, err := form.CreateFormFile(file[0], file[1])
		check(err)
		_, err = io.WriteString(part, file[2])
		check(err)
	}
	check(form.Close())
	stored, err := client.StoreAlbumWithBodyWithResponse(ctx, form.FormDataContentType(), &body)
	check(err)
	equal(stored.JSON201.Files, []string{`a.png image/png "\x89PNG\r\n\x1a\n"`, `b.txt text/plain "b"`, `c.txt text/plain "c"`})
}

func turnsPages(ctx context.Context, stranger *ClientWithResponses) {
	page := int64(2)
	second, err := stranger.NumbersWithResponse(ctx, &NumbersParams{Page: &page})
	check(err)
	equal([]any{second.JSON200.Items, *second.JSON200.Total}, []any{[]Number{{N: 3, Square: 9}}, int64(3)})
}

func others(ctx context.Context, client, stranger *ClientWithResponses) {
	ping, err := stranger.PingWithResponse(ctx)
	check(err)
	equal(*ping.JSON200, "pong")
	old, err := client.OldThingWithResponse(ctx, "2", nil)
	check(err)
	equal(old.HTTPResponse.Header.Get("Deprecation"), "@1767225600")
}
