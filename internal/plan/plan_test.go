package plan

import (
	"bufio"
	"encoding"
	"encoding/json"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type Base struct {
	ID   int64 `json:"id"`
	Name string
}

type tree struct {
	Base
	Name     string           `json:"name" validate:"required,max=5" doc:"what it is called"`
	Note     *string          `json:"note"`
	Tags     []string         `json:"tags,omitempty"`
	Children []tree           `json:"children"`
	By       map[string]uint8 `json:"by,omitzero"`
	Addr     netip.Addr       `json:"addr" in:"header=X-Addr"`
	At       time.Time        `json:"at"`
	Took     time.Duration    `json:"took"`
	Data     []byte           `json:"data"`
	Any      json.RawMessage  `json:"any"`
	Pair     [2]float32       `json:"pair"`
	hidden   int              //lint:ignore U1000 it must not be seen
	Skipped  chan int         `json:"-"`
	Count    int              `json:"count,string"`
}

func TestCompile(t *testing.T) {
	t.Parallel()
	got, err := NewCompiler(In).Compile(reflect.TypeFor[tree]())
	require.NoError(t, err)
	require.Equal(t, Struct, got.Kind)
	fields := map[string]*Field{}
	var names []string
	for _, field := range got.Fields {
		names = append(names, field.Name)
		fields[field.Name] = field
	}
	require.Equal(t, []string{"id", "Name", "name", "note", "tags", "children", "by", "addr", "at", "took", "data", "any", "pair", "count"}, names)
	require.Equal(t, []int{0, 0}, fields["id"].Index)
	require.Equal(t, "Base.ID", fields["id"].GoName)
	require.Same(t, got, fields["children"].Type.Elem, "recursive types end")
	for name, kind := range map[string]Kind{"id": Int, "name": String, "note": Pointer, "tags": Slice, "by": Map, "addr": Text, "at": Time,
		"took": Duration, "data": Bytes, "any": Raw, "pair": Array} {
		require.Equal(t, kind, fields[name].Type.Kind, name)
	}
	for name, required := range map[string]bool{"id": true, "note": false, "tags": false, "children": true, "by": false} {
		require.Equal(t, required, fields[name].Required, name)
	}
	require.Equal(t, "required,max=5", fields["name"].Validate)
	require.Equal(t, "what it is called", fields["name"].Doc)
	require.Equal(t, "header", fields["addr"].Place)
	require.Equal(t, "X-Addr", fields["addr"].PlaceName)
	require.True(t, fields["count"].Quoted)
}

type ambiguousA struct{ X, Y int }
type ambiguousB struct {
	Y int `json:"Y"`
}
type ambiguousC struct{ X int }

// The rule is encoding/json's, so it is asked.
func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	t.Parallel()
	type both struct {
		ambiguousA
		ambiguousB
		Z int `json:"z,omitempty"`
	}
	for _, value := range []any{both{Z: 1}, tree{}, struct {
		ambiguousA
		X string
	}{}} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &object))
		got, err := NewCompiler(Out).Compile(reflect.TypeOf(value))
		require.NoError(t, err)
		for name := range object {
			found := false
			for _, field := range got.Fields {
				found = found || field.Name == name
			}
			require.True(t, found, name)
		}
		for _, field := range got.Fields {
			if !field.OmitEmpty && !field.OmitZero {
				require.Contains(t, object, field.Name)
			}
		}
	}
}

// What net/http takes out of the header map never gets a value. It is asked
// which headers those are.
func TestHeadersThatNeverArrive(t *testing.T) {
	t.Parallel()
	names := []string{"Host", "Transfer-Encoding", "Trailer", "Connection", "Cookie", "Expect", "Te", "Upgrade", "Content-Type", "Authorization", "Accept", "Range", "If-Match", "X-Own"}
	text := "POST / HTTP/1.1\r\n"
	for _, name := range names {
		text += name + ": " + map[string]string{"Transfer-Encoding": "chunked", "Trailer": "X-Sum"}[name] + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "\r\n0\r\n\r\n")))
	require.NoError(t, err)
	for _, name := range names {
		tag := reflect.StructTag(`in:"header=` + strings.ToLower(name) + `"`)
		_, err := NewCompiler(In).Compile(reflect.StructOf([]reflect.StructField{{Name: "Field", Type: reflect.TypeFor[string](), Tag: tag}}))
		if _, arrives := r.Header[name]; arrives {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, "Field: the header "+strings.ToLower(name)+" never arrives: net/http takes it out of the headers")
	}
}

