package header_test

import (
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

func elements(lines []string) (all []string) {
	for l := header.Elements(lines); l.Next(); {
		all = append(all, l.Element)
	}
	return all
}

func choices(lines []string) (all []header.Choice) {
	for c := header.Choices(lines); c.Next(); {
		all = append(all, c.Choice)
	}
	return all
}

func backwards(lines []string) (all []string) {
	for b := header.Backwards(lines); b.Next(); {
		all = append(all, b.Element)
	}
	return all
}

func TestElements(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"RFC 9110, section 5.6.1.2", []string{"foo,bar", "foo ,bar,", "foo , ,bar,charlie"}, []string{"foo", "bar", "foo", "bar", "foo", "bar", "charlie"}},
		{"RFC 9110, section 5.6.1.2, nothing in it", []string{"", ",", ",   ,"}, nil},
		{"no lines", nil, nil},
		{"RFC 9110, section 5.3", []string{`"http://example.com/a.html,foo", apricot`}, []string{`"http://example.com/a.html,foo"`, "apricot"}},
		{"tabs", []string{"\ta\t,\tb\t"}, []string{"a", "b"}},
		{"a quote escaped", []string{`"a\",b", c`}, []string{`"a\",b"`, "c"}},
		{"a backslash escaped", []string{`"a\\",b`}, []string{`"a\\"`, "b"}},
		{"a quoted parameter", []string{`a;b="c,d";q=1,e`}, []string{`a;b="c,d";q=1`, "e"}},
		{"an entity tag", []string{`W/"a,b",c`}, []string{`W/"a,b"`, "c"}},
		{"a quote without an end", []string{`a, 5" disk, b`}, []string{"a", `5" disk`, "b"}},
		{"a quote without an end after a string", []string{`"a,b", "c, d`}, []string{`"a,b"`, `"c`, "d"}},
		{"a quote whose end is escaped", []string{`"a, b\"`}, []string{`"a`, `b\"`}},
		{"a quote does not go beyond its line", []string{`"a, b`, `c, d"`}, []string{`"a`, "b", "c", `d"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, elements(test.lines))
		})
	}
}

// A field without quotes and backslashes is what strings.Split says; with them, no
// byte is lost.
func FuzzElements(f *testing.F) {
	for _, s := range []string{"foo , ,bar,charlie", `a;b="c,d";q=1,e`, `"a\",b", c`, `5" disk, b`, strings.Repeat(`"\`, 50)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := elements([]string{s})
		if !strings.Contains(s, `"`) {
			var want []string
			for _, part := range strings.Split(s, ",") {
				if part = strings.Trim(part, " \t"); part != "" {
					want = append(want, part)
				}
			}
			require.Equal(t, want, got)
		}
		strip := strings.NewReplacer(",", "", " ", "", "\t", "")
		require.Equal(t, strip.Replace(s), strip.Replace(strings.Join(got, "")))
		again := elements([]string{strings.Join(got, ", ")})
		require.Equal(t, got, again, "a list that is written again is the same")
	})
}

