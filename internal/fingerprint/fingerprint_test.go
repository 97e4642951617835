package fingerprint_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/fingerprint"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// secretText, secretJSON, secretNumber and secretStruct keep what they hold out
// of logs.
type (
	secretText   string
	secretJSON   string
	secretNumber int
	secretStruct struct {
		text string
		list []int
		pair [2]uint8
		set  bool
	}
)

func (secretText) MarshalText() ([]byte, error)   { return []byte("***"), nil }
func (*secretText) UnmarshalText([]byte) error    { return nil }
func (secretJSON) MarshalJSON() ([]byte, error)   { return []byte(`"***"`), nil }
func (secretNumber) MarshalText() ([]byte, error) { return []byte("***"), nil }
func (secretStruct) MarshalText() ([]byte, error) { return []byte("***"), nil }
func (*secretStruct) UnmarshalText([]byte) error  { return nil }

// weekday has no text for 0.
type weekday int

func (d weekday) MarshalText() ([]byte, error) {
	if d == 0 {
		return nil, errors.New("no weekday")
	}
	return []byte{byte(d) + '0'}, nil
}

func (d *weekday) UnmarshalText([]byte) error { return nil }

// cached has a text, and a pointer that does not count.
type cached struct {
	cache *int
	name  string
}

func (c *cached) MarshalText() ([]byte, error) { return []byte(c.name), nil }
func (c *cached) UnmarshalText([]byte) error   { return nil }

type base struct {
	ID int64 `json:"id"`
}

type input struct {
	base
	Bool     bool                       `json:"bool"`
	Small    int8                       `json:"small"`
	Unsigned uint64                     `json:"unsigned"`
	Float    float64                    `json:"float"`
	Name     string                     `json:"name"`
	Bytes    []byte                     `json:"bytes"`
	Took     time.Duration              `json:"took"`
	At       time.Time                  `json:"at"`
	Text     secretText                 `json:"text"`
	JSON     secretJSON                 `json:"json"`
	Number   secretNumber               `json:"number"`
	Struct   secretStruct               `json:"struct"`
	Cached   cached                     `json:"cached"`
	Day      weekday                    `json:"day"`
	Addr     netip.Addr                 `json:"addr"`
	Raw      json.RawMessage            `json:"raw"`
	After    *int                       `json:"after"` // what follows a number of Raw
	MayBool  backend.Opt[bool]          `json:"mayBool"`
	MayDay   backend.Opt[weekday]       `json:"mayDay"`
	MayList  backend.Opt[[]string]      `json:"mayList"`
	Pointer  *[]byte                    `json:"pointer"`
	Pair     [2]string                  `json:"pair"`
	Lists    [][]string                 `json:"lists"`
	Raws     []json.RawMessage          `json:"raws"`
	Map      map[string]*string         `json:"map"`
	Within   map[string]map[string]base `json:"within"`
	Children []input                    `json:"children"`
	hidden   int                        //lint:ignore U1000 it is no part of the input
	Skipped  string                     `json:"-"`
}

// source makes values. What counts comes from choices, and what does not, such as
// the order in which a map was filled, from noise.
type source struct {
	choices []byte
	noise   *rand.Rand
}

func newSource(choices []byte, noise uint64) *source {
	return &source{choices, rand.New(rand.NewPCG(noise, 0))}
}

func (s *source) choose(n int) int {
	if len(s.choices) == 0 {
		return 0
	}
	choice := int(s.choices[0]) % n
	s.choices = s.choices[1:]
	return choice
}

func pick[T any](s *source, values ...T) T { return values[s.choose(len(values))] }

