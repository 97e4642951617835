package jsonout

import (
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/render"
)

type level int

func (l level) MarshalText() ([]byte, error) {
	if l < 0 {
		return nil, errors.New("negative")
	}
	return []byte(strings.Repeat("<", int(l))), nil
}

type byPointer struct{ text string }

func (p *byPointer) MarshalText() ([]byte, error) { return []byte("p:" + p.text), nil }

type custom struct{ V int }

func (c custom) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"<v>": c.V, "x": nil})
}

type Inner struct {
	A string `json:"a"`
	B *int   `json:"b,omitempty"`
}

type name string

type everything struct {
	Inner
	Bool    bool             `json:"bool"`
	Int8    int8             `json:"int8,omitempty"`
	Int     int64            `json:"int"`
	Uint    uint64           `json:"uint"`
	F32     float32          `json:"f32"`
	F64     float64          `json:"f64"`
	String  string           `json:"st<>ring"`
	Named   name             `json:"named,omitempty"`
	Bytes   []byte           `json:"bytes"`
	Time    time.Time        `json:"time"`
	Took    time.Duration    `json:"took"`
	Level   level            `json:"level"`
	Pointed byPointer        `json:"pointed"`
	Addr    netip.Addr       `json:"addr,omitzero"`
	Raw     json.RawMessage  `json:"raw,omitempty"`
	Custom  custom           `json:"custom"`
	Customs []custom         `json:"customs"`
	Slice   []string         `json:"slice"`
	Empty   []int            `json:"empty,omitempty"`
	Array   [2]Inner         `json:"array"`
	Map     map[string]int   `json:"map"`
	Maps    map[name][]Inner `json:"maps,omitempty"`
	Pointer *Inner           `json:"pointer"`
	Self    *everything      `json:"self,omitempty"`
	Quoted  int              `json:"quoted,string"`
	QuotedF *float64         `json:"quotedF,string"`
	QuotedS string           `json:"quotedS,string"`
	Zero    time.Time        `json:"zero,omitzero"`
	ZeroMap map[string]int   `json:"zeroMap,omitzero"`
	Levels  map[string]level `json:"levels"`
	hidden  int              //lint:ignore U1000 it must not be written
}

func encoder(t testing.TB, typ reflect.Type) Encoder {
	t.Helper()
	compiled, err := plan.NewCompiler(plan.Out).Compile(typ)
	require.NoError(t, err)
	return Compile(compiled)
}

// exactEncoder returns the encoder that writes nil slices as null.
func exactEncoder(t testing.TB, typ reflect.Type) Encoder {
	t.Helper()
	compiled, err := plan.NewCompiler(plan.Out).Compile(typ)
	require.NoError(t, err)
	return CompileExact(compiled)
}

