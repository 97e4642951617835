package schematest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// This file has the types that are tried: written by hand, and made at random.

// level is text by its own doing, and a number within.
type level int

func (l level) MarshalText() ([]byte, error) { return []byte(strings.Repeat("i", int(l)&3)), nil }

func (l *level) UnmarshalText(text []byte) error {
	if strings.Trim(string(text), "i") != "" || len(text) > 3 {
		return fmt.Errorf("no level")
	}
	*l = level(len(text))
	return nil
}

// shy is text only where it has an address.
type shy struct{ text string }

func (s *shy) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s *shy) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

type colour string

type tree []tree

type node struct {
	Name  string           `json:"name" validate:"required,max=3"`
	Next  *node            `json:"next"`
	Nodes []node           `json:"nodes,omitempty" validate:"max=2,dive"`
	By    map[string]*node `json:"by,omitzero" validate:"max=2,dive"`
}

type inner struct {
	Name  string `json:"name" validate:"required,max=3"`
	Count int8   `json:"count,omitempty" validate:"min=0,max=5"`
}

type bounds struct {
	Min       string          `json:"min" validate:"min=2"`
	Max       string          `json:"max" validate:"max=2"`
	Len       string          `json:"len" validate:"len=2"`
	Gt        string          `json:"gt" validate:"gt=1,lt=3"`
	Several   string          `json:"several" validate:"min=1,min=2,max=3,max=5"`
	Required  string          `json:"required" validate:"required,min=0"`
	Full      string          `json:"full" validate:"notempty,max=3"`
	FullList  []int           `json:"fullList" validate:"notempty,max=3"`
	FullMap   map[string]int  `json:"fullMap" validate:"notempty,max=3"`
	FullData  []byte          `json:"fullData" validate:"notempty"`
	LenMax    string          `json:"lenMax" validate:"len=2,max=5"`
	Int       int             `json:"int" validate:"min=-1,max=3"`
	Exclusive int             `json:"exclusive" validate:"gt=-1,lt=3"`
	IntMins   int             `json:"intMins" validate:"min=2,gte=1,max=3,lte=4"`
	Large     int64           `json:"large" validate:"max=9007199254740993"`
	Small     int64           `json:"small" validate:"min=-9007199254740993"`
	Uint      uint8           `json:"uint" validate:"required,max=200"`
	UintMin   uint8           `json:"uintMin" validate:"required,min=0"`
	Float     float64         `json:"float" validate:"min=0.1,max=3.5"`
	Float32   float32         `json:"float32" validate:"gt=0.1,lt=3.5"`
	Equal     int             `json:"equal" validate:"eq=3"`
	List      []int           `json:"list" validate:"min=1,max=2,unique,dive,min=1,max=3"`
	ListLen   []int           `json:"listLen" validate:"eq=2"`
	Map       map[string]int8 `json:"map" validate:"min=1,max=2,dive,keys,min=1,max=2,endkeys,min=1"`
	Fixed     [2]int8         `json:"fixed" validate:"unique,dive,min=0"`
	Nested    [][]string      `json:"nested" validate:"max=2,dive,max=2,dive,min=1,max=2"`
	Wait      time.Duration   `json:"wait" validate:"min=1"`
}