// Names of headers and cookies are tokens (RFC 9110, section 5.6.2).
func TestNamesOfHeadersAndCookies(t *testing.T) {
	t.Parallel()
	type good struct {
		Plain  string `json:"plain" in:"header"`
		Header string `in:"header=X-1!#$%&'*+-.^_|~"`
		Cookie string `in:"cookie=__Host-session"`
	}
	_, err := NewCompiler(In).Compile(reflect.TypeFor[good]())
	require.NoError(t, err)
	type bad struct {
		Empty  string `in:"header="`
		NoName string `in:"cookie="`
		Spaced string `in:"header=X A"`
		Colon  string `in:"header=X:"`
		Quoted string `in:"cookie=a\"b"`
		Wide   string `in:"header=Größe"`
		Own    string `json:"a/b" in:"header"`
	}
	_, err = NewCompiler(In).Compile(reflect.TypeFor[bad]())
	for _, want := range []string{`Empty: "" is no name of a header`, `NoName: "" is no name of a cookie`, `Spaced: "X A"`, `Colon: "X:"`, `Quoted: "a\"b"`, `Wide: "Größe"`, `Own: "a/b"`} {
		require.ErrorContains(t, err, "plan.bad."+want)
	}
	_, err = NewCompiler(Out).Compile(reflect.TypeFor[bad]())
	require.NoError(t, err, "of an output nothing comes from a header")
}

// encoding/json leaves out both in silence, in either direction.
func TestFieldsThatHideEachOther(t *testing.T) {
	t.Parallel()
	var plain []reflect.StructField
	for _, name := range []string{"A", "B", "C"} {
		plain = append(plain, reflect.StructField{Name: name, Type: reflect.TypeFor[int](), Tag: `json:"same"`})
	}
	list := reflect.StructOf([]reflect.StructField{{Name: "List", Type: reflect.SliceOf(reflect.StructOf(plain))}})
	type embedded struct {
		ambiguousA
		ambiguousC
		Other int
	}
	type shadowed struct {
		ambiguousA
		ambiguousC
		X int
	}
	for _, direction := range []Direction{In, Out} {
		_, err := NewCompiler(direction).Compile(list)
		require.ErrorContains(t, err, `.List[]: the fields A, B and C have the same name "same", so that none of them is seen; give them names of their own by json tags`)
		_, err = NewCompiler(direction).Compile(reflect.TypeFor[embedded]())
		require.EqualError(t, err, `plan.embedded: the fields ambiguousA.X and ambiguousC.X have the same name "X", so that none of them is seen; give them names of their own by json tags`)
		_, err = NewCompiler(direction).Compile(reflect.TypeFor[shadowed]())
		require.NoError(t, err, "the shallower one is seen, and the only one with a tag")
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	type bad struct {
		Func  func()
		Deep  []map[int]chan int
		Twice **int
		Own   customJSON
		Opt   int `json:"opt,inline"`
		From  int `in:"body-part"`
		*Base
	}
	_, err := NewCompiler(In).Compile(reflect.TypeFor[bad]())
	for _, want := range []string{
		"plan.bad.Func: a func() is not supported",
		"plan.bad.Deep[]: the keys of a map must be strings, not int",
		"plan.bad.Deep[]{}: a chan int is not supported",
		"plan.bad.Twice: a pointer to a *int",
		"plan.bad.Own: a plan.customJSON reads JSON by itself",
		`plan.bad.Opt: the json option "inline" is not known`,
		`plan.bad.From: the tag in:"body-part"`,
		"plan.bad.Base: embed the struct itself",
	} {
		require.ErrorContains(t, err, want)
	}
}

// What is wrong with a type that has no name, or is not supported at all, is wrong
// with each field of it; what is within a type that has a name is said once.
func TestErrorsAreSaidOfEachField(t *testing.T) {
	t.Parallel()
	type inner struct {
		A    any
		Next *inner
	}
	type bad struct {
		A, B  any
		List  []any
		Map   map[string]any
		Again []any
		Ptr   *any
		F, G  func()
		K, L  map[int]int
		P, Q  **int
		M, N  customJSON
		V, W  struct{ X any }
		Y, Z  inner
		Lists []inner
	}
	_, err := NewCompiler(In).Compile(reflect.TypeFor[bad]())
	require.Error(t, err)
	var places []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		place, _, _ := strings.Cut(line, ": ")
		places = append(places, strings.TrimPrefix(place, "plan.bad."))
	}
	require.Equal(t, "A B List[] Map{} Again[] Ptr F G K L P Q M N V.X W.X Y.A", strings.Join(places, " "))
}

// encoding/json would write {} in silence.
func TestStructsThatAreAlwaysEmpty(t *testing.T) {
	t.Parallel()
	type date time.Time
	type bad struct {
		Day  date
		List []sync.Mutex
	}
	for _, direction := range []Direction{In, Out} {
		_, err := NewCompiler(direction).Compile(reflect.TypeFor[bad]())
		require.ErrorContains(t, err, "plan.bad.Day: a plan.date has no exported fields, so that it is always {}")
		require.ErrorContains(t, err, "plan.bad.List[]: a sync.Mutex has no exported fields")
		_, err = NewCompiler(direction).Compile(reflect.TypeFor[struct {
			Nothing struct{}
			Left    struct {
				Out int `json:"-"`
			}
			Embedded struct{ customBase }
		}]())
		require.NoError(t, err)
	}
}

