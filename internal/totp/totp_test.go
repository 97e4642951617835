package totp_test

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/totp"
)

var rfcSecret = []byte("12345678901234567890")

// RFC 4226, appendix D.
func TestRFC4226(t *testing.T) {
	t.Parallel()
	for step, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		require.Equal(t, want, totp.Code(rfcSecret, int64(step)), "counter %d", step)
	}
}

const pythonCode = `
import hmac, struct, sys
for line in sys.stdin:
    secret, step = line.split()
    h = hmac.new(bytes.fromhex(secret), struct.pack(">Q", int(step)), "sha1").digest()
    o = h[19] & 15
    print("%06d" % ((int.from_bytes(h[o:o+4], "big") & 0x7fffffff) % 10**6))
`

func TestCodeAsPython(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	random := rand.New(rand.NewPCG(1, 2))
	var in, want strings.Builder
	for range 500 {
		secret := make([]byte, 1+random.IntN(80)) // also longer than a block of SHA-1
		for i := range secret {
			secret[i] = byte(random.Uint32())
		}
		step := random.Int64()
		fmt.Fprintln(&in, hex.EncodeToString(secret), step)
		fmt.Fprintln(&want, totp.Code(secret, step))
	}
	command := exec.CommandContext(t.Context(), python, "-c", pythonCode)
	command.Stdin = strings.NewReader(in.String())
	out, err := command.Output()
	require.NoError(t, err)
	require.Equal(t, want.String(), string(out))
}

func TestStep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ seconds, want int64 }{
		{0, 0}, {29, 0}, {30, 1}, {59, 1}, {-1, -1}, {-30, -1}, {-31, -2}, {20000000000, 666666666},
	} {
		require.Equal(t, test.want, totp.Step(time.Unix(test.seconds, 0)), "%d", test.seconds)
	}
}

func TestNewSecret(t *testing.T) {
	t.Parallel()
	a, b := totp.NewSecret(), totp.NewSecret()
	require.Len(t, a, 20)
	require.NotEqual(t, a, b)
	require.Equal(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", totp.Base32(rfcSecret))
	require.NotContains(t, totp.Base32([]byte("a")), "=")
}

func TestURI(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, issuer, account, want string }{
		{"plain", "Example", "alice", "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&algorithm=SHA1&digits=6&period=30"},
		{"spaces", "My Shop", "a b", "otpauth://totp/My%20Shop:a%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=My%20Shop&algorithm=SHA1&digits=6&period=30"},
		{"reserved", "A&B/C?", "x+y@z.example", "otpauth://totp/A%26B%2FC%3F:x%2By%40z.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=A%26B%2FC%3F&algorithm=SHA1&digits=6&period=30"},
		{"colons", "A:B", "c:d", "otpauth://totp/AB:cd?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=AB&algorithm=SHA1&digits=6&period=30"},
		{"not ASCII", "Käse", "ö", "otpauth://totp/K%C3%A4se:%C3%B6?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=K%C3%A4se&algorithm=SHA1&digits=6&period=30"},
		{"no issuer", "", "alice", "otpauth://totp/alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=SHA1&digits=6&period=30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, totp.URI(test.issuer, test.account, rfcSecret))
		})
	}
}

// net/url reads what URI has written.
func FuzzURI(f *testing.F) {
	f.Add("My Shop", "alice+x@example.org")
	f.Add("%&=#", "ä:\x00/?")
	f.Fuzz(func(t *testing.T, issuer, account string) {
		u, err := url.Parse(totp.URI(issuer, account, rfcSecret))
		require.NoError(t, err)
		issuer, account = strings.ReplaceAll(issuer, ":", ""), strings.ReplaceAll(account, ":", "")
		query, err := url.ParseQuery(u.RawQuery)
		require.NoError(t, err)
		require.Equal(t, issuer, query.Get("issuer"))
		if issuer != "" {
			account = issuer + ":" + account
		}
		require.Equal(t, "/"+account, u.Path)
		secret, err := base32.StdEncoding.DecodeString(query.Get("secret"))
		require.NoError(t, err)
		require.Equal(t, rfcSecret, secret)
		require.Equal(t, "totp", u.Host)
		require.Empty(t, u.Fragment)
	})
}