// listed returns a copy of a value that has an empty slice or map instead of each nil one,
// so that encoding/json writes [] and {}. A nil one that omitzero leaves out stays nil, and
// so does what bytes and types with methods of their own have.
func listed(v reflect.Value) reflect.Value {
	own := func(t reflect.Type) bool {
		p := reflect.PointerTo(t) // has the methods of t as well
		return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	}
	t := v.Type()
	if own(t) || t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !own(t.Elem()) {
		return v
	}
	copied := reflect.New(t).Elem()
	copied.Set(v)
	switch t.Kind() {
	case reflect.Slice:
		copied.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
		for i := range v.Len() {
			copied.Index(i).Set(listed(v.Index(i)))
		}
	case reflect.Array:
		for i := range v.Len() {
			copied.Index(i).Set(listed(v.Index(i)))
		}
	case reflect.Map:
		copied.Set(reflect.MakeMap(t))
		for _, key := range v.MapKeys() {
			copied.SetMapIndex(key, listed(v.MapIndex(key)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			copied.Set(reflect.New(t.Elem()))
			copied.Elem().Set(listed(v.Elem()))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			omitted := strings.Contains(t.Field(i).Tag.Get("json"), ",omitzero") && v.Field(i).IsZero()
			if copied.Field(i).CanSet() && !omitted {
				copied.Field(i).Set(listed(v.Field(i)))
			}
		}
	}
	return copied
}

// same checks that value is written as encoding/json writes it, nil slices and maps apart.
func same(t testing.TB, e Encoder, value any) {
	t.Helper()
	want, wantErr := json.Marshal(listed(reflect.ValueOf(value)).Interface())
	v := reflect.ValueOf(value)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	got, err := e.Append([]byte("x"), v)
	require.Equal(t, wantErr != nil, err != nil, "%v\n%v", wantErr, err)
	if err == nil {
		require.Equal(t, "x"+string(want), string(got))
	}
}

// random fills a value with what random numbers say.
func random(r *rand.Rand, v reflect.Value, depth int) {
	texts := []string{"", "a", "<b>&\"\\", "\x00\x1f\b\f\n\r\t\x7f", "ä☃𝄞", "\u2028\u2029", "\xff\xfe", "a\xc3(", strings.Repeat("long ", 20)}
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9)-2e9, r.Int64N(1e9)).In(time.FixedZone("", r.IntN(48)*1800-24*1800))))
		return
	case v.Type() == reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{byte(r.Uint32())})))
		return
	case v.Type() == reflect.TypeFor[json.Number]():
		v.SetString([]string{"", "0", "-1.50", "1e400", "12345678901234567890", strings.Repeat("0", 1+r.IntN(40)/39)}[r.IntN(6)])
		return
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte([]string{"null", ` {"a" : [1, "<"]} `, "1.50", "{broken"}[r.IntN(4)]))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int64:
		if v.Type() == reflect.TypeFor[level]() {
			v.SetInt(r.Int64N(4) - r.Int64N(40)/39)
			return
		}
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint64, reflect.Uint16, reflect.Uintptr:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Float32:
		v.SetFloat(float64(math.Float32frombits(r.Uint32())))
	case reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), 1, 1e20, 1e21, 1e-6, 9e-7, 1.0 / 3, math.MaxFloat64, math.SmallestNonzeroFloat64, 100, r.NormFloat64(), math.Float64frombits(r.Uint64())}[r.IntN(13)])
	case reflect.String:
		v.SetString(texts[r.IntN(len(texts))])
	case reflect.Pointer:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			random(r, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := r.IntN(4); n < 3 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				random(r, v.Index(i), depth-1)
			}
		}
	case reflect.Uint8:
		v.SetUint(uint64(r.Uint32() & 0xff))
	case reflect.Array:
		for i := range v.Len() {
			random(r, v.Index(i), depth-1)
		}
	case reflect.Map:
		if r.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range r.IntN(4) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				random(r, key, depth)
				random(r, value, depth-1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				random(r, v.Field(i), depth-1)
			}
		}
	}
}

// TestLikeEncodingJSON writes random values and compares every byte.
func TestLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	e := encoder(t, reflect.TypeFor[everything]())
	exact := exactEncoder(t, reflect.TypeFor[everything]())
	same(t, e, &everything{})
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		var value everything
		random(r, reflect.ValueOf(&value).Elem(), 4)
		same(t, e, &value)
		want, wantErr := json.Marshal(&value)
		got, err := exact.Append(nil, reflect.ValueOf(&value).Elem())
		require.Equal(t, wantErr != nil, err != nil)
		if err == nil {
			require.Equal(t, string(want), string(got), "the exact encoder makes no exception")
		}
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	for _, value := range []any{[]Inner{{A: "x"}}, map[string]*Inner{"b": nil, "a": {}}, "text", 5, []string(nil), [0]int{}, struct{}{}, custom{3}, []custom{{1}}, level(2), time.Time{}, json.RawMessage(nil), []level{-1}, math.NaN()} {
		same(t, encoder(t, reflect.TypeOf(value)), value)
	}
}

type namedPointer *int

// perhaps is an interface that may hold a nil pointer.
type perhaps interface {
	json.Marshaler
	IsZero() bool
}

type seven struct{ V int }

func (s *seven) IsZero() bool                 { return s.V == 7 }
func (s *seven) MarshalJSON() ([]byte, error) { return []byte("7"), nil }

