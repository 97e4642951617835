package replay_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/replay"
)

func format(t testing.TB, typ reflect.Type, related ...reflect.Type) *replay.Format {
	t.Helper()
	out, err := plan.NewCompiler(plan.Out).Compile(typ)
	require.NoError(t, err)
	return replay.New(out, jsonout.CompileExact(out), related)
}

// stored returns what is stored of *answer.
func stored(t testing.TB, f *replay.Format, answer any) string {
	t.Helper()
	text, err := f.Append([]byte("before"), reflect.ValueOf(answer).Elem())
	require.NoError(t, err)
	rest, ok := strings.CutPrefix(string(text), "before")
	require.True(t, ok, "it is appended")
	return rest
}

type writesOnly struct{}

func (writesOnly) MarshalText() ([]byte, error) { return []byte("?"), nil }

type (
	Stamp struct {
		Version int `json:"-"`
	}
	Pointed struct {
		Lost string `json:"-"`
	}
	person struct {
		Name  string `json:"name"`
		Email string `json:"-"`
	}
	note struct {
		ID     int `json:"id"`
		Author int `json:"-"`
		Stamp
		Wait    func()                `json:"-"`
		Secret  writesOnly            `json:"-"`
		private string                `json:"-"` //lint:ignore U1000 it is not stored
		Text    string                `json:"text"`
		May     backend.Opt[person]   `json:"may,omitzero"`
		Opts    backend.Opt[Stamp]    `json:"opts,omitzero"`
		Pair    [2]Stamp              `json:"pair"`
		Person  *person               `json:"person"`
		Earlier []*note               `json:"earlier,omitempty"`
		Named   map[string]*note      `json:"named,omitempty"`
		Tags    map[string][]byte     `json:"tags"`
		Addr    netip.Addr            `json:"addr"`
		Hidden  []backend.Opt[string] `json:"-"`
		Values  map[string]person     `json:"values"`
	}
	tagged struct{ Note note }
)

func (tagged) ETag() string { return "" }

func text(r *rand.Rand) string { return []string{"", "a", "\n", "ä\"<\u2028", "b"}[r.IntN(5)] }

// makeNote returns a note without what is not stored.
func makeNote(r *rand.Rand, depth int) *note {
	n := &note{
		ID: r.IntN(3), Author: r.IntN(3), Stamp: Stamp{r.IntN(3)}, Text: text(r), Pair: [2]Stamp{{r.IntN(2)}, {r.IntN(2)}},
		Addr: netip.AddrFrom4([4]byte{1, 2, 3, byte(r.IntN(9))}),
	}
	if r.IntN(2) == 0 {
		n.May = backend.Some(person{text(r), text(r)})
		n.Person = &person{text(r), text(r)}
		n.Tags = map[string][]byte{"a": {1}, "b": nil, "c": {}}
		n.Hidden = []backend.Opt[string]{backend.Some("h"), {Present: true, Null: true}}
		n.Values = map[string]person{"a": {Name: text(r)}}
	} else {
		n.May = backend.Opt[person]{Present: r.IntN(2) == 0}
		n.May.Null = n.May.Present
		n.Opts = backend.Some(Stamp{r.IntN(9)})
	}
	for i := range r.IntN(3) * depth {
		n.Earlier = append(n.Earlier, nil, makeNote(r, depth-1))
		if n.Named == nil {
			n.Named = map[string]*note{"nil": nil}
		}
		n.Named[fmt.Sprint(9-i)] = makeNote(r, depth-1)
	}
	return n
}

// An answer that is read is the one that was stored, with all hidden fields that
// a method ETag may look at.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	f := format(t, reflect.TypeFor[*tagged]())
	for seed := range uint64(500) {
		want := &tagged{*makeNote(rand.New(rand.NewPCG(seed, 0)), 2)}
		text := stored(t, f, &want)
		got, _, err := f.Read([]byte(text))
		require.NoError(t, err)
		require.Equal(t, &want, got, text)
		require.Equal(t, text, stored(t, f, got))
	}
}