// The codes of the RFC's secret: 287082 at step 1, 359152 at 2, 969429 at 3, 338314 at 4 and 254676 at 5.
func TestVerify(t *testing.T) {
	t.Parallel()
	at := time.Unix(3*30+7, 0)
	for _, test := range []struct {
		name, code string
		last       int64
		step       int64
	}{
		{"now", "969429", 0, 3},
		{"the step before", "359152", 0, 2},
		{"the step after", "338314", 0, 4},
		{"two steps before", "287082", 0, 0},
		{"two steps after", "254676", 0, 0},
		{"used", "969429", 3, 0},
		{"before the one used", "359152", 3, 0},
		{"after the one used", "338314", 3, 4},
		{"last in the far future", "969429", math.MaxInt64, 0},
		{"with a space", "969 429", 0, 3},
		{"with spaces around", "  969429 ", 0, 3},
		{"wrong", "969428", 0, 0},
		{"empty", "", 0, 0},
		{"only spaces", "      ", 0, 0},
		{"five digits", "96942", 0, 0},
		{"seven digits", "9694290", 0, 0},
		{"a zero before", "0969429", 0, 0},
		{"with a hyphen", "969-429", 0, 0},
		{"with a sign", "+69429", 0, 0},
		{"other digits", "٩٦٩٤٢٩", 0, 0},
		{"full-width digits", "\uff19\uff16\uff19\uff14\uff12\uff19", 0, 0},
		{"NUL", "969429\x00", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			step, ok := totp.Verify(rfcSecret, test.code, at, test.last)
			require.Equal(t, test.step, step)
			require.Equal(t, test.step != 0, ok)
		})
	}
}

func TestVerifyEmptySecret(t *testing.T) {
	t.Parallel()
	for _, secret := range [][]byte{nil, {}} {
		_, ok := totp.Verify(secret, totp.Code(secret, 3), time.Unix(90, 0), 0)
		require.False(t, ok)
	}
}

// Two neighbouring steps with the same code: the code is accepted once.
func TestVerifySameCodeTwice(t *testing.T) {
	t.Parallel()
	const step int64 = 910737 // found by trying
	require.Equal(t, totp.Code(rfcSecret, step), totp.Code(rfcSecret, step+1))
	code, at := totp.Code(rfcSecret, step), time.Unix(step*30, 0)
	used, ok := totp.Verify(rfcSecret, code, at, 0)
	require.True(t, ok)
	require.Equal(t, step+1, used)
	_, ok = totp.Verify(rfcSecret, code, at, used)
	require.False(t, ok)
}

func FuzzVerify(f *testing.F) {
	f.Add("969429", int64(97), int64(0))
	f.Add("9 6 9 4 2 9", int64(-97), int64(-5))
	f.Add("", int64(math.MaxInt64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, code string, seconds, last int64) {
		at := time.Unix(seconds, 0)
		step, ok := totp.Verify(rfcSecret, code, at, last)
		if !ok {
			return
		}
		require.Greater(t, step, last)
		require.InDelta(t, totp.Step(at), step, 1)
		require.Equal(t, totp.Code(rfcSecret, step), strings.ReplaceAll(code, " ", ""))
	})
}

func TestRecoveryCode(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		code := totp.NewRecoveryCode()
		require.Regexp(t, `^([a-z2-7]{4}-){5}[a-z2-7]{4}$`, code)
		require.False(t, seen[code])
		seen[code] = true
		canonical, ok := totp.NormalizeRecoveryCode(code)
		require.True(t, ok)
		require.Equal(t, code, canonical)
	}
}

func TestNormalizeRecoveryCode(t *testing.T) {
	t.Parallel()
	const want = "abcd-efgh-ijkl-mnop-qrst-2347"
	for _, test := range []struct{ name, typed, want string }{
		{"as it is", want, want},
		{"upper case", strings.ToUpper(want), want},
		{"without hyphens", "abcdefghijklmnopqrst2347", want},
		{"spaces", " abcd efgh ijkl mnop qrst 2347 ", want},
		{"other groups", "abcdef-ghijkl--mnopqr-st2347-", want},
		{"empty", "", ""},
		{"too short", want[1:], ""},
		{"too long", want + "a", ""},
		{"a digit outside of the alphabet", "abcd-efgh-ijkl-mnop-qrst-2340", ""},
		{"padding", "abcd-efgh-ijkl-mnop-qrst-234=", ""},
		{"Kelvin sign", "abcd-efgh-ij\u212al-mnop-qrst-2347", ""},
		{"line break", want + "\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			canonical, ok := totp.NormalizeRecoveryCode(test.typed)
			require.Equal(t, test.want, canonical)
			require.Equal(t, test.want != "", ok)
		})
	}
}

func FuzzNormalizeRecoveryCode(f *testing.F) {
	f.Add("abcd-efgh-ijkl-mnop-qrst-2347")
	f.Add("ABCD EFGH IJKL MNOP QRST 2347")
	f.Fuzz(func(t *testing.T, s string) {
		canonical, ok := totp.NormalizeRecoveryCode(s)
		if !ok {
			require.Empty(t, canonical)
			return
		}
		require.Regexp(t, `^([a-z2-7]{4}-){5}[a-z2-7]{4}$`, canonical)
		again, ok := totp.NormalizeRecoveryCode(canonical)
		require.True(t, ok)
		require.Equal(t, canonical, again)
		drop := strings.NewReplacer(" ", "", "-", "")
		require.Equal(t, drop.Replace(canonical), strings.ToLower(drop.Replace(s)))
	})
}