// TestOddFields has what encoding/json has rules of its own for.
func TestOddFields(t *testing.T) {
	t.Parallel()
	five, number := 5, json.Number("12.50")
	type numbers struct {
		A json.Number            `json:"a"`
		B *json.Number           `json:"b"`
		C json.Number            `json:"c,string"`
		D json.Number            `json:"d,omitempty"`
		E map[string]json.Number `json:"e"`
	}
	type zero struct {
		A perhaps `json:"a,omitzero"`
		B *seven  `json:"b,omitzero"`
		C perhaps `json:"c"`
	}
	for _, value := range []any{
		numbers{}, numbers{"1e5", &number, "3", "-0.10", map[string]json.Number{"x": "1"}}, numbers{A: "bad"}, []json.Number{"", "7"}, json.Number("1"),
		zero{}, zero{(*seven)(nil), nil, (*seven)(nil)}, zero{&seven{7}, &seven{7}, &seven{7}}, zero{&seven{1}, &seven{1}, nil},
		struct {
			A namedPointer `json:"a,string"`
		}{&five},
	} {
		same(t, encoder(t, reflect.TypeOf(value)), value)
	}
}

type node struct {
	Next *node   `json:"next"`
	List []*node `json:"list,omitempty"`
}

func TestCycles(t *testing.T) {
	t.Parallel()
	e := encoder(t, reflect.TypeFor[node]())
	loop := &node{}
	loop.Next = loop
	_, err := e.Append(nil, reflect.ValueOf(loop).Elem())
	require.ErrorContains(t, err, "contains itself")
	same(t, e, &node{Next: &node{List: []*node{nil, {}}}})
}

type note struct {
	ID      int64     `json:"id"`
	Title   string    `json:"title"`
	Text    string    `json:"text"`
	Ratio   float64   `json:"ratio"`
	Live    bool      `json:"live"`
	Created time.Time `json:"created"`
	Author  Inner     `json:"author"`
	Tags    []string  `json:"tags"`
}

func notes() []note {
	notes := make([]note, 50)
	for i := range notes {
		notes[i] = note{int64(i), "A title", "Some text that is <not> short, and goes on for a while.", 0.5, true, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Inner{A: "Ann"}, []string{"a", "b"}}
	}
	return notes
}

func TestAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	all := notes()
	e, v := encoder(t, reflect.TypeFor[[]note]()), reflect.ValueOf(&all).Elem()
	buffer := make([]byte, 0, 64<<10)
	same(t, e, &all)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := e.Append(buffer, v); err != nil {
			t.Fatal(err)
		}
	}))
}

