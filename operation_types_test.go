package backend_test

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Types of every odd form: either adding an operation that takes and returns one
// says what is wrong, or it means what it means for encoding/json.

type oddGeneric[T any] struct {
	Value T              `json:"value"`
	List  []T            `json:"list,omitempty"`
	Next  *oddGeneric[T] `json:"next,omitempty"`
}

type (
	oddStrings  []string
	oddKey      string
	oddMap      map[oddKey]oddStrings
	oddTextKey  string
	oddTree     map[string]oddTree
	oddForest   []oddForest
	oddByte     byte
	oddSelf     *oddSelf
	oddDuration time.Duration
	oddRaw      json.RawMessage
	oddText     []string
	oddBase     struct{ A, B int }
	oddLoop     struct {
		Next map[string][]*oddLoop `json:"next"`
	}
	oddDeep struct {
		A struct {
			B []map[string]*struct {
				C *[][2]backend.Opt[map[oddKey][]oddByte] `json:"c"`
			}
		}
	}
)

// oddTextByPointer has both of its methods by pointer.
type oddTextByPointer struct{ text string }

func (t *oddTextByPointer) MarshalText() ([]byte, error) { return []byte("<" + t.text + ">"), nil }
func (t *oddTextByPointer) UnmarshalText(text []byte) error {
	t.text = string(text)
	return nil
}

func (l oddStrings) Len() int { return len(l) }

func (k oddTextKey) MarshalText() ([]byte, error)     { return []byte(k), nil }
func (k *oddTextKey) UnmarshalText(text []byte) error { *k = oddTextKey(text); return nil }

func (t oddText) MarshalText() ([]byte, error) { return []byte(strings.Join(t, "-")), nil }
func (t *oddText) UnmarshalText(text []byte) error {
	*t = strings.Split(string(text), "-")
	return nil
}

// oddOperation adds an operation that returns the body it is sent. It returns
// what the registration panics with, or the answer to the body and what
// encoding/json makes of it.
func oddOperation[T any](body string) func(t *testing.T) (panicked, answer, want string) {
	type input struct {
		Body T `json:"body" in:"body"`
	}
	return func(t *testing.T) (panicked, answer, want string) {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		panicked = panicText(func() {
			logic.Add(backend.Mutation("odd", backend.Public, func(_ context.Context, in input) (T, error) { return in.Body, nil }, backend.Route("PUT /")))
		})
		if panicked != "<nil>" {
			return panicked, "", ""
		}
		door := logic.REST()
		w := httptest.NewRecorder()
		door.OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, 200, w.Code)
		require.True(t, json.Valid(w.Body.Bytes()))

		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w = httptest.NewRecorder()
		door.ServeHTTP(w, r)
		var value T
		require.NoError(t, json.Unmarshal([]byte(body), &value))
		text, err := json.Marshal(value)
		require.NoError(t, err)
		return "", w.Body.String(), string(text)
	}
}