// The stored form is what earlier releases of a program have written: it must be
// read for as long as the keys live.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	n := &note{ID: 1, Author: 7, Stamp: Stamp{3}, Wait: func() {}, private: "p", Earlier: []*note{nil, {ID: 2, Author: 8}}}
	require.Equal(t, `{"id":1,"text":"","pair":[{},{}],"person":null,"earlier":[null,{"id":2,"text":"","pair":[{},{}],"person":null,"tags":null,"addr":"","values":null}],`+
		`"tags":null,"addr":"","values":null}`+"\n[7,3,null,8,0,null]", stored(t, format(t, reflect.TypeFor[note](), reflect.TypeFor[note]()), n))
}

// Fields that JSON does not show are stored only of the types that need them.
func TestSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	in := &note{Author: 7, Person: &person{"ann", secret}, Values: map[string]person{"a": {"bob", secret}}}
	require.NotContains(t, stored(t, format(t, reflect.TypeFor[note]()), in), "\n")
	require.NotContains(t, stored(t, format(t, reflect.TypeFor[note](), reflect.TypeFor[note]()), in), secret)
	require.Equal(t, 1, strings.Count(stored(t, format(t, reflect.TypeFor[note](), reflect.TypeFor[person]()), in), secret), "a value of a map is not reached")
}

// The fields of a struct that is embedded by a pointer, which may be nil, are not
// stored one by one; the pointer is.
func TestFieldsThroughPointers(t *testing.T) {
	t.Parallel()
	type list []struct {
		Embeds struct {
			*Pointed `json:"-"`
			Kept     int `json:"-"`
		}
	}
	f := format(t, reflect.TypeFor[list](), reflect.TypeFor[list]().Elem().Field(0).Type)
	in := make(list, 1)
	in[0].Embeds.Kept = 5
	require.Equal(t, `[{"Embeds":{}}]`+"\n[null,5]", stored(t, f, &in))
	got, _, err := f.Read([]byte(stored(t, f, &in)))
	require.NoError(t, err)
	require.Equal(t, &in, got)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	f := format(t, reflect.TypeFor[note](), reflect.TypeFor[note]())
	for text, want := range map[string]string{
		``:                         "EOF",
		`{"id":1`:                  "unexpected EOF",
		`{"id":"one"}`:             "json: cannot unmarshal string into Go struct field note.id of type int",
		`{"id":1}`:                 "EOF",
		"{\"id\":1}\n[1,2]":        "2 values for 3 fields",
		"{\"id\":1}\n[1,2,[],4]":   "4 values for 3 fields",
		"{\"id\":1}\n[1,\"b\",[]]": "json: cannot unmarshal string into Go value of type int",
		"{\"id\":1}\n{}":           "json: cannot unmarshal object into Go value of type []json.RawMessage",
	} {
		_, _, err := f.Read([]byte(text))
		require.EqualError(t, err, want, text)
	}
	_, err := format(t, reflect.TypeFor[json.RawMessage]()).Append(nil, reflect.ValueOf(json.RawMessage("{")))
	require.Error(t, err)
}

// What only a relation needs that was since removed is left unread.
func TestHiddenFieldsThatAreNotNeededAnyMore(t *testing.T) {
	t.Parallel()
	text := stored(t, format(t, reflect.TypeFor[person](), reflect.TypeFor[person]()), &person{"ann", "a@example.org"})
	got, _, err := format(t, reflect.TypeFor[person]()).Read([]byte(text))
	require.NoError(t, err)
	require.Equal(t, &person{Name: "ann"}, got)
}

// Whatever can be read is the same when it is stored and read again.
func FuzzRead(f *testing.F) {
	format := format(f, reflect.TypeFor[tagged]())
	for seed := range uint64(5) {
		f.Add([]byte(stored(f, format, &tagged{*makeNote(rand.New(rand.NewPCG(seed, 0)), 1)})))
	}
	f.Add([]byte("{}\n[1,2,[]]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, _, err := format.Read(text)
		if err != nil {
			return
		}
		again, _, err := format.Read([]byte(stored(t, format, first)))
		require.NoError(t, err)
		require.Equal(t, stored(t, format, first), stored(t, format, again))
	})
}