type texts struct {
	One      string     `json:"one" validate:"oneof=red 'light blue' green"`
	Comma    string     `json:"comma" validate:"oneof=a0x2Cb c0x7Cd"`
	Named    colour     `json:"named" validate:"omitempty,oneof=red green"`
	Number   int        `json:"number" validate:"oneof=1 2 3"`
	Optional *string    `json:"optional" validate:"omitempty,oneof=red green"`
	Starts   string     `json:"starts" validate:"startswith=a.b"`
	Ends     string     `json:"ends" validate:"endswith=(b)"`
	Has      string     `json:"has" validate:"contains=[x]"`
	Both     string     `json:"both" validate:"startswith=a,endswith=b"`
	Alpha    string     `json:"alpha" validate:"alpha"`
	Numeric  string     `json:"numeric" validate:"omitempty,numeric"`
	Digits   string     `json:"digits" validate:"number,max=3"`
	Hex      string     `json:"hex" validate:"hexadecimal"`
	Phone    string     `json:"phone" validate:"omitempty,e164"`
	Mail     string     `json:"mail,omitempty" validate:"omitempty,email"`
	Equal    string     `json:"equal" validate:"eq=a"`
	Either   string     `json:"either" validate:"eq=a|len=2"`
	Level    level      `json:"level" validate:"oneof=1 2"`
	ID       backend.ID `json:"id" validate:"oneof=1 2"`
	IDs      []backend.ID
	Address  netip.Addr      `json:"address"`
	Data     []byte          `json:"data" validate:"max=3"`
	Time     time.Time       `json:"time"`
	Raw      json.RawMessage `json:"raw"`
	Skipped  string          `json:"skipped" validate:"skip_unless=Alpha a,min=2"`
}

// absences are fields that may not be there.
type absences struct {
	Plain     string              `json:"plain,omitempty"`
	Least     string              `json:"least,omitempty" validate:"min=1,max=2"`
	LeastOr   string              `json:"leastOr,omitempty" validate:"omitempty,min=2,max=3"`
	One       string              `json:"one,omitzero" validate:"oneof=a b"`
	Alpha     string              `json:"alpha,omitzero" validate:"alpha"`
	Mail      string              `json:"mail,omitzero" validate:"email"`
	Int       int                 `json:"int,omitempty" validate:"min=1"`
	IntFrom   int                 `json:"intFrom,omitempty" validate:"min=-1"`
	Below     int                 `json:"below,omitempty" validate:"lt=0"`
	List      []int               `json:"list,omitempty" validate:"min=1,max=2"`
	ListOr    []int               `json:"listOr,omitempty" validate:"omitempty,min=1,max=2"`
	ListZero  []int               `json:"listZero,omitempty" validate:"omitzero,min=2,max=3"`
	Map       map[string]int      `json:"map,omitempty" validate:"len=1"`
	Inner     inner               `json:"inner,omitzero"`
	InnerOr   inner               `json:"innerOr,omitzero" validate:"omitempty"`
	InnerIs   inner               `json:"innerIs,omitzero" validate:"required"`
	Pointer   *inner              `json:"pointer"`
	Must      *inner              `json:"must" validate:"required"`
	MustText  *string             `json:"mustText" validate:"required"`
	MustInt   *int                `json:"mustInt" validate:"required,max=3"`
	Opt       backend.Opt[string] `json:"opt" validate:"omitempty,min=1,max=2"`
	OptMust   backend.Opt[int8]   `json:"optMust" validate:"required,min=1"`
	OptFull   backend.Opt[string] `json:"optFull,omitzero" validate:"notempty,max=2"`
	OptFillOr backend.Opt[string] `json:"optFillOr,omitzero" validate:"omitempty,notempty,max=2"`
	ListFull  *[]int              `json:"listFull,omitzero" validate:"notempty,max=2"`
	TextFull  string              `json:"textFull,omitzero" validate:"notempty"`
	TextOr    string              `json:"textOr,omitzero" validate:"omitempty,notempty"`
	FullOr    []int               `json:"fullOr,omitzero" validate:"omitempty,notempty"`
	OptList   backend.Opt[[]int]  `json:"optList,omitzero" validate:"omitempty,max=2"`
	OptStruct backend.Opt[inner]  `json:"optStruct,omitzero"`
	OptRaw    backend.Opt[json.RawMessage]
	Pointers  []*int               `json:"pointers" validate:"max=3,unique,dive,omitempty,min=1"`
	Opts      []backend.Opt[int]   `json:"opts"`
	ListOf    *[]int               `json:"listOf,omitempty"`
	MapOf     *map[string]int      `json:"mapOf,omitzero"`
	BytesOf   *[]byte              `json:"bytesOf,omitempty"`
	True      bool                 `json:"true" validate:"required"`
	Bits      backend.Opt[[]byte]  `json:"bits,omitzero"`
	When      *time.Time           `json:"when,omitempty"`
	Lists     map[string][]float32 `json:"lists,omitempty"`
}

