package keyring_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/keyring"
)

const (
	current = "HPrD1kq0bZ8yX2nV5sT7wU9cE3fG6jL4"
	old     = "mQ0aR8iS2oK6xB4dN1vC7zY5hW3eJ9tF"
)

func newRing(t *testing.T, secrets ...string) *keyring.Ring {
	r, err := keyring.New(secrets)
	require.NoError(t, err)
	return r
}

func hmacOf(key []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(parts, "")))
	return mac.Sum(nil)
}

// hkdfOf is HKDF of RFC 5869, sections 2.2 and 2.3, for one block and no salt.
func hkdfOf(secret, info string) []byte {
	return hmacOf(hmacOf(make([]byte, sha256.Size), secret), info, "\x01")
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		secrets []string
		want    string
	}{
		{"none", nil, "there is no secret"},
		{"empty", []string{""}, "secret 1 of 1 is empty"},
		{"the old one is empty", []string{current, ""}, "secret 2 of 2 is empty"},
		{"one", []string{current}, ""},
		{"two", []string{current, old}, ""},
		{"the same twice", []string{current, current}, ""},
		{"weak", []string{"a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := keyring.New(test.secrets)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.Nil(t, r)
		})
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	r := newRing(t, current, old)
	require.Equal(t, hkdfOf(current, "derive\x00cursors"), r.Derive("cursors"))
	require.Len(t, r.Derive(""), 32)
	require.Equal(t, r.Derive("cursors"), newRing(t, current).Derive("cursors"), "old secrets change nothing")
	require.NotEqual(t, r.Derive("cursors"), r.Derive("cursor"))
	require.NotEqual(t, r.Derive("cursors"), newRing(t, old, current).Derive("cursors"))
}

func TestSign(t *testing.T) {
	t.Parallel()
	r := newRing(t, current, old)
	mac := r.Sign("links", []byte("data"))
	require.Equal(t, hmacOf(hkdfOf(current, "sign\x00links"), "data"), mac)
	require.NotEqual(t, hmacOf(r.Derive("links"), "data"), mac, "the key of Sign is not that of Derive")

	flipped := bytes.Clone(mac)
	flipped[31] ^= 1
	for _, test := range []struct {
		name, purpose, data string
		mac                 []byte
		ring                *keyring.Ring
		want                bool
	}{
		{"current", "links", "data", mac, r, true},
		{"old", "links", "data", mac, newRing(t, old, current), true},
		{"old of three", "links", "data", mac, newRing(t, old, current, "another"), true},
		{"removed", "links", "data", mac, newRing(t, old), false},
		{"another purpose", "link", "data", mac, r, false},
		{"purpose and data cut elsewhere", "linksd", "ata", mac, r, false},
		{"other data", "links", "date", mac, r, false},
		{"no data", "links", "", mac, r, false},
		{"no mac", "links", "data", nil, r, false},
		{"part of the mac", "links", "data", mac[:16], r, false},
		{"more than the mac", "links", "data", append(bytes.Clone(mac), 0), r, false},
		{"changed mac", "links", "data", flipped, r, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, test.ring.Verify(test.purpose, []byte(test.data), test.mac))
		})
	}
}

func TestVerifyEachByte(t *testing.T) {
	t.Parallel()
	r := newRing(t, current, old)
	data := []byte("some data")
	mac := r.Sign("links", data)
	for _, changed := range [][]byte{data, mac} {
		for i := range changed {
			changed[i] ^= 0x80
			require.False(t, r.Verify("links", data, mac))
			changed[i] ^= 0x80
		}
	}
	require.True(t, r.Verify("links", data, mac))
}

// The format is that of AES-256-GCM: what the functions of crypto/cipher seal, Open opens.
func TestSealFormat(t *testing.T) {
	t.Parallel()
	r := newRing(t, current)
	block, err := aes.NewCipher(hkdfOf(current, "seal\x00secrets"))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)

	sealed := r.Seal("secrets", []byte("plain"), []byte("row 1"))
	require.Len(t, sealed, 1+12+len("plain")+16)
	require.Equal(t, byte(1), sealed[0])
	plain, err := gcm.Open(nil, sealed[1:13], sealed[13:], []byte("row 1"))
	require.NoError(t, err)
	require.Equal(t, "plain", string(plain))

	nonce := []byte("twelve bytes")
	foreign := gcm.Seal(append([]byte{1}, nonce...), nonce, []byte("plain"), []byte("row 1"))
	plain, _, err = r.Open("secrets", foreign, []byte("row 1"))
	require.NoError(t, err)
	require.Equal(t, "plain", string(plain))
}