func BenchmarkFifty(b *testing.B) {
	all := notes()
	b.Run("jsonout", func(b *testing.B) {
		e, v := encoder(b, reflect.TypeFor[[]note]()), reflect.ValueOf(&all).Elem()
		buffer := make([]byte, 0, 64<<10)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Append(buffer, v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(all); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// zeroByPointer and zeroByValue say themselves whether they are zero.
type (
	zeroByPointer struct{ V int8 }
	zeroByValue   int8
	letter        byte
	bits          uint16
	text          map[string]int
	base          struct {
		Level  level `json:"level"`
		Hidden int8  `json:"int"`
	}
)

func (z *zeroByPointer) IsZero() bool          { return z.V < 0 }
func (z zeroByValue) IsZero() bool             { return z < 0 }
func (l *letter) MarshalText() ([]byte, error) { return []byte{'a' + byte(*l)%26, '<'}, nil }
func (t text) MarshalText() ([]byte, error)    { return strconv.AppendInt(nil, int64(len(t)), 10), nil }

// zoo has the types that everything has not.
type zoo struct {
	base
	Number  json.Number              `json:"number"`
	Numbers map[string]*json.Number  `json:"numbers"`
	Quoted  json.Number              `json:"quoted,string,omitempty"`
	Int     int8                     `json:"int,string,omitempty"`
	Bool    *bool                    `json:"bool,string"`
	Bits    bits                     `json:"bits,omitempty"`
	Address uintptr                  `json:"address,string"`
	Zero    zeroByPointer            `json:"zero,omitzero"`
	Zeros   map[string]zeroByPointer `json:"zeros,omitzero"`
	ZeroPtr *zeroByPointer           `json:"zeroPtr,omitzero"`
	Value   zeroByValue              `json:"value,omitzero,omitempty"`
	InMap   map[name]struct {
		Zero zeroByPointer `json:"zero,omitzero"`
		Text byPointer     `json:"text"`
		List []byPointer   `json:"list"`
		Arr  [1]byPointer  `json:"arr"`
	} `json:"inMap"`
	Letters  []letter             `json:"letters"`
	Letter   [2]letter            `json:"letter,omitempty"`
	ByLetter map[string]letter    `json:"byLetter"`
	Text     text                 `json:"text,omitempty"`
	Texts    []*text              `json:"texts"`
	Hash     [4]byte              `json:"hash"`
	Empty    [0]string            `json:"empty,omitempty"`
	Float    float32              `json:"float,omitempty"`
	Floats   map[string]float64   `json:"floats,omitempty"`
	At       *time.Time           `json:"at,omitempty"`
	AtZero   *time.Time           `json:"atZero,omitzero"`
	Times    map[string]time.Time `json:"times"`
	//lint:ignore SA5008 it has no effect here, in both
	Raw     *json.RawMessage           `json:"raw,string"`
	Raws    map[string]json.RawMessage `json:"raws"`
	Deep    [][]map[string][]*[]int8   `json:"deep"`
	Custom  *custom                    `json:"custom,omitempty"`
	Customs map[string]custom          `json:"customs"`
	Anon    struct {
		A string `json:"ä & <"`
		//lint:ignore SA5008 it means a field whose name is a hyphen
		B []byte `json:"-,"`
	} `json:"anon,omitzero"`
	Again []zoo `json:"again,omitzero"`
}

// FuzzZoo writes random values of the zoo, with and without an address.
func FuzzZoo(f *testing.F) {
	e, elements := encoder(f, reflect.TypeFor[zoo]()), encoder(f, reflect.TypeFor[map[string]zoo]())
	for seed := range uint64(200) {
		f.Add(seed, uint64(1))
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		var value zoo
		random(rand.New(rand.NewPCG(a, b)), reflect.ValueOf(&value).Elem(), 3)
		same(t, e, &value)
		same(t, e, value)
		same(t, elements, map[string]zoo{"": value})
	})
}

func FuzzString(f *testing.F) {
	f.Add("<\u2028\xff\x00\"")
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(want), string(AppendString(nil, s)))
	})
}

func FuzzLikeEncodingJSON(f *testing.F) {
	e := encoder(f, reflect.TypeFor[everything]())
	f.Add(uint64(1), uint64(2), "text", 1.5)
	f.Fuzz(func(t *testing.T, a, b uint64, text string, number float64) {
		var value everything
		random(rand.New(rand.NewPCG(a, b)), reflect.ValueOf(&value).Elem(), 3)
		value.String, value.F64, value.QuotedS = text, number, text
		value.QuotedF = &number
		value.F32 = float32(number)
		same(t, e, &value)
	})
}

type leaf struct {
	A string `json:"a,omitempty"`
	B int    `json:"b,string"`
}

type tree struct {
	Leaves []leaf          `json:"leaves"`
	By     map[string]leaf `json:"by,omitempty"`
	One    *leaf           `json:"one,omitempty"`
}

// filled writes a value and puts what hole returns into its holes.
func filled(t *testing.T, value any, selection *render.Selection, hole func(render.Hole) string) string {
	t.Helper()
	var holes []render.Hole
	text, err := encoder(t, reflect.TypeOf(value)).AppendSelected([]byte("before"), reflect.ValueOf(value), selection, &holes)
	require.NoError(t, err)
	for _, h := range slices.Backward(holes) {
		text = slices.Insert(text, h.At, []byte(hole(h))...)
	}
	written, ok := strings.CutPrefix(string(text), "before")
	require.True(t, ok)
	require.True(t, json.Valid([]byte(written)), written)
	return written
}