// encoding/json has rules of its own for the type, which is a string in Go.
func TestNumbersAreForOutput(t *testing.T) {
	t.Parallel()
	got, err := NewCompiler(Out).Compile(reflect.TypeFor[[]json.Number]())
	require.NoError(t, err)
	require.Equal(t, Custom, got.Elem.Kind)
	_, err = NewCompiler(In).Compile(reflect.TypeFor[[]json.Number]())
	require.ErrorContains(t, err, "[]json.Number[]: a json.Number, whose digits have no end, is for output only")
}

type customBase struct{}

type customJSON struct{}

func (customJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (*customJSON) UnmarshalJSON([]byte) error  { return nil }

type Page[T any] struct{ Items []T }

func TestSchemaName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Base", schemaName(reflect.TypeFor[Base]()))
	require.Equal(t, "PageBase", schemaName(reflect.TypeFor[Page[Base]]()))
	require.Equal(t, "PagePageAddr", schemaName(reflect.TypeFor[Page[Page[netip.Addr]]]()))
	require.Equal(t, "", schemaName(reflect.TypeFor[[]int]()))
}

type textAndJSON struct{}

func (textAndJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (*textAndJSON) UnmarshalJSON([]byte) error  { return nil }
func (textAndJSON) MarshalText() ([]byte, error) { return []byte("1"), nil }
func (*textAndJSON) UnmarshalText([]byte) error  { return nil }

type named struct{ A int }

// day reads JSON although it has no method: time.Time has.
type day struct{ time.Time }

func (day) MarshalText() ([]byte, error) { return []byte("1"), nil }
func (*day) UnmarshalText([]byte) error  { return nil }

func TestMethodsOfEmbeddedTypes(t *testing.T) {
	t.Parallel()
	_, err := NewCompiler(In).Compile(reflect.TypeFor[struct{ From day }]())
	require.ErrorContains(t, err, "From: a plan.day reads JSON by itself, as the time.Time does that it embeds, which cannot be checked; hold that in a field with a name, and give plan.day UnmarshalText only")
}

func TestTagsThatMeanNothing(t *testing.T) {
	t.Parallel()
	type bad struct {
		Base   `validate:"required"`
		Tenant string `json:"-" in:"header=X-Tenant"`
		Rule   string `json:"-" validate:"max=5"`
		hidden string `validate:"max=5"` //lint:ignore U1000 it must not be seen
		//lint:ignore SA5008 it is what the test is about
		Wrong string `json:"it's"`
		Both  textAndJSON
	}
	_, err := NewCompiler(In).Compile(reflect.TypeFor[bad]())
	for _, want := range []string{
		`plan.bad.Base: an embedded struct has no rules or place of its own; give them to its fields`,
		`plan.bad.Tenant: it is no part of the input, so that its tags in and validate mean nothing`,
		`plan.bad.Rule: it is no part of the input`,
		`plan.bad.hidden: it is no part of the input`,
		`plan.bad.Wrong: "it's" is no name that encoding/json takes`,
		`plan.bad.Both: a plan.textAndJSON reads JSON by itself, which cannot be checked; wrap it in a type that has UnmarshalText only`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, 6, len(strings.Split(err.Error(), "\n")), err)
	_, err = NewCompiler(Out).Compile(reflect.TypeFor[bad]())
	require.EqualError(t, err, `plan.bad.Wrong: "it's" is no name that encoding/json takes; see its documentation of the json tag`)
	type right struct {
		named
		Skipped string `json:"-" validate:"-"`
	}
	_, err = NewCompiler(In).Compile(reflect.TypeFor[right]())
	require.NoError(t, err)
}

// encoding/json writes the one in its way and leaves out the fields of the other.
func TestEmbeddedStructsThatAreNotTheirFields(t *testing.T) {
	t.Parallel()
	type bad struct {
		named `json:"named"`
		time.Time
		//lint:ignore U1000 its methods and those of Time hide each other
		textAndJSON
	}
	for _, direction := range []Direction{In, Out} {
		_, err := NewCompiler(direction).Compile(reflect.TypeFor[bad]())
		require.ErrorContains(t, err, "plan.bad.named: embed it without a json name, or make it a field that is exported")
		require.ErrorContains(t, err, "plan.bad.Time: a time.Time is not its fields; give it a name, as in Time time.Time")
		require.ErrorContains(t, err, "plan.bad.textAndJSON: a plan.textAndJSON is not its fields")
	}
}

// An interface with MarshalText may be nil, which has no text: encoding/json
// writes null.
func TestInterfacesThatMarshalText(t *testing.T) {
	t.Parallel()
	got, err := NewCompiler(Out).Compile(reflect.TypeFor[struct{ Text encoding.TextMarshaler }]())
	require.NoError(t, err)
	require.Equal(t, Custom, got.Fields[0].Type.Kind)
	_, err = NewCompiler(In).Compile(reflect.TypeFor[struct{ Text encoding.TextUnmarshaler }]())
	require.ErrorContains(t, err, "an encoding.TextUnmarshaler is not supported")
}