func TestOpen(t *testing.T) {
	t.Parallel()
	r := newRing(t, current, old)
	sealed := r.Seal("secrets", []byte("plain"), []byte("row 1"))
	require.NotEqual(t, sealed, r.Seal("secrets", []byte("plain"), []byte("row 1")), "the nonce is random")
	for _, test := range []struct {
		name, purpose, context string
		sealed                 []byte
		ring                   *keyring.Ring
		current                bool
		want                   string // of the error
	}{
		{"current", "secrets", "row 1", sealed, r, true, ""},
		{"old", "secrets", "row 1", sealed, newRing(t, old, current), false, ""},
		{"removed", "secrets", "row 1", sealed, newRing(t, old), false, "no longer in the list"},
		{"another purpose", "secret", "row 1", sealed, r, false, "another purpose"},
		{"purpose and context swapped", "row 1", "secrets", sealed, r, false, "another purpose"},
		{"another context", "secrets", "row 2", sealed, r, false, "another purpose or context"},
		{"no context", "secrets", "", sealed, r, false, "another purpose or context"},
		{"purpose and context cut elsewhere", "secretsr", "ow 1", sealed, r, false, "another purpose or context"},
		{"nothing", "secrets", "row 1", nil, r, false, "it was changed"},
		{"only the version", "secrets", "row 1", sealed[:1], r, false, "it was changed"},
		{"only the nonce", "secrets", "row 1", sealed[:13], r, false, "it was changed"},
		{"another version", "secrets", "row 1", append([]byte{2}, sealed[1:]...), r, false, "the version 2"},
		{"cut", "secrets", "row 1", sealed[:len(sealed)-1], r, false, "it was changed"},
		{"longer", "secrets", "row 1", append(bytes.Clone(sealed), 0), r, false, "it was changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plain, isCurrent, err := test.ring.Open(test.purpose, test.sealed, []byte(test.context))
			require.Equal(t, test.current, isCurrent)
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "plain", string(plain))
				return
			}
			require.ErrorContains(t, err, test.want)
			require.Nil(t, plain)
		})
	}
}

func TestOpenEachByte(t *testing.T) {
	t.Parallel()
	r := newRing(t, current, old)
	sealed, context := r.Seal("secrets", []byte("some plain text"), []byte("row 1")), []byte("row 1")
	for _, changed := range [][]byte{sealed, context} {
		for i := range changed {
			for bit := range 8 {
				changed[i] ^= 1 << bit
				_, _, err := r.Open("secrets", sealed, context)
				require.Error(t, err)
				changed[i] ^= 1 << bit
			}
		}
	}
	_, _, err := r.Open("secrets", sealed, context)
	require.NoError(t, err)
}

func FuzzOpen(f *testing.F) {
	r, err := keyring.New([]string{current, old})
	require.NoError(f, err)
	f.Add("secrets", []byte("plain"), []byte("row 1"), []byte{1})
	f.Add("", []byte{}, []byte{}, []byte{})
	f.Add("a\x00b", []byte{0}, []byte(nil), bytes.Repeat([]byte{1}, 29))
	f.Fuzz(func(t *testing.T, purpose string, plain, context, forged []byte) {
		opened, isCurrent, err := r.Open(purpose, r.Seal(purpose, plain, context), context)
		require.NoError(t, err)
		require.True(t, isCurrent)
		require.True(t, bytes.Equal(plain, opened))
		_, _, err = r.Open(purpose, forged, context)
		require.Error(t, err)
		require.False(t, r.Verify(purpose, plain, forged))
	})
}

func TestWeak(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, secret, want string }{
		{"fine", current, ""},
		{"empty", "", "it has 0 bytes"},
		{"31 bytes", current[:31], "it has 31 bytes"},
		{"9 different bytes", "abcdfghijabdcfghijbacdfghijcabdfg", "only 9 different"},
		{"10 different bytes", "abcdfghijkbacdfghijkcabdfghijkdabc", ""},
		{"one byte", strings.Repeat("x", 64), "only 1 different"},
		{"a block three times", strings.Repeat("HPrD1kq0bZ8", 3), "repeats"},
		{"a block and a part", strings.Repeat("HPrD1kq0bZ8y", 4)[:40], "repeats"},
		{"a long block twice", current + current, "repeats"},
		{"placeholder", "Change-Me-HPrD1kq0bZ8yX2nV5sT7wU9", "placeholder"},
		{"a sentence", "this is my very own SECRET, keep it", "placeholder"},
		{"password", "HPrD1kq0bZ8yPassWordX2nV5sT7wU9cE", "placeholder"},
		{"digits", "0123456789abcdefghijklmnopqrstuvwx", "placeholder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := keyring.Weak(test.secret)
			if test.want == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, test.want)
			require.Contains(t, got, "use 32 random bytes")
		})
	}
}

func TestRandomSecretsAreNotWeak(t *testing.T) {
	t.Parallel()
	for range 1000 {
		random := make([]byte, 32)
		rand.Read(random)
		for _, secret := range []string{string(random), hex.EncodeToString(random), base64.StdEncoding.EncodeToString(random)} {
			require.Empty(t, keyring.Weak(secret), "%x", random)
		}
	}
}

func FuzzWeak(f *testing.F) {
	f.Add(current)
	f.Add("")
	f.Add("\xff\x00changeme")
	f.Fuzz(func(t *testing.T, secret string) {
		if keyring.Weak(secret) == "" {
			require.GreaterOrEqual(t, len(secret), 32)
		}
		require.NotEmpty(t, keyring.Weak(secret+secret))
	})
}