// quotes are values inside of strings.
type quotes struct {
	Int     int      `json:"int,string" validate:"min=1"`
	One     int      `json:"one,string" validate:"oneof=1 2"`
	Pointer *int     `json:"pointer,string"`
	Omitted *int     `json:"omitted,omitempty,string"`
	Bool    bool     `json:"bool,string"`
	Float   float64  `json:"float,string"`
	Text    string   `json:"text,string" validate:"min=1,max=2"`
	Enum    string   `json:"enum,string" validate:"oneof=a b"`
	Alpha   *string  `json:"alpha,string" validate:"omitempty,alpha"`
	Lists   []string `json:"lists,string" validate:"max=2"`
}

// uniques are lists without anything twice.
type uniques struct {
	Texts    []string     `json:"texts" validate:"max=5,unique"`
	Floats   []float64    `json:"floats" validate:"unique"`
	Times    []time.Time  `json:"times" validate:"unique"`
	Inner    []inner      `json:"inner" validate:"max=5,unique,dive"`
	ByName   []inner      `json:"byName" validate:"max=5,unique=Name,dive"`
	Pointers []withPoint  `json:"pointers" validate:"unique"`
	IDs      []backend.ID `json:"ids" validate:"unique"`
	Levels   []level      `json:"levels" validate:"unique"`
	Parts    []*inner     `json:"parts" validate:"max=5,unique,dive,omitempty"`
}

type withPoint struct {
	At *int `json:"at"`
}

type embedded struct {
	inner2
	Tree    tree            `json:"tree" validate:"max=2"`
	Node    node            `json:"node"`
	Shy     shy             `json:"shy"`
	ShyPtr  map[string]*shy `json:"shyPtr"`
	Shies   []shy           `json:"shies"`
	Skipped string          `json:"-"`
	Hash    [3]uint8        `json:"hash"`
	Any     map[string]json.RawMessage
}

type inner2 struct {
	Where colour `json:"where" validate:"omitempty,max=3"`
}

// handwritten are the types of this file.
var handwritten = []reflect.Type{
	reflect.TypeFor[bounds](), reflect.TypeFor[texts](), reflect.TypeFor[absences](), reflect.TypeFor[quotes](),
	reflect.TypeFor[uniques](), reflect.TypeFor[embedded](), reflect.TypeFor[node](),
}

// scalars are types that have a form as text, too.
var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
	reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[string](), reflect.TypeFor[string](), reflect.TypeFor[colour](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[backend.ID](), reflect.TypeFor[level](), reflect.TypeFor[[]byte](), reflect.TypeFor[netip.Addr](),
}

// opts are those that are tried: reflection cannot make others.
var opts = []reflect.Type{
	reflect.TypeFor[backend.Opt[string]](), reflect.TypeFor[backend.Opt[int8]](), reflect.TypeFor[backend.Opt[float64]](), reflect.TypeFor[backend.Opt[bool]](),
	reflect.TypeFor[backend.Opt[time.Time]](), reflect.TypeFor[backend.Opt[backend.ID]](), reflect.TypeFor[backend.Opt[uint16]](), reflect.TypeFor[backend.Opt[[]string]](),
}