func (s *source) text() string {
	return pick(s, "", "a", "b", "ab", `"`, `\`, `" 1:"`, "-", "\xff", `\xff`, "ä")
}

// list returns nil or up to three elements, with noise in its capacity.
func list[T any](s *source, element func() T) []T {
	n := s.choose(5) - 1
	if n < 0 {
		return nil
	}
	made := make([]T, 0, n+s.noise.IntN(3))
	for range n {
		made = append(made, element())
	}
	return made
}

// dict returns nil or a map, with noise in the order in which it was filled.
func dict[T any](s *source, element func() T) map[string]T {
	values := list(s, element)
	if values == nil {
		return nil
	}
	made := map[string]T{}
	for _, i := range s.noise.Perm(len(values)) {
		made[string(rune('a'+i))+strings.Repeat("x", i)] = values[i]
	}
	return made
}

func opt[T any](s *source, value func() T) backend.Opt[T] {
	switch s.choose(3) {
	case 0:
		return backend.Opt[T]{}
	case 1:
		return backend.Opt[T]{Present: true, Null: true}
	}
	return backend.Some(value())
}

// raw returns JSON with noise in its blanks.
func (s *source) raw() json.RawMessage {
	text := pick(s, "", "null", "1", "12", "1.0", "1e1", "-1", `"1"`, `"a b"`, `"ab"`, "{}", "[]", "[1,2]", "[12]", `{"a":1,"b":2}`, `{"b":2,"a":1}`)
	if text != "" && s.noise.IntN(2) == 0 {
		text = " " + strings.NewReplacer("[", "[ ", ",", "\n,\t", ":", " : ").Replace(text) + " "
	}
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func (s *source) time() time.Time {
	zone := pick(s, 0, 3600, -3600)
	at := time.Date(2026, 1, 2, 3, pick(s, 4, 5), 6, pick(s, 0, 1, 100), time.UTC)
	if zone == 0 {
		return at
	}
	return at.In(time.FixedZone("", zone))
}

func (s *source) input(depth int) input {
	number := s.noise.Int()
	in := input{
		base:     base{pick[int64](s, 0, 1, -1, 11)},
		Bool:     pick(s, false, true),
		Small:    pick[int8](s, 0, 1, 11, -128),
		Unsigned: pick[uint64](s, 0, 1, 1<<63),
		Float:    pick(s, 0, 1, 0.1, 1e300),
		Name:     s.text(),
		Bytes:    list(s, func() byte { return pick[byte](s, 'a', 0, 255) }),
		Took:     pick[time.Duration](s, 0, 1, time.Hour),
		At:       s.time(),
		Text:     secretText(s.text()),
		JSON:     secretJSON(s.text()),
		Number:   secretNumber(s.choose(12)),
		Struct:   secretStruct{s.text(), list(s, func() int { return s.choose(3) }), [2]uint8{byte(s.choose(2)), byte(s.choose(2))}, pick(s, false, true)},
		Cached:   cached{&number, s.text()},
		Day:      weekday(s.choose(3)),
		Addr:     pick(s, netip.Addr{}, netip.MustParseAddr("::1"), netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("::ffff:1.2.3.4")),
		Raw:      s.raw(),
		After:    pick(s, nil, new(0), new(1)),
		MayBool:  opt(s, func() bool { return pick(s, false, true) }),
		MayDay:   opt(s, func() weekday { return weekday(s.choose(3)) }),
		MayList:  opt(s, func() []string { return list(s, s.text) }),
		Pointer:  pick(s, nil, new([]byte(nil)), &[]byte{}, &[]byte{'a'}),
		Pair:     [2]string{s.text(), s.text()},
		Lists:    list(s, func() []string { return list(s, s.text) }),
		Raws:     list(s, s.raw),
		Map:      dict(s, func() *string { return pick(s, nil, new(""), new("a")) }),
		Within:   dict(s, func() map[string]base { return dict(s, func() base { return base{int64(s.choose(3))} }) }),
		hidden:   s.noise.Int(),
		Skipped:  string(rune('a' + s.noise.IntN(26))),
	}
	if depth > 0 {
		in.Children = list(s, func() input { return s.input(depth - 1) })
	}
	return in
}

// judged returns an input without what does not count. reflect.DeepEqual judges
// the rest.
func judged(choices []byte) input { return cleared(newSource(choices, 0).input(2)) }

func cleared(in input) input {
	in.hidden, in.Skipped, in.Cached.cache = 0, "", nil
	in.Raw = compact(in.Raw)
	in.Raws = slices.Clone(in.Raws)
	for i := range in.Raws {
		in.Raws[i] = compact(in.Raws[i])
	}
	for i := range in.Children {
		in.Children[i] = cleared(in.Children[i])
	}
	return in
}

// compact removes the blanks that source.raw may have put.
func compact(raw json.RawMessage) json.RawMessage {
	text := strings.NewReplacer("[ ", "[", "\n,\t", ",", " : ", ":").Replace(strings.TrimSpace(string(raw)))
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func compiled(t testing.TB, typ reflect.Type) *plan.Type {
	t.Helper()
	made, err := plan.NewCompiler(plan.In).Compile(typ)
	require.NoError(t, err)
	return made
}

func written(t testing.TB, typ *plan.Type, value any) string {
	t.Helper()
	text, err := fingerprint.Append([]byte("before"), typ, reflect.ValueOf(value))
	require.NoError(t, err)
	rest, ok := strings.CutPrefix(string(text), "before")
	require.True(t, ok, "it is appended")
	return rest
}

// agree checks that the fingerprints of two values are equal if the values are.
func agree(t testing.TB, typ *plan.Type, a, b []byte, noise uint64) (equal bool) {
	t.Helper()
	equal = reflect.DeepEqual(judged(a), judged(b))
	one, other := newSource(a, noise).input(2), newSource(b, noise+1).input(2)
	require.Equal(t, equal, written(t, typ, one) == written(t, typ, other), "%+v\n%+v\n%s\n%s", one, other, written(t, typ, one), written(t, typ, other))
	return equal
}

// changed returns choices with one or two of them changed, left out or doubled,
// or as they were.
func changed(r *rand.Rand, choices []byte) []byte {
	made := slices.Clone(choices)
	for range r.IntN(3) {
		if len(made) == 0 {
			return made
		}
		switch i := r.IntN(len(made)); r.IntN(4) {
		case 0:
			made[i] = byte(r.Uint32())
		case 1:
			made[i]++
		case 2:
			made = slices.Insert(made, i, made[i])
		case 3:
			made = slices.Delete(made, i, i+1)
		}
	}
	return made
}

func TestEqualExactlyIfTheValuesAre(t *testing.T) {
	t.Parallel()
	typ := compiled(t, reflect.TypeFor[input]())
	equal := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		choices := make([]byte, 1+r.IntN(150))
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		if agree(t, typ, choices, changed(r, choices), seed) {
			equal++
		}
	}
	require.Greater(t, equal, 500)
	require.Less(t, equal, 2500)
}

func FuzzEqualExactlyIfTheValuesAre(f *testing.F) {
	typ := compiled(f, reflect.TypeFor[input]())
	f.Add([]byte{}, []byte{1}, uint64(0))
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), []byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint64(1))
	f.Fuzz(func(t *testing.T, a, b []byte, noise uint64) { agree(t, typ, a, b, noise) })
}

// The rules, each by an example.
func TestRules(t *testing.T) {
	t.Parallel()
	type (
		text  struct{ V secretText }
		raw   struct{ V json.RawMessage }
		raws  struct{ V []json.RawMessage }
		at    struct{ V time.Time }
		list  struct{ V []string }
		maps  struct{ V map[string]int }
		may   struct{ V backend.Opt[string] }
		mays  struct{ V []backend.Opt[bool] }
		to    struct{ V *string }
		pair  struct{ A, B string }
		float struct{ V float64 }
	)
	moment := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		a, b  any
		equal bool
	}{
		"text that is hidden":          {text{"one"}, text{"two"}, false},
		"text with a zero value":       {text{""}, text{"***"}, false},
		"absent and null":              {may{}, may{backend.Opt[string]{Present: true, Null: true}}, false},
		"null and empty":               {may{backend.Opt[string]{Present: true, Null: true}}, may{backend.Some("")}, false},
		"absent whatever is in it":     {may{}, may{backend.Opt[string]{V: "left over"}}, true},
		"null whatever is in it":       {may{backend.Opt[string]{Present: true, Null: true}}, may{backend.Opt[string]{V: "left over", Present: true, Null: true}}, true},
		"Opts in a row":                {mays{[]backend.Opt[bool]{{Present: true, Null: true}, backend.Some(false)}}, mays{[]backend.Opt[bool]{backend.Some(true), {}}}, false},
		"text with a blank that moves": {pair{"a b", "c"}, pair{"a", "b c"}, false},
		"digits of JSON that move":     {raws{[]json.RawMessage{[]byte("1"), []byte("23")}}, raws{[]json.RawMessage{[]byte("12"), []byte("3")}}, false},
		"nil and an empty slice":       {list{}, list{[]string{}}, false},
		"one element and two":          {list{[]string{"a b"}}, list{[]string{"a", "b"}}, false},
		"nil and an empty map":         {maps{}, maps{map[string]int{}}, false},
		"maps":                         {maps{map[string]int{"a": 1, "b": 2}}, maps{map[string]int{"b": 2, "a": 1}}, true},
		"maps with other values":       {maps{map[string]int{"a": 1, "b": 2}}, maps{map[string]int{"a": 2, "b": 1}}, false},
		"nil and a pointer to empty":   {to{}, to{new("")}, false},
		"pointers":                     {to{new("a")}, to{new("a")}, true},
		"text that moves":              {pair{"a", "b"}, pair{"ab", ""}, false},
		"text with quotes that moves":  {pair{`a" "b`, ""}, pair{"a", `b" "`}, false},
		"blanks in JSON":               {raw{json.RawMessage(`{"a": [1, 2]}`)}, raw{json.RawMessage(`{"a":[1,2]}`)}, true},
		"blanks in a string of JSON":   {raw{json.RawMessage(`"a b"`)}, raw{json.RawMessage(`"ab"`)}, false},
		"JSON and a string of it":      {raw{json.RawMessage(`1`)}, raw{json.RawMessage(`"1"`)}, false},
		"null and absent JSON":         {raw{json.RawMessage(`null`)}, raw{}, false},
		"numbers of JSON that move":    {raws{[]json.RawMessage{[]byte("1"), []byte("-1")}}, raws{[]json.RawMessage{[]byte("-1"), []byte("1")}}, false},
		"a moment":                     {at{moment}, at{moment.In(time.FixedZone("elsewhere", 0))}, true},
		"a moment with an offset":      {at{moment}, at{moment.In(time.FixedZone("", 3600))}, false},
		"another nanosecond":           {at{moment}, at{moment.Add(1)}, false},
		"floats that are close":        {float{0.1}, float{0.1 + 1e-17}, true},
		"floats that differ":           {float{0.1}, float{0.10000000000000002}, false},
	} {
		typ := compiled(t, reflect.TypeOf(test.a))
		require.Equal(t, test.equal, written(t, typ, test.a) == written(t, typ, test.b), name)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		"compare the input with that of an earlier call: no text today": struct{ V []never }{[]never{1}},
		"unexpected end of JSON input":                                  struct{ V map[string]json.RawMessage }{map[string]json.RawMessage{"a": []byte("{")}},
	} {
		_, err := fingerprint.Append(nil, compiled(t, reflect.TypeOf(value)), reflect.ValueOf(value))
		require.EqualError(t, err, want)
	}
}

type never int

func (never) MarshalText() ([]byte, error) { return nil, errors.New("no text today") }
func (*never) UnmarshalText([]byte) error  { return nil }

type onlyIn struct{ name string }

func (o *onlyIn) UnmarshalText(text []byte) error {
	o.name = string(text)
	return nil
}

func TestIncomparable(t *testing.T) {
	t.Parallel()
	require.Empty(t, fingerprint.Incomparable(compiled(t, reflect.TypeFor[input]())))
	type within struct {
		List []struct{ V *onlyIn }
		Fine cached
	}
	require.Equal(t, []reflect.Type{reflect.TypeFor[onlyIn]()}, fingerprint.Incomparable(compiled(t, reflect.TypeFor[within]())))
}