func TestOddTypesThatWork(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T) (panicked, answer, want string){
		"generic":                 oddOperation[oddGeneric[oddGeneric[int]]](`{"value":{"value":1},"list":[{"value":2,"next":{"value":3}}]}`),
		"generic of lists":        oddOperation[oddGeneric[[]map[string]int]](`{"value":[{"a":1}],"list":[[],[{}]]}`),
		"named map and slice":     oddOperation[oddMap](`{"a":["b"],"c":[]}`),
		"map of itself":           oddOperation[oddTree](`{"a":{"b":{}},"c":{}}`),
		"list of itself":          oddOperation[oddForest](`[[],[[]]]`),
		"struct of itself":        oddOperation[oddLoop](`{"next":{"a":[{"next":{}},null]}}`),
		"array of bytes":          oddOperation[[4]byte](`[1,2,3,255]`),
		"array of named bytes":    oddOperation[[2]oddByte](`[1,2]`),
		"list of named bytes":     oddOperation[[]oddByte](`"AQI="`),
		"list of arrays of bytes": oddOperation[[][2]byte](`[[1,2]]`),
		"pointer to a list":       oddOperation[*[]int](`[1]`),
		"null for a list":         oddOperation[*[]int](`null`),
		"pointer to a map":        oddOperation[*map[string]*int](`{"a":null,"b":1}`),
		"Opt of a list":           oddOperation[backend.Opt[[]string]](`["a"]`),
		"Opt of text by pointer":  oddOperation[backend.Opt[oddTextByPointer]](`"a"`),
		"map of Opts of it":       oddOperation[map[string]backend.Opt[oddTextByPointer]](`{"a":"b","c":null}`),
		"Opt of a struct":         oddOperation[backend.Opt[oddBase]](`{"A":1,"B":2}`),
		"named duration":          oddOperation[oddDuration](`5`),
		"named raw message":       oddOperation[oddRaw](`"e30="`),
		"list with text":          oddOperation[oddText](`"a-b"`),
		"map of lists with text":  oddOperation[map[string]*oddText](`{"x":"a-b","y":null}`),
		"empty struct":            oddOperation[[]struct{}](`[{},{}]`),
		"empty array":             oddOperation[[0]int](`[]`),
		"name is a dash": oddOperation[struct {
			//lint:ignore SA5008 it is what the test is about
			Dash int `json:"-,"`
			Gone int `json:"-"`
		}](`{"-":1}`),
		"embedded, not exported": oddOperation[struct {
			oddBase
			C int
		}](`{"A":1,"B":2,"C":3}`),
		"embedded, hidden": oddOperation[struct {
			oddBase
			A string
		}](`{"A":"a","B":2}`),
		"quoted twice": oddOperation[struct {
			oddBase
			C *string `json:"c,string"`
		}](`{"A":1,"B":2,"c":"\"x\""}`),
		"deep": oddOperation[oddDeep](`{"A":{"B":[{"a":null},{"b":{"c":[[{"x":"AQ=="},null]]}}]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			panicked, answer, want := run(t)
			require.Empty(t, panicked)
			require.Equal(t, want, answer)
		})
	}
}

func TestOddTypesThatDoNot(t *testing.T) {
	t.Parallel()
	for want, run := range map[string]func(t *testing.T) (panicked, answer, want string){
		"an io.Reader is not supported":                oddOperation[struct{ io.Reader }](``),
		"an interface {} is not supported":             oddOperation[map[string]any](``),
		"an encoding.TextUnmarshaler is not":           oddOperation[encoding.TextUnmarshaler](``),
		"a big.Int reads JSON by itself":               oddOperation[*big.Int](``),
		"UnmarshalText only":                           oddOperation[big.Int](``),
		"a pointer to a *int":                          oddOperation[**int](``),
		"a pointer to a backend_test.oddSelf":          oddOperation[oddSelf](``),
		"a pointer to a backend.Opt[int]":              oddOperation[*backend.Opt[int]](``),
		"an Opt of a backend.Opt[int]":                 oddOperation[backend.Opt[backend.Opt[int]]](``),
		"must be strings, not backend_test.oddTextKey": oddOperation[map[oddTextKey]int](``),
		"must be strings, not netip.Addr":              oddOperation[map[netip.Addr]int](``),
		"a complex128 is not supported":                oddOperation[[]complex128](``),
		"embed the struct itself": oddOperation[struct {
			*oddBase
		}](``),
		"reads JSON by itself": oddOperation[struct{ backend.Opt[int] }](``),
		"same name \"A\"": oddOperation[struct {
			oddBase
			oddGenericBase[int]
		}](``),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			panicked, _, _ := run(t)
			require.True(t, strings.HasPrefix(panicked, "backend: "), panicked)
			require.Contains(t, panicked, want)
		})
	}
}

type oddGenericBase[T any] struct{ A T }

// amount is a number of cents that reads itself.
type amount int64

func (a amount) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d.%02d", a/100, a%100), nil }

func (a *amount) UnmarshalText(text []byte) error {
	whole, cents, _ := strings.Cut(string(text), ".")
	n, err := strconv.ParseInt(whole+cents, 10, 64)
	*a = amount(n)
	switch {
	case len(cents) != 2:
		return backend.Errorf(backend.Invalid, "must be an amount such as 12.50")
	case n < 0:
		return fmt.Errorf("amount: %w", backend.InvalidField("", "positive", "must not be negative"))
	}
	return err
}

// A type that reads itself says what is wrong, if it says so to the client.
func TestTextTypesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	type input struct {
		Max    *amount  `json:"max" in:"query"`
		Most   []amount `json:"most,omitempty" in:"header=Most"`
		Prices []amount `json:"prices,omitempty" validate:"max=5"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("sum", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil }, backend.Route("POST /sum")))
	r := httptest.NewRequest("POST", "/sum?max=12", strings.NewReader(`{"prices":["1.00","x","-1.00","1.xx"]}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Most", "1.00, 2")
	w := httptest.NewRecorder()
	logic.REST().ServeHTTP(w, r)
	var answer struct{ Errors []backend.FieldError }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	const want = "must be an amount such as 12.50"
	require.Equal(t, []backend.FieldError{
		{Pointer: "/Most", Rule: "format", Message: want},
		{Pointer: "/max", Rule: "format", Message: want},
		{Pointer: "/prices/1", Rule: "format", Message: want},
		{Pointer: "/prices/2", Rule: "positive", Message: "must not be negative"},
		{Pointer: "/prices/3", Rule: "format", Message: "is not valid"},
	}, answer.Errors)
}
