package jsonin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

type Address struct {
	City string `json:"city"`
	Zip  *int   `json:"zip"`
}

// key is text that is a number.
type key int64

func (k key) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(k), 10), nil }

func (k *key) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if *k = key(n); err == nil && strconv.FormatInt(n, 10) != string(text) {
		err = fmt.Errorf("%q is odd", text)
	}
	return err
}

type input struct {
	Name    string          `json:"name"`
	Age     int8            `json:"age"`
	Size    uint            `json:"size,omitempty"`
	Ratio   float32         `json:"ratio,omitempty"`
	Live    bool            `json:"live,omitempty"`
	Tags    []string        `json:"tags,omitempty"`
	Pair    [2]int          `json:"pair,omitempty"`
	By      map[string]int  `json:"by,omitempty"`
	Data    []byte          `json:"data,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	Took    time.Duration   `json:"took,omitempty"`
	Addr    netip.Addr      `json:"addr,omitzero"`
	ID      key             `json:"id,omitempty"`
	Raw     json.RawMessage `json:"raw,omitempty"`
	Home    Address         `json:"home,omitzero"`
	Others  []Address       `json:"others,omitempty"`
	Deep    *input          `json:"deep,omitempty"`
	Quoted  int             `json:"quoted,omitempty,string"`
	QuotedS *string         `json:"quotedS,omitempty,string"`
}

func decoder(t testing.TB, typ reflect.Type, use func(*plan.Field) bool) *Decoder {
	t.Helper()
	compiled, err := plan.NewCompiler(plan.In).Compile(typ)
	require.NoError(t, err)
	d, err := Compile(compiled, Options{Use: use})
	require.NoError(t, err)
	return d
}

func read(t testing.TB, text string) (input, error) {
	var in input
	err := decoder(t, reflect.TypeFor[input](), nil).Decode([]byte(text), reflect.ValueOf(&in).Elem(), nil)
	return in, err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	in, err := read(t, ` {"name":"ä\u00e4","age":-5,"size":7,"ratio":0.5,"live":true,"tags":["a",""],"pair":[1,2],"by":{"x":1},
		"data":"AQI=","at":"2026-01-02T03:04:05.5+01:00","took":5,"addr":"::1","id":"-12","raw":{"a": [1]},
		"home":{"city":"","zip":null},"others":[{"city":"b","zip":2}],"deep":{"name":"","age":0},"quoted":"5","quotedS":"\"q\""}
	`)
	require.NoError(t, err)
	require.Equal(t, input{
		Name: "ää", Age: -5, Size: 7, Ratio: 0.5, Live: true, Tags: []string{"a", ""}, Pair: [2]int{1, 2}, By: map[string]int{"x": 1},
		Data: []byte{1, 2}, At: in.At, Took: 5, Addr: netip.MustParseAddr("::1"), ID: -12,
		Raw: json.RawMessage(`{"a": [1]}`), Home: Address{}, Others: []Address{{"b", new(2)}}, Deep: &input{}, Quoted: 5, QuotedS: new("q"),
	}, in)
	require.True(t, in.At.Equal(time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC)))
	in, err = read(t, `{"name":"","age":0,"tags":[]}`)
	require.NoError(t, err)
	require.NotNil(t, in.Tags)
}

func TestSyntax(t *testing.T) {
	t.Parallel()
	const valid = `{"name":"a","age":1}`
	for name, text := range map[string]string{
		"empty": "", "space": " \n", "two values": valid + valid, "trailing": valid + ",", "BOM": "\ufeff" + valid, "duplicate": `{"name":"a","age":1,"age":2}`,
		"duplicate by escape": `{"name":"a","age":1,"\u0061ge":2}`, "invalid UTF-8": "{\"name\":\"\xff\",\"age\":1}", "lone surrogate": `{"name":"\ud800","age":1}`,
		"comment": "/* */" + valid, "single quotes": `{'name':"a"}`, "unquoted": `{name:"a"}`, "trailing comma": `{"name":"a","age":1,}`, "control": "{\"name\":\"a\nb\",\"age\":1}",
		"cut": `{"name":"a","age":1`, "cut in a list": `{"name":"a","age":1,"tags":["a"`, "NaN": `{"name":"a","age":NaN}`, "leading zero": `{"name":"a","age":01}`, "plus": `{"name":"a","age":+1}`,
		"deep":                      `{"name":"a","age":1,"deep":` + strings.Repeat(`{"deep":`, 100) + "1" + strings.Repeat("}", 101),
		"deep raw":                  `{"name":"a","age":1,"raw":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "}",
		"deeper than the tokenizer": `{"name":"a","age":1,"raw":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}",
		"a bomb in what is skipped": `{"x":` + strings.Repeat("[", 1<<20),
	} {
		_, err := read(t, text)
		syntax, ok := errors.AsType[*SyntaxError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.NotEmpty(t, syntax.Message)
	}
	_, err := read(t, `{"name":"a","age":1,"raw":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+"}")
	require.NoError(t, err, "64 levels are fine")
}

func TestFields(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"not an object":   {`[]`, " type"},
		"null":            {`null`, " null"},
		"missing":         {`{}`, "/name required, /age required"},
		"unknown":         {`{"name":"a","age":1,"owner":{"a":[1]}}`, "/owner unknown"},
		"other case":      {`{"Name":"a","age":1}`, "/Name unknown, /name required"},
		"escaped pointer": {`{"name":"a","age":1,"a/b~c":1}`, "/a~1b~0c unknown"},
		"types":           {`{"name":1,"age":"1","size":true,"ratio":"1","live":1,"tags":{},"by":[],"data":1,"at":1,"took":"1s","addr":1,"home":1}`, "/name type, /age type, /size type, /ratio type, /live type, /tags type, /by type, /data type, /at type, /took type, /addr type, /home type"},
		"nulls":           {`{"name":null,"age":null,"tags":null,"by":null,"data":null,"at":null,"home":null}`, "/name null, /age null, /tags null, /by null, /data null, /at null, /home null"},
		"ranges":          {`{"name":"","age":128,"size":-1,"ratio":1e39,"took":9223372036854775808}`, "/age range, /size range, /ratio range, /took range"},
		"huge float":      {`{"name":"","age":1e400}`, "/age type"},
		"no integers":     {`{"name":"","age":1.0,"size":1e2}`, "/age type, /size type"},
		"formats":         {`{"name":"","age":1,"data":"AQI","at":"2026-01-02","addr":"x","id":"07"}`, "/data format, /at format, /addr format, /id format"},
		"odd times":       {`{"name":"","age":1,"at":"2026-01-02T03:04:05+24:00","deep":{"name":"","age":1,"at":"2026-01-02T3:04:05,5Z"}}`, "/at format, /deep/at format"},
		"NUL":             {`{"name":"a\u0000b","age":1}`, "/name format"},
		"base64 breaks":   {`{"name":"","age":1,"data":"AQ\nI="}`, "/data format"},
		"array":           {`{"name":"","age":1,"pair":[1,2,3]}`, "/pair len"},
		"in depth":        {`{"name":"","age":1,"others":[{"city":"a"},{"zip":"x"}],"by":{"a/b":"c"}}`, "/others/1/zip type, /others/1/city required, /by/a~1b type"},
		"quoted":          {`{"name":"","age":1,"quoted":5,"quotedS":"q"}`, "/quoted type, /quotedS type"},
		"quoted twice":    {`{"name":"","age":1,"quoted":"5 6"}`, "/quoted type"},
	} {
		_, err := read(t, test.text)
		fields, ok := errors.AsType[*FieldsError](err)
		require.True(t, ok, "%s: %v", name, err)
		var got []string
		for _, field := range fields.Fields {
			got = append(got, field.Pointer+" "+field.Rule)
			require.NotEmpty(t, field.Message)
		}
		require.Equal(t, test.want, strings.Join(got, ", "), name)
	}
	_, err := read(t, `{"name":"hunter2","age":"hunter2","at":"hunter2","addr":"hunter2","id":"hunter2","x`+strings.Repeat("x", 1000)+`":"hunter2"}`)
	fields, _ := errors.AsType[*FieldsError](err)
	for _, field := range fields.Fields {
		require.NotContains(t, field.Message+field.Pointer, "hunter2")
		require.Less(t, len(field.Pointer), 100)
	}
	_, err = read(t, `{"name":"","age":1,"tags":[`+strings.Repeat("1,", 1000)+`1]}`)
	fields, _ = errors.AsType[*FieldsError](err)
	require.Len(t, fields.Fields, 50)
}

// Fields that come from elsewhere may not be in the body, and are left alone.
func TestUse(t *testing.T) {
	t.Parallel()
	d := decoder(t, reflect.TypeFor[Address](), func(f *plan.Field) bool { return f.Name == "city" })
	in := Address{Zip: new(5)}
	require.NoError(t, d.Decode([]byte(`{"city":"a"}`), reflect.ValueOf(&in).Elem(), nil))
	require.Equal(t, Address{"a", new(5)}, in)
	require.Error(t, d.Decode([]byte(`{"city":"a","zip":6}`), reflect.ValueOf(&in).Elem(), nil))
	require.Equal(t, 5, *in.Zip)
}

func TestNothingIsKept(t *testing.T) {
	t.Parallel()
	data := []byte(`{"name":"abc","age":1,"data":"AQI=","raw":"abc","tags":["abc"],"by":{"abc":1}}`)
	var in input
	require.NoError(t, decoder(t, reflect.TypeFor[input](), nil).Decode(data, reflect.ValueOf(&in).Elem(), nil))
	for i := range data {
		data[i] = 'x'
	}
	require.Equal(t, "abc", in.Name)
	require.Equal(t, json.RawMessage(`"abc"`), in.Raw)
	require.Equal(t, []string{"abc"}, in.Tags)
	require.Equal(t, 1, in.By["abc"])
}

// FuzzDecode: nothing panics, and what is accepted means the same to
// encoding/json.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"name":"a","age":1}`, `{"name":"a","age":1,"tags":["\u00e4"],"raw":[1,{}],"deep":{"name":"","age":0}}`,
		`{"name":"","age":1,"quoted":"5","quotedS":"\"\"","by":{"":1},"others":[{"city":"","zip":1}],"at":"2026-01-02T03:04:05Z","took":1,"ratio":1e-7}`, `[`, `"\ud83d\ude00"`,
		`{"name":"","age":0,"at":"2026-01-02T03:04:05+24:00"}`, `{"name":"","age":0,"at":"2026-01-02T3:04:05,5Z","quoted":"-0","quotedS":"null"}`, `{"name":"","age":0,"data":"AQJ=","pair":[1,2],"addr":"::1%a","id":"-0"}`} {
		f.Add([]byte(seed))
	}
	d := decoder(f, reflect.TypeFor[input](), nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs input
		if err := d.Decode(data, reflect.ValueOf(&ours).Elem(), nil); err != nil {
			return
		}
		require.NoError(t, json.Unmarshal(data, &theirs), "%s", data)
		a, err := json.Marshal(ours)
		require.NoError(t, err)
		b, err := json.Marshal(theirs)
		require.NoError(t, err)
		require.Equal(t, string(b), string(a), "%s", data)
	})
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(`{"name":"A title","age":5,"tags":["a","b"],"at":"2026-01-02T03:04:05Z","home":{"city":"Vienna","zip":1010}}`)
	d := decoder(b, reflect.TypeFor[input](), nil)
	b.ReportAllocs()
	for b.Loop() {
		var in input
		if err := d.Decode(data, reflect.ValueOf(&in).Elem(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// What is reported does not grow with the names that the client made up.
func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[map[string][]int]())
	require.NoError(t, err)
	d, err := Compile(described, Options{})
	require.NoError(t, err)
	text := `{"` + strings.Repeat("x", 100_000) + `":[` + strings.Repeat(`"",`, 99) + `""]}`
	var into map[string][]int
	fields, ok := errors.AsType[*FieldsError](d.Decode([]byte(text), reflect.ValueOf(&into).Elem(), nil))
	require.True(t, ok)
	require.Len(t, fields.Fields, 50)
	require.Equal(t, "/"+strings.Repeat("x", 50)+"…/0", fields.Fields[0].Pointer)
	_, ok = errors.AsType[*FieldsError](d.Decode([]byte(`{"a\u0000":[]}`), reflect.ValueOf(&into).Elem(), nil))
	require.True(t, ok, "a NUL in a name")
}

// A small text must not make values many times its size.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	type large struct {
		A [32]string `json:"a,omitempty"` // 512 bytes
	}
	decodeInto := func(into any, text string) error {
		v := reflect.ValueOf(into).Elem()
		described, err := plan.NewCompiler(plan.In).Compile(v.Type())
		require.NoError(t, err)
		d, err := Compile(described, Options{})
		require.NoError(t, err)
		return d.Decode([]byte(text), v, nil)
	}
	list := "[" + strings.Repeat("{},", 99_999) + "{}]" // 300 KB, and 51 MB of structs
	for _, into := range []any{new([]large), new([]*large)} {
		require.Equal(t, ErrMemory, decodeInto(into, list), "%T", into)
	}
	require.NoError(t, decodeInto(new([]struct{}), list))
	require.NoError(t, decodeInto(new([][]int), strings.ReplaceAll(list, "{}", "[]")))
	require.NoError(t, decodeInto(new([]large), "["+strings.Repeat("{},", 999)+"{}]"))
}

// Whatever the text, decoding takes a small multiple of its length: what it refuses is refused
// before it has taken more, and what it takes is what it has counted.
func TestMemoryIsASmallMultipleOfTheText(t *testing.T) { // alone: it counts what is allocated
	type small struct{ A, B, C *int64 }
	type large struct {
		Small small
		Text  [64]string
	}
	for name, test := range map[string]struct {
		into any
		unit string
	}{
		"small structs": {new([]small), "{}"}, "large structs": {new([]large), "{}"}, "pointers": {new([]*large), "{}"},
		"maps": {new([]map[string]int), `{"a":1}`}, "empty maps": {new([]map[string]int), "{}"}, "maps of structs": {new([]map[string]large), `{"":{}}`},
		"lists": {new([][]int), "[]"}, "lists of one": {new([][]int), "[1]"}, "deep lists": {new([][][][][]int), "[[[[]]]]"}, "lists of maps": {new([][]map[string]string), `[{"":""}]`},
		"strings": {new([]string), `""`}, "numbers": {new([]int64), "1"}, "raw": {new([]json.RawMessage), "1"}, "bytes": {new([][]byte), `"YQ=="`}, "quoted": {new([]struct {
			N *int `json:",string"`
		}), `{"N":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			v := reflect.ValueOf(test.into).Elem()
			described, err := plan.NewCompiler(plan.In).Compile(v.Type())
			require.NoError(t, err)
			d, err := Compile(described, Options{})
			require.NoError(t, err)
			text := []byte("[" + strings.Repeat(test.unit+",", (1<<20)/(len(test.unit)+1)-1) + test.unit + "]")
			var counted total
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err = d.Decode(text, v, &counted)
			runtime.GC()
			runtime.ReadMemStats(&after)
			live := int64(after.HeapAlloc) - int64(before.HeapAlloc)
			t.Logf("%v: %.1f MiB live, %.1f counted, %.1f allocated", err, float64(live)/(1<<20), float64(counted)/(1<<20), float64(after.TotalAlloc-before.TotalAlloc)/(1<<20))
			require.LessOrEqual(t, live, int64(16<<20))
			require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), int64(64<<20))
			require.LessOrEqual(t, live, int64(counted)*3/2+2<<20, "more than was counted")
			runtime.KeepAlive(v)
		})
	}
}

// total is a Memory that has any amount.
type total int64

func (t *total) Use(n int64) bool { *t += total(n); return true }

// Numbers in quotes are no way around the bound of what is reported.
func TestErrorsInQuotesAreBounded(t *testing.T) {
	t.Parallel()
	type item struct {
		N int `json:"n,string"`
	}
	var items []item
	text := "[" + strings.Repeat(`{"n":"0.5"},`, 200) + `{"n":"x"},{"n":1}]`
	err := decoder(t, reflect.TypeOf(items), nil).Decode([]byte(text), reflect.ValueOf(&items).Elem(), nil)
	wrong, ok := errors.AsType[*FieldsError](err)
	require.True(t, ok)
	require.Len(t, wrong.Fields, 50)
}