// A quote that a client has sent makes neither more work nor fewer elements.
func TestElementsTakeLinearTime(t *testing.T) {
	t.Parallel()
	line := strings.Repeat(`"\`, 1<<20) + ",a" // with quadratic time this does not end
	require.Equal(t, 2, len(elements([]string{line})))
	require.Equal(t, []header.Choice{{Value: "a", Weight: 1000}}, choices([]string{"b;" + line}))
}

func TestContains(t *testing.T) {
	t.Parallel()
	require.True(t, header.Contains([]string{"h2c, WebSocket"}, "websocket"))
	require.True(t, header.Contains([]string{"application/json", "Text/Event-Stream ;q=0.9"}, "text/event-stream"))
	require.True(t, header.Contains([]string{`private="x, y", no-transform`}, "no-transform"))
	require.False(t, header.Contains([]string{`private="x, no-transform"`, "no-transform2"}, "no-transform"))
	require.False(t, header.Contains(nil, ""))
}

func TestParams(t *testing.T) {
	t.Parallel()
	value, params := header.CutParams(`text/html ; a="b;charset=c" ;Charset=utf-8`)
	require.Equal(t, "text/html", value)
	require.True(t, header.HasParam(params, "a"))
	require.True(t, header.HasParam(params, "charset"))
	require.False(t, header.HasParam(params, "b"))
	value, params = header.CutParams(`text/html;a="b;charset=c"`)
	require.Equal(t, "text/html", value)
	require.False(t, header.HasParam(params, "charset"))
	value, params = header.CutParams("text/html")
	require.Equal(t, "text/html", value)
	require.Empty(t, params)
}

func TestChoices(t *testing.T) {
	t.Parallel()
	type choice = header.Choice
	tests := []struct {
		name  string
		lines []string
		want  []choice
	}{
		{"RFC 9110, section 12.5.1", []string{"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5"}, []choice{
			{"text/*", false, 300}, {"text/plain", false, 700}, {"text/plain", true, 1000}, {"text/plain", true, 400}, {"*/*", false, 500}}},
		{"RFC 9110, section 12.5.3", []string{"gzip;q=1.0, identity; q=0.5, *;q=0"}, []choice{{"gzip", false, 1000}, {"identity", false, 500}, {"*", false, 0}}},
		{"a browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, []choice{
			{"text/html", false, 1000}, {"application/xhtml+xml", false, 1000}, {"application/xml", false, 900}, {"*/*", false, 800}}},
		{"Java's HttpURLConnection", []string{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}, []choice{
			{"text/html", false, 1000}, {"image/gif", false, 1000}, {"image/jpeg", false, 1000}, {"*", false, 200}, {"*/*", false, 200}}},
		{"whitespace", []string{"a ;\tq=0.5 ", "b ; q=1"}, []choice{{"a", false, 500}, {"b", false, 1000}}},
		{"capital Q", []string{"a;Q=0.25"}, []choice{{"a", false, 250}}},
		{"an extension after the weight (RFC 7231)", []string{"a;q=0.5;level=1"}, []choice{{"a", true, 500}}},
		{"a quoted parameter", []string{`a;b="c,d;q=0";q=0.5,e`}, []choice{{"a", true, 500}, {"e", false, 1000}}},
		{"empty parameters", []string{"a;;q=0.5;"}, []choice{{"a", false, 500}}},
		{"two weights", []string{"a;q=1;q=0.5, b"}, []choice{{"b", false, 1000}}},
		{"a parameter without a value", []string{"a;q, b;c, d;e=, f"}, []choice{{"f", false, 1000}}},
		{"a space around =", []string{"a;q =1, b;q= 1, c;d =e, f"}, []choice{{"f", false, 1000}}},
		{"a weight in quotes", []string{`a;q="1", b`}, []choice{{"b", false, 1000}}},
		{"no value", []string{";q=1, b"}, []choice{{"b", false, 1000}}},
		{"no weights", []string{"a;q=2, a;q=1.001, a;q=1.0001, a;q=1.0010, a;q=0.0000x, a;q=-1, a;q=+1, a;q=, a;q=., a;q=NaN, a;q=1e0, a;q=0x1, a;q=00, a;q=0,5"}, []choice{{"a", false, 0}, {"5", false, 1000}}},
		{"more digits", []string{"a;q=0.0000, a;q=0.95000, a;q=0.8999999999999999, a;q=1.0000"}, []choice{
			{"a", false, 0}, {"a", false, 950}, {"a", false, 899}, {"a", false, 1000}}},
		{"all the weights", []string{"a;q=0, a;q=0., a;q=0.0, a;q=0.001, a;q=0.12, a;q=1, a;q=1., a;q=1.000"}, []choice{
			{"a", false, 0}, {"a", false, 0}, {"a", false, 0}, {"a", false, 1}, {"a", false, 120}, {"a", false, 1000}, {"a", false, 1000}, {"a", false, 1000}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, choices(test.lines))
		})
	}
}

// The grammar of weights in RFC 9110, section 12.4.2, and the two exceptions.
var weightGrammar = regexp.MustCompile(`^(?:0?\.[0-9]+|0\.?|1(?:\.0*)?)$`)

// mime.ParseMediaType is another reader of parameters. It refuses some that are
// valid, such as empty ones, and takes more whitespace.
func FuzzChoices(f *testing.F) {
	for _, s := range []string{"text/html;level=1;q=0.4", "gzip ; q=1 ", `a;b="c;q=0";q=.5`, "a;q=1.001", "a;;q=0.5", "gzip;q=NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c > '~' && unicode.IsSpace(c) }) {
			return // net/http refuses the former; mime takes them for whitespace
		}
		items := elements([]string{s})
		found := choices([]string{s})
		require.LessOrEqual(t, len(found), len(items))
		for _, c := range found {
			require.True(t, c.Weight >= 0 && c.Weight <= 1000)
			require.NotEmpty(t, c.Value)
		}
		if len(items) != 1 || len(found) != 1 || !found[0].Params && found[0].Weight == 1000 {
			return
		}
		value, params, err := mime.ParseMediaType(items[0])
		if err != nil {
			return
		}
		require.Equal(t, strings.ToLower(found[0].Value), value)
		weight := 1000
		if q, ok := params["q"]; ok {
			require.Regexp(t, weightGrammar, q)
			number, err := strconv.ParseFloat(strings.TrimSuffix("0"+q, "."), 64)
			require.NoError(t, err)
			weight = min(int(number*1000+1e-6), 1000)
		}
		require.Equal(t, weight, found[0].Weight)
	})
}

func FuzzWeight(f *testing.F) {
	for _, s := range []string{"0", "1.000", "1.001", "1.0001", "1.0000", "0.5", ".5", ".", "0.0000", "", "2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, ",; \t\"") {
			return
		}
		got := choices([]string{"a;q=" + s})
		require.Equal(t, weightGrammar.MatchString(s) && !strings.HasSuffix(s, "\n"), len(got) == 1, "%q", s)
	})
}

func TestBackwards(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"d", "c", "", "b", "a"}, backwards([]string{"a, b", ",c ,\td"}))
	require.Equal(t, []string{""}, backwards([]string{""}))
	require.Empty(t, backwards(nil))
	require.Equal(t, []string{`1.2.3.4"`, `"evil`}, backwards([]string{`"evil, 1.2.3.4"`}), "quotes hide nothing")
}

func FuzzBackwards(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1", "x,,")
	f.Fuzz(func(t *testing.T, first, second string) {
		want := strings.Split(first+","+second, ",")
		for i, item := range want {
			want[i] = strings.Trim(item, " \t")
		}
		slices.Reverse(want)
		require.Equal(t, want, backwards([]string{first, second}))
	})
}

func TestAddVary(t *testing.T) {
	t.Parallel()
	encoding, origin := []string{"Accept-Encoding"}, []string{"Origin"}
	tests := []struct {
		name      string
		old, want []string
	}{
		{"none", nil, []string{"Accept-Encoding"}},
		{"others", []string{"Cookie"}, []string{"Cookie", "Accept-Encoding"}},
		{"there already", []string{"Cookie, accept-encoding"}, []string{"Cookie, accept-encoding"}},
		{"anything", []string{"*"}, []string{"*"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			head := http.Header{"Vary": test.old}
			if test.old == nil {
				head = http.Header{}
			}
			header.AddVary(head, encoding)
			require.Equal(t, test.want, head["Vary"])
		})
	}
	head := http.Header{"Vary": origin}
	header.AddVary(head, encoding)
	require.Equal(t, []string{"Origin"}, origin, "shared values stay as they are")
}

// RFC 9110, section 5.6.2.
func FuzzIsToken(f *testing.F) {
	for _, s := range []string{"", "X-A", "a b", "a,b", "!#$%&'*+-.^_`|~", "@[`{"} {
		f.Add(s)
	}
	token := regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, token.MatchString(s) && !strings.HasSuffix(s, "\n"), header.IsToken(s))
	})
}
