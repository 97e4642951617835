package webauthn

import (
	"bytes"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The generator of P-256 (FIPS 186-4, D.1.2.3), which is a point of it.
const (
	generatorX = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
	generatorY = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)

// odd returns the smallest odd number of so many bits.
func odd(bits uint) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.SetBit(n, 0, 1).Bytes()
}

func TestKeys(t *testing.T) {
	t.Parallel()
	x, y := unhex(t, generatorX), unhex(t, generatorY)
	p256 := func(x, y any) []pair {
		return []pair{{labelType, typeEC2}, {labelAlgorithm, int64(ES256)}, {labelCurve, curveP256}, {labelX, x}, {labelY, y}}
	}
	ed25519 := func(x []byte) []pair {
		return []pair{{labelType, typeOKP}, {labelAlgorithm, int64(EdDSA)}, {labelCurve, curveEd25519}, {labelX, x}}
	}
	rsa := func(n, e []byte) []pair {
		return []pair{{labelType, typeRSA}, {labelAlgorithm, int64(RS256)}, {labelModulus, n}, {labelExponent, e}}
	}
	with := func(key []pair, label int64, value any) []pair {
		changed := slices.DeleteFunc(slices.Clone(key), func(p pair) bool { return p.key == label })
		if value != nil {
			changed = append(changed, pair{label, value})
		}
		return changed
	}
	f4, other := []byte{1, 0, 1}, bytes.Repeat([]byte{7}, 32)
	for _, row := range []struct {
		name string
		key  any
		want string // in the error
	}{
		{"P-256", p256(x, y), ""},
		{"P-256 in another order, with one more parameter", append(slices.Clone(p256(x, y)), pair{int64(2), []byte("kid")}), ""},
		{"point not on the curve", p256(x, other), "not a point"},
		{"point at 0, 0", p256(make([]byte, 32), make([]byte, 32)), "not a point"},
		{"coordinate beyond the field", p256(bytes.Repeat([]byte{0xff}, 32), y), "not a point"},
		{"compressed point", p256(x, true), "two coordinates"},
		{"x of 31 bytes", p256(x[1:], y), "two coordinates"},
		{"y of 33 bytes", p256(x, append([]byte{0}, y...)), "two coordinates"},
		{"no y", with(p256(x, y), labelY, nil), "two coordinates"},
		{"curve P-384", with(p256(x, y), labelCurve, int64(2)), "not one of P-256"},
		{"no curve", with(p256(x, y), labelCurve, nil), "not one of P-256"},
		{"type of RSA", with(p256(x, y), labelType, typeRSA), "type is not that"},
		{"type that is a list", with(p256(x, y), labelType, []any{}), "type is not that"},
		{"no type", with(p256(x, y), labelType, nil), "type is not that"},
		{"no algorithm", with(p256(x, y), labelAlgorithm, nil), "no algorithm"},
		{"algorithm as text", with(p256(x, y), labelAlgorithm, "ES256"), "no algorithm"},
		{"ES384", with(p256(x, y), labelAlgorithm, int64(-35)), "not offered"},
		{"RS1", with(rsa(odd(2048), f4), labelAlgorithm, int64(-65535)), "not offered"},
		{"algorithm of RSA", with(p256(x, y), labelAlgorithm, int64(RS256)), "type is not that"},

		{"Ed25519", ed25519(other), ""},
		{"Ed25519 of 31 bytes", ed25519(other[1:]), "not one of Ed25519"},
		{"Ed25519 of 33 bytes", ed25519(append(slices.Clone(other), 1)), "not one of Ed25519"},
		{"Ed448", with(ed25519(other), labelCurve, int64(7)), "not one of Ed25519"},

		{"RSA of 2048 bits", rsa(odd(2048), f4), ""},
		{"RSA of 8192 bits", rsa(odd(8192), f4), ""},
		{"exponent 3", rsa(odd(2048), []byte{3}), ""},
		{"exponent 2³¹-1", rsa(odd(2048), []byte{0x7f, 0xff, 0xff, 0xff}), ""},
		{"RSA of 2047 bits", rsa(odd(2047), f4), "2048 to 8192 bits"},
		{"RSA of 8193 bits", rsa(odd(8193), f4), "2048 to 8192 bits"},
		{"even modulus", rsa(append(odd(2048)[:255:255], 2), f4), "even"},
		{"modulus with a zero in front", rsa(append([]byte{0}, odd(2048)...), f4), "shortest form"},
		{"no modulus", rsa(nil, f4), "shortest form"},
		{"exponent 1", rsa(odd(2048), []byte{1}), "odd number"},
		{"exponent 2", rsa(odd(2048), []byte{2}), "odd number"},
		{"exponent 65536", rsa(odd(2048), []byte{1, 0, 0}), "odd number"},
		{"exponent 2³¹+1", rsa(odd(2048), []byte{0x80, 0, 0, 1}), "odd number"},
		{"exponent of 100 bytes", rsa(odd(2048), bytes.Repeat([]byte{0xff}, 100)), "odd number"},
		{"exponent with a zero in front", rsa(odd(2048), []byte{0, 1, 0, 1}), "shortest form"},
		{"no exponent", rsa(odd(2048), nil), "shortest form"},

		{"list", []any{int64(1)}, "not a CBOR map"},
		{"empty map", []pair{}, "no algorithm"},
		{"too long", append(slices.Clone(p256(x, y)), pair{"x", make([]byte, maxKeyLen)}), "more than 2048 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			data := encodeCBOR(row.key)
			key, err := parseStoredKey(data)
			if row.want != "" {
				require.ErrorContains(t, err, row.want)
				return
			}
			require.NoError(t, err)
			require.False(t, key.verify([]byte("message"), make([]byte, 64)))
			_, err = parseStoredKey(append(data, 0))
			require.ErrorContains(t, err, "1 bytes follow")
			_, err = parseStoredKey(data[:len(data)-1])
			require.Error(t, err)
		})
	}
}

