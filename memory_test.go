package backend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

type memoryItem struct {
	A backend.Opt[string] `json:"a"`
	B backend.Opt[string] `json:"b"`
}

// memoryLogic has an operation that returns when a channel is closed.
func memoryLogic(door func(*backend.Logic) http.Handler, config backend.LogicConfig, finish chan struct{}) (http.Handler, chan int) {
	type input struct {
		Items []memoryItem      `json:"items"`
		Fail  backend.Opt[bool] `json:"fail"`
	}
	begun := make(chan int, 30)
	logic := backend.NewLogic(nil, nil, config)
	logic.Add(backend.Mutation("put", backend.Public, func(_ context.Context, in input) (backend.None, error) {
		if in.Fail.Or(false) {
			panic("after decoding")
		}
		begun <- len(in.Items)
		<-finish
		return backend.None{}, nil
	}, backend.Route("POST /put"), backend.MaxBody(8<<20)))
	return backend.Recover()(door(logic)), begun
}

func newREST(logic *backend.Logic) http.Handler { return logic.REST(backend.RESTConfig{}) }

// eachDoor runs a test with the door of REST and with one of a stranger.
func eachDoor(t *testing.T, test func(t *testing.T, door func(*backend.Logic) http.Handler)) {
	for name, door := range map[string]func(*backend.Logic) http.Handler{"rest": newREST, "custom": toydoor.New} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, door)
		})
	}
}

func postFrom(h http.Handler, client, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/put", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = client + ":1234"
	h.ServeHTTP(w, r)
	return w
}

// A body whose value would take many times its length is refused.
func TestInputsThatGrowAreRefused(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	close(finish)
	h, begun := memoryLogic(newREST, backend.LogicConfig{}, finish)
	hostile := `{"items":[` + strings.Repeat("{},", 300_000) + `{}]}`
	w := postFrom(h, "10.0.0.1", hostile)
	require.Equal(t, 413, w.Code, w.Body)
	require.Contains(t, w.Body.String(), "far more memory than its length")
	honest := `{"items":[` + strings.Repeat(`{"a":"some text that an item has","b":null},`, 30_000) + `{}]}`
	w = postFrom(h, "10.0.0.1", honest)
	require.Equal(t, 204, w.Code, w.Body)
	require.Equal(t, 30_001, <-begun)
}

// All requests together take no more than LogicConfig.InputMemory, and one client not all
// of that. It is given back however a request ends.
func TestInputMemoryIsShared(t *testing.T) {
	t.Parallel()
	eachDoor(t, testInputMemoryIsShared)
}

func testInputMemoryIsShared(t *testing.T, door func(*backend.Logic) http.Handler) {
	finish := make(chan struct{})
	h, begun := memoryLogic(door, backend.LogicConfig{InputMemory: 3 << 20}, finish)
	body := `{"items":[` + strings.Repeat(`{"a":"x"},`, 5_000) + `{}]}` // 50 KB, and about 0.5 MiB with its value
	busy := func(client string) bool {
		w := postFrom(h, client, body[:len(body)-1]+`,"fail":true}`)
		require.Contains(t, []int{500, 503}, w.Code, w.Body)
		if w.Code == 503 {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		return w.Code == 503
	}
	for range 5 { // panics and broken bodies give it back
		require.False(t, busy("10.0.0.1"))
		require.Equal(t, 400, postFrom(h, "10.0.0.1", body[:len(body)-1]).Code)
	}
	done := make(chan int, 30)
	running := 0
	for !busy("10.0.0.1") {
		go func() { done <- postFrom(h, "10.0.0.1", body).Code }()
		require.Equal(t, 5_001, <-begun)
		running++
		require.Less(t, running, 20)
	}
	require.False(t, busy("10.0.0.2"), "another client has the rest")
	for i := 0; !busy(fmt.Sprintf("10.0.1.%d", i)); i++ {
		go func() { done <- postFrom(h, fmt.Sprintf("10.0.1.%d", i), body).Code }()
		require.Equal(t, 5_001, <-begun)
		running++
		require.Less(t, running, 20)
	}
	small := make(chan int)
	go func() { small <- postFrom(h, "10.0.0.1", `{"items":[{"a":"x"}]}`).Code }() // the first 16 KiB are free
	require.Equal(t, 1, <-begun)
	close(finish)
	require.Contains(t, []int{200, 204}, <-small)
	for range running {
		require.Contains(t, []int{200, 204}, <-done)
	}
	require.False(t, busy("10.0.0.1"))
}

// The body itself counts, also while it arrives.
func TestBodiesThatArriveCount(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	h, _ := memoryLogic(newREST, backend.LogicConfig{InputMemory: 4 << 20}, finish)
	close(finish)
	server := httptest.NewServer(h)
	defer server.Close()
	arrived, end := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/put", arrived)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	go func() {
		io.Copy(end, io.LimitReader(spaces{}, 7<<20)) // until it is refused
		end.Close()
	}()
	response, err := http.DefaultClient.Do(r)
	if err == nil { // the server may close the connection before all of it is sent
		require.Equal(t, 503, response.StatusCode)
		response.Body.Close()
	}
	require.Equal(t, 204, postFrom(h, "10.0.0.1", `{"items":[]}`).Code)
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestInputMemoryIsNotNegative(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "backend: NewLogic: LogicConfig.InputMemory is negative; leave it out for the default", func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{InputMemory: -1})
	})
}