// further are types that JSON has, and text has not.
var further = []reflect.Type{
	reflect.TypeFor[inner](), reflect.TypeFor[node](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[tree](), reflect.TypeFor[backend.Opt[inner]](),
	reflect.TypeFor[backend.Opt[map[string]int8]](), reflect.TypeFor[shy](),
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomType returns a type that is nested so deeply at most.
func randomType(r *rand.Rand, depth int) reflect.Type {
	if depth == 0 {
		return pick(r, scalars)
	}
	switch r.IntN(12) {
	case 0, 1:
		return reflect.SliceOf(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(r.IntN(4), randomType(r, depth-1))
	case 3:
		return reflect.MapOf(reflect.TypeFor[string](), randomType(r, depth-1))
	case 4, 5:
		if of := randomType(r, depth-1); of.Kind() != reflect.Pointer && !strings.HasPrefix(of.Name(), "Opt[") {
			return reflect.PointerTo(of)
		}
	case 6:
		return randomStruct(r, depth-1, randomType)
	case 7:
		return pick(r, opts)
	case 8:
		return pick(r, further)
	}
	return pick(r, scalars)
}

// randomText returns a type that has a form as text.
func randomText(r *rand.Rand, _ int) reflect.Type {
	of := pick(r, scalars)
	switch r.IntN(5) {
	case 0:
		return reflect.PointerTo(of)
	case 1:
		return reflect.SliceOf(of)
	case 2:
		return pick(r, opts)
	}
	return of
}

func randomStruct(r *rand.Rand, depth int, field func(*rand.Rand, int) reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, 1+r.IntN(4))
	for i := range fields {
		of := field(r, depth)
		name := "f" + string(rune('a'+i))
		if r.IntN(4) == 0 {
			name += pick(r, []string{",omitempty", ",omitzero", ",string", ",omitempty,string"})
		}
		fields[i] = reflect.StructField{Name: "F" + string(rune('a'+i)), Type: of, Tag: reflect.StructTag(fmt.Sprintf("json:%q validate:%q", name, randomRules(r, of)))}
	}
	return reflect.StructOf(fields)
}

// randomRules returns a tag for a type, most of which fit.
func randomRules(r *rand.Rand, of reflect.Type) string {
	var rules []string
	null := of.Kind() == reflect.Pointer || strings.HasPrefix(of.Name(), "Opt[")
	switch {
	case null && of.Kind() == reflect.Pointer:
		of = of.Elem()
	case null:
		of = of.Field(0).Type
	}
	if null || r.IntN(4) == 0 {
		rules = append(rules, pick(r, []string{"omitempty", "omitzero", "required", "required"}))
	}
	for range r.IntN(4) {
		rules = append(rules, randomRule(r, of))
	}
	switch of.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array:
		if of.Elem().Kind() == reflect.Uint8 {
			break
		}
		if of.Kind() != reflect.Array {
			rules = append(rules, pick(r, []string{"max=2", "max=3", "len=2", "lt=3", "eq=1"}))
		}
		if of.Kind() == reflect.Map && r.IntN(4) == 0 {
			rules = append(rules, "dive,keys,min=1,endkeys", randomRules(r, of.Elem()))
		} else if of.Elem() != of {
			rules = append(rules, "dive", randomRules(r, of.Elem()))
		}
	}
	return strings.Trim(strings.ReplaceAll(strings.Join(rules, ","), ",,", ","), ",")
}

func randomRule(r *rand.Rand, of reflect.Type) string {
	size := fmt.Sprintf("%s=%d", pick(r, []string{"min", "max", "gt", "gte", "lt", "lte", "len", "eq", "ne"}), r.IntN(5))
	switch of.Kind() {
	case reflect.String:
		return pick(r, []string{
			size, size, size, size, "required", "alpha", "alphanum", "number", "numeric", "hexadecimal", "email", "uuid", "oneof=a bb 12", "eq=a|eq=bb",
			"startswith=a", "endswith=a", "contains=b", "ne=a", "lowercase", "ipv4", "hostname", "url",
		})
	case reflect.Slice, reflect.Map, reflect.Array:
		return pick(r, []string{size, "unique", "required"})
	case reflect.Bool:
		return pick(r, []string{"required", "eq=true"})
	case reflect.Struct:
		return "required"
	case reflect.Float32, reflect.Float64:
		return pick(r, []string{size, size, "min=0.1", "max=0.3", "required"})
	}
	if of == reflect.TypeFor[time.Duration]() {
		return pick(r, []string{size, "min=1ns", "max=2ns", "gt=1ns", "lt=1us", "gte=0x2", "lte=1h30m", "eq=3ns", "len=2ns", "required"})
	}
	return pick(r, []string{size, size, "oneof=0 1 2 3", "required", "oneof=1 2"})
}