func TestClientDataIsParsedAsTheBrowserDoes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, data string
		want       clientData
		err        string
	}{
		{"other members", `{"type":"t","challenge":"c","origin":"o","new":{"type":1}}`, clientData{"t", "c", "o", false, false}, ""},
		{"any order", `{ "origin": "o", "challenge": "c", "type": "t" }`, clientData{"t", "c", "o", false, false}, ""},
		{"the last duplicate counts", `{"type":"x","challenge":"c","origin":"o","type":"t"}`, clientData{"t", "c", "o", false, false}, ""},
		{"escapes", `{"\u0074ype":"\u0074","challenge":"c","origin":"o"}`, clientData{"t", "c", "o", false, false}, ""},
		{"byte order mark", "\ufeff" + `{"type":"t","challenge":"c","origin":"o"}`, clientData{"t", "c", "o", false, false}, ""},
		{"cross origin", `{"type":"t","challenge":"c","origin":"o","crossOrigin":true,"topOrigin":"p"}`, clientData{"t", "c", "o", true, true}, ""},
		{"no top origin", `{"type":"t","challenge":"c","origin":"o","crossOrigin":false,"topOrigin":null}`, clientData{"t", "c", "o", false, false}, ""},
		{"names of another case are others", `{"type":"t","challenge":"c","origin":"o","Type":"x","ORIGIN":"y"}`, clientData{"t", "c", "o", false, false}, ""},
		{"only a name of another case", `{"Type":"t","challenge":"c","origin":"o"}`, clientData{}, "type is not a string"},
		{"no challenge", `{"type":"t","origin":"o"}`, clientData{}, "challenge is not a string"},
		{"origin of another type", `{"type":"t","challenge":"c","origin":["o"]}`, clientData{}, "origin is not a string"},
		{"crossOrigin of another type", `{"type":"t","challenge":"c","origin":"o","crossOrigin":"true"}`, clientData{}, "crossOrigin is not a boolean"},
		{"null", `null`, clientData{}, "is not a string"},
		{"list", `[]`, clientData{}, "not a JSON object"},
		{"nothing", ``, clientData{}, "not a JSON object"},
		{"two values", `{"type":"t","challenge":"c","origin":"o"}{}`, clientData{}, "not a JSON object"},
		{"cut", `{"type":"t","challenge":"c","origin":"o"`, clientData{}, "not a JSON object"},
		{"too long", `{"type":"` + strings.Repeat("t", maxClientData) + `"}`, clientData{}, "more than 16384 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			parsed, err := parseClientData([]byte(row.data))
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, parsed)
		})
	}
}

