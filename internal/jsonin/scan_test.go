package jsonin

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// isJSON is the judgement of jsontext.
func isJSON(text []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := d.ReadValue(); err != nil {
		return false
	}
	_, err := d.ReadToken()
	return err == io.EOF
}

// judged decodes a text, and requires that it is refused as no JSON if and only if jsontext
// says so.
func judged(t *testing.T, d *Decoder, text []byte) {
	t.Helper()
	var into input
	kept := bytes.Clone(text)
	err := d.Decode(text, reflect.ValueOf(&into).Elem(), nil)
	require.Equal(t, kept, text, "the text is not changed")
	broken, ok := errors.AsType[*SyntaxError](err)
	if err == ErrMemory || ok && strings.Contains(broken.Message, "levels deep") {
		return
	}
	require.Equal(t, isJSON(text), !ok, "%q: %v", text, err)
}

// syntaxes are values that are JSON, and texts that look like them.
var syntaxes = []string{
	`0`, `-0`, `10`, `01`, `-`, `+1`, `1.`, `.5`, `1.5`, `1e`, `1e5`, `1E+5`, `1e-05`, `1e+`, `1.5.5`, `0x1`, `1_0`, `--1`, `1 2`, `NaN`,
	`true`, `false`, `null`, `tru`, `True`, `nulls`, `truefalse`, "tr\x00e", "1\x00", "\x00", "\ufeff1",
	`""`, `"a`, `"`, `"\"`, `"\\"`, `"\"\/\b\f\n\r\t"`, `"\x"`, `"\u00e4"`, `"\u00E"`, `"\u00g0"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\n"`,
	"\"\x1f\"", "\"\x7f\"", "\"\n\"", "\"ä\"", "\"\xe4\"", "\"\\n\xe4\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"\u2028\"", `'a'`, `"a" "b"`,
	`[]`, `[ ]`, `[1]`, `[1 , 2]`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `[`, `[1`, `]`, `[1}`, `[[],[[]]]`,
	`{}`, `{ }`, `{"a":1}`, `{"a" : 1 , "b":2}`, `{"a":1,}`, `{,"a":1}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":1 "b":2}`, `{"a"}`, `{"a":}`, `{"a",1}`, `{"a"::1}`,
	`{1:2}`, `{a:1}`, `{"a":1]`, `{"a":{"b":1,"b":2}}`, `{"a":{"b":1},"b":2}`, `{`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `}`, "{\"\xe4\":1}", `{"":1,"":2}`,
}

// Each text is looked at as a whole, and as the value of fields of all kinds.
func TestSyntaxIsThatOfJSONText(t *testing.T) {
	t.Parallel()
	described, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[input]())
	require.NoError(t, err)
	for _, ignore := range []bool{false, true} {
		d, err := Compile(described, Options{IgnoreUnknown: ignore})
		require.NoError(t, err)
		good := 0
		for _, text := range syntaxes {
			if judged(t, d, []byte(text)); isJSON([]byte(text)) {
				good++
			}
			for _, field := range described.Fields {
				judged(t, d, []byte(`{"`+field.Name+`":`+text+`}`))
			}
			judged(t, d, []byte(`{"unknown":`+text+`,"raw": `+text+` ,"tags":[`+text+`],"by":{"x":`+text+`}}`))
			judged(t, d, []byte(`{"by":`+text+`,"home": `+text+` ,"others":[{},`+text+`],"name":"","age":1}`))
		}
		require.Greater(t, good, 20)
		require.Less(t, good, len(syntaxes)-50)
	}
}

func FuzzSyntax(f *testing.F) {
	for _, text := range syntaxes {
		f.Add([]byte(text))
		f.Add([]byte(`{"name":"","age":1,"tags":["a"],"home":` + text + `,"raw":1,"x":` + text + `}`))
	}
	d := decoder(f, reflect.TypeFor[input](), nil)
	f.Fuzz(func(t *testing.T, text []byte) { judged(t, d, text) })
}