// Wherever an object is, and whatever it has already, its relations are members
// of it.
func TestRelationsEverywhere(t *testing.T) {
	t.Parallel()
	value := tree{[]leaf{{"x", 1}, {"", 2}, {"}", 3}}, map[string]leaf{"b": {"2", 0}, "a": {"1", 0}}, &leaf{"p", 4}}
	relation := func(key string) render.Member { return render.Member{Key: key, Relation: &render.Relation{}} }
	selection := &render.Selection{Everywhere: map[reflect.Type][]render.Member{reflect.TypeFor[leaf](): {relation("n<"), relation("m")}}}
	got := filled(t, value, selection, func(h render.Hole) string { return `"` + h.Member.Key[:1] + h.Parent.Field(0).String() + `"` })
	require.Equal(t, `{"leaves":[{"a":"x","b":"1","n\u003c":"nx","m":"mx"},{"b":"2","n\u003c":"n","m":"m"},{"a":"}","b":"3","n\u003c":"n}","m":"m}"}],`+
		`"by":{"a":{"a":"1","b":"0","n\u003c":"n1","m":"m1"},"b":{"a":"2","b":"0","n\u003c":"n2","m":"m2"}},"one":{"a":"p","b":"4","n\u003c":"np","m":"mp"}}`, got)

	type empty struct{}
	none := &render.Selection{Everywhere: map[reflect.Type][]render.Member{reflect.TypeFor[empty](): {relation("n")}}}
	require.Equal(t, `{"n":1}`, filled(t, empty{}, none, func(render.Hole) string { return "1" }))
	plain, err := json.Marshal(value)
	require.NoError(t, err)
	require.Equal(t, string(plain), filled(t, value, none, nil), "a selection of nothing that is there changes nothing")
	require.Equal(t, string(plain), filled(t, value, nil, nil))
}

// Members are written in the order and under the keys in which they were
// selected, a relation among them, and nothing else is.
func TestMembersAsSelected(t *testing.T) {
	t.Parallel()
	compiled, err := plan.NewCompiler(plan.Out).Compile(reflect.TypeFor[tree]())
	require.NoError(t, err)
	field := func(of *plan.Type, name string) *plan.Field {
		for of.Elem != nil {
			of = of.Elem
		}
		i := slices.IndexFunc(of.Fields, func(f *plan.Field) bool { return f.Name == name })
		return of.Fields[i]
	}
	leaves, one := field(compiled, "leaves"), field(compiled, "one")
	selection := &render.Selection{Members: []render.Member{
		{Key: "first", Field: one, Of: &render.Selection{Members: []render.Member{{Key: "r", Relation: &render.Relation{}}, {Key: "a", Field: field(one.Type, "a")}}}},
		{Key: "again", Field: one},
		{Key: "all", Field: leaves, Of: &render.Selection{Members: []render.Member{
			{Key: "b", Field: field(leaves.Type, "b")}, {Key: "s", Relation: &render.Relation{}}, {Key: "a", Field: field(leaves.Type, "a")},
		}}},
		{Key: "none", Field: leaves, Of: &render.Selection{Members: []render.Member{}}},
	}}
	var holes []render.Hole
	value := tree{Leaves: []leaf{{"x", 1}, {"", 2}}, By: map[string]leaf{"a": {}}, One: &leaf{"p", 3}}
	text, err := Compile(compiled).AppendSelected(nil, reflect.ValueOf(value), selection, &holes)
	require.NoError(t, err)
	require.Equal(t, `{"first":{"r":,"a":"p"},"again":{"a":"p","b":"3"},"all":[{"b":"1","s":,"a":"x"},{"b":"2","s":,"a":""}],"none":[{},{}]}`, string(text))
	require.Len(t, holes, 3)
	for _, hole := range holes {
		require.Equal(t, ":", string(text[hole.At-1]))
	}
	value.One = nil
	text, err = Compile(compiled).AppendSelected(nil, reflect.ValueOf(value), selection, &holes)
	require.NoError(t, err)
	require.Contains(t, string(text), `"first":null,"again":null`, "what was selected by its name is there, even if it is left out otherwise")
}