func FuzzClientData(f *testing.F) {
	f.Add([]byte(`{"type":"webauthn.get","challenge":"AAAA","origin":"https://example.org","crossOrigin":false}`))
	f.Add([]byte(`{"type":"t","type":"u","challenge":"c","origin":"o","topOrigin":null,"Origin":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseClientData(data)
		if err != nil {
			require.IsType(t, &Error{}, err)
			return
		}
		var generic map[string]any
		require.NoError(t, json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &generic))
		for name, got := range map[string]string{"type": parsed.kind, "challenge": parsed.challenge, "origin": parsed.origin} {
			if want, ok := generic[name].(string); ok || generic[name] != nil {
				require.Equal(t, want, got, name)
			}
		}
		require.Equal(t, generic["topOrigin"] != nil, parsed.topOrigin)
	})
}

// exampleAuthData is the authenticator data of a registration with all that it can have.
// more is added to the key.
func exampleAuthData(t testing.TB, extension any, more ...pair) []byte {
	key := encodeCBOR(append([]pair{{labelType, typeEC2}, {labelAlgorithm, int64(ES256)}, {labelCurve, curveP256},
		{labelX, unhex(t, generatorX)}, {labelY, unhex(t, generatorY)}}, more...))
	head := append(make([]byte, 32), flagUserPresent|flagAttested|flagExtensions, 0, 0, 0, 9)
	credential := append(append(bytes.Repeat([]byte{0xaa}, 16), 0, 3), "abc"...)
	return slices.Concat(head, credential, key, encodeCBOR([]pair{{"credProtect", extension}}))
}

func exampleAttestation(t testing.TB, statement ...pair) []byte {
	return encodeCBOR([]pair{{"fmt", "packed"}, {"attStmt", statement}, {"authData", exampleAuthData(t, int64(2))}})
}

// What is well-formed is refused beyond the bounds, and accepted within.
func TestLengthsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := parseAuthData(exampleAuthData(t, make([]byte, 15<<10)))
	require.NoError(t, err)
	_, err = parseAuthData(exampleAuthData(t, make([]byte, 16<<10)))
	require.ErrorContains(t, err, "16384")
	_, err = parseAuthData(exampleAuthData(t, true, pair{"x", make([]byte, 1900)}))
	require.NoError(t, err)
	_, err = parseAuthData(exampleAuthData(t, true, pair{"x", make([]byte, 2048)}))
	require.ErrorContains(t, err, "2048")
	_, err = parseAttestation(exampleAttestation(t, pair{"x5c", make([]byte, 63<<10)}))
	require.NoError(t, err)
	_, err = parseAttestation(exampleAttestation(t, pair{"x5c", make([]byte, 64<<10)}))
	require.ErrorContains(t, err, "65536")
}

func TestAuthenticatorDataIsParsed(t *testing.T) {
	t.Parallel()
	data := exampleAuthData(t, int64(2))
	parsed, err := parseAuthData(data)
	require.NoError(t, err)
	require.Equal(t, uint32(9), parsed.signCount)
	require.Equal(t, "abc", string(parsed.attested.id))
	require.Equal(t, [16]byte(bytes.Repeat([]byte{0xaa}, 16)), parsed.attested.aaguid)
	require.Equal(t, data[37+16+2+3:37+16+2+3+77], parsed.attested.keyBytes, "RFC 9052: a key of P-256 has 77 bytes")
	for length := range data {
		_, err := parseAuthData(data[:length])
		require.Error(t, err, length)
	}
	_, err = parseAuthData(append(slices.Clone(data), 0))
	require.ErrorContains(t, err, "1 bytes follow")
	_, err = parseAuthData(append(slices.Clone(data), make([]byte, maxAuthData)...))
	require.ErrorContains(t, err, "16384")
	for length := range exampleAttestation(t) {
		_, err := parseAttestation(exampleAttestation(t)[:length])
		require.Error(t, err, length)
	}
}

func FuzzAuthenticatorData(f *testing.F) {
	f.Add(exampleAuthData(f, int64(2)))
	f.Add(append(make([]byte, 32), 1, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseAuthData(data)
		if err != nil {
			require.IsType(t, &Error{}, err)
			return
		}
		require.Equal(t, parsed.has(flagAttested), parsed.attested != nil)
		if parsed.attested == nil {
			return
		}
		require.LessOrEqual(t, len(parsed.attested.id), maxCredentialID)
		key, err := parseStoredKey(parsed.attested.keyBytes)
		require.NoError(t, err, "a key that was accepted can be used later")
		require.Equal(t, parsed.attested.key, key)
		key.verify([]byte("message"), data)
	})
}

func FuzzAttestationObject(f *testing.F) {
	f.Add(exampleAttestation(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseAttestation(data)
		if err != nil {
			require.IsType(t, &Error{}, err)
			return
		}
		require.Len(t, parsed.rpIDHash, 32)
		require.True(t, bytes.Contains(data, parsed.rpIDHash))
	})
}
