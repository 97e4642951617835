package emailaddr_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/emailaddr"
)

// longDomain is a domain of n characters, n from 66 to 190.
func longDomain(n int) string {
	label := strings.Repeat("a", 62) + "."
	return strings.Repeat(label, 2) + strings.Repeat("b", n-2*len(label)-len(".example")) + ".example"
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, typed, address, key string }{
		{"plain", "name@example.com", "name@example.com", "name@example.com"},
		{"upper case", "Name@EXAMPLE.Com", "Name@EXAMPLE.Com", "name@example.com"},
		{"white space", "\t name@example.com\r\n", "name@example.com", "name@example.com"},
		{"no-break space", "\u00a0name@example.com\u00a0", "name@example.com", "name@example.com"},
		{"tag", "a.b+tag@example.com", "a.b+tag@example.com", "a.b+tag@example.com"},
		{"all of atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"short", "a@b.c", "a@b.c", "a@b.c"},
		{"digits", "1@2.3c", "1@2.3c", "1@2.3c"},
		{"localhost", "root@LocalHost", "root@LocalHost", "root@localhost"},
		{"IDN in ASCII", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"},
		{"hyphens", "-a-@b--c.example", "-a-@b--c.example", "-a-@b--c.example"},
		{"local part of 64", strings.Repeat("a", 64) + "@b.example", strings.Repeat("a", 64) + "@b.example", strings.Repeat("a", 64) + "@b.example"},
		{"label of 63", "a@" + strings.Repeat("b", 63) + ".example", "a@" + strings.Repeat("b", 63) + ".example", "a@" + strings.Repeat("b", 63) + ".example"},
		{"254 characters", strings.Repeat("a", 64) + "@" + longDomain(189), strings.Repeat("a", 64) + "@" + longDomain(189), strings.Repeat("a", 64) + "@" + longDomain(189)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address, key, err := emailaddr.Parse(test.typed)
			require.NoError(t, err)
			require.Equal(t, test.address, address)
			require.Equal(t, test.key, key)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, typed, want string }{
		{"empty", "", "write an e-mail address"},
		{"white space", " \t", "write an e-mail address"},
		{"no @", "name.example.com", "with one @"},
		{"two @", "a@b@example.com", "with one @"},
		{"two addresses", "a@example.com,b@example.com", "with one @"},
		{"255 characters", strings.Repeat("a", 64) + "@" + longDomain(190), "at most 254"},
		{"display name", "Name <name@example.com>", "only the e-mail address"},
		{"angle brackets", "<name@example.com>", "only the e-mail address"},
		{"comment", "name(comment)@example.com", "only the e-mail address"},
		{"quoted", `"a b"@example.com`, "without quotation marks"},
		{"quoted @", `"a@b"@example.com`, "without quotation marks"},
		{"no local part", "@example.com", "before the @"},
		{"local part of 65", strings.Repeat("a", 65) + "@b.example", "at most 64"},
		{"dot first", ".a@example.com", "no dot"},
		{"dot last", "a.@example.com", "no dot"},
		{"two dots", "a..b@example.com", "no two dots"},
		{"space in local part", "a b@example.com", "' ' is not supported"},
		{"backslash", `a\b@example.com`, "is not supported"},
		{"control character", "a\x00b@example.com", `'\x00' is not supported`},
		{"line break", "a@example.com\r\nBcc: b.example.com", `'\r'`},
		{"local part not ASCII", "ä@example.com", "'ä' is not supported"},
		{"local part not UTF-8", "\xff@example.com", "is not supported"},
		{"no domain", "a@", "write the domain"},
		{"one label", "a@example", "whole domain"},
		{"localhost with a dot", "a@localhost.", "no dot"},
		{"IDN", "a@bücher.example", "in its ASCII form, such as xn--"},
		{"zero-width space", "a@example.com\u200b", `'\u200b'`},
		{"domain not UTF-8", "a@\xff.example", "in its ASCII form"},
		{"Kelvin sign", "a@\u212a.example", "in its ASCII form"},
		{"dot at the end", "a@example.com.", "no dot"},
		{"dot at the start", "a@.example.com", "no dot"},
		{"two dots in the domain", "a@example..com", "no two dots"},
		{"underscore", "a@b_c.example", "cannot have '_'"},
		{"space in domain", "a@b c.example", "cannot have ' '"},
		{"hyphen first", "a@-b.example", "no hyphen"},
		{"hyphen last", "a@b-.example", "no hyphen"},
		{"label of 64", "a@" + strings.Repeat("b", 64) + ".example", "at most 63"},
		{"address literal", "a@[192.0.2.1]", "not the number"},
		{"IPv6 literal", "a@[IPv6:2001:db8::1]", "not the number"},
		{"number", "a@192.0.2.1", "not the number"},
		{"last label a number", "a@example.123", "not the number"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address, key, err := emailaddr.Parse(test.typed)
			require.ErrorContains(t, err, test.want)
			require.Empty(t, address)
			require.Empty(t, key)
		})
	}
}

// FuzzParse compares with net/mail: what Parse accepts is an address there, and the same one.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"name@example.com", " Name+tag@EXAMPLE.Com ", "a@xn--bcher-kva.example", "!#$%&'*+-/=?^_`{|}~@b.c",
		"root@localhost", `"a b"@example.com`, "N <a@b.c>", "a(b)@c.d", "a@[192.0.2.1]", "a@b.c\r\nBcc: d", "ä@ö.example", "=?utf-8?q?a?=@b.c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, key, err := emailaddr.Parse(s)
		if err != nil {
			require.Empty(t, address+key)
			require.NotRegexp(t, `[\x00-\x1f\x7f]`, err.Error())
			return
		}
		require.Equal(t, strings.TrimSpace(s), address)
		require.Regexp(t, `^[!-~]+$`, address)
		require.True(t, strings.EqualFold(address, key))
		parsed, err := mail.ParseAddress(address)
		require.NoError(t, err)
		require.Equal(t, &mail.Address{Address: address}, parsed)

		address, again, err := emailaddr.Parse(key)
		require.NoError(t, err)
		require.Equal(t, key, address)
		require.Equal(t, key, again)
	})
}
