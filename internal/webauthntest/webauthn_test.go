package webauthntest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/webauthn"
	"github.com/seed-215b9b7c/backend/internal/webauthn/softkey"
)

const (
	mutations = 1000 // of each ceremony
	origin    = "https://example.org"
)

var (
	rp        = webauthn.RP{ID: "example.org", Origins: []string{origin, "https://login.example.org"}}
	challenge = []byte("0123456789abcdef")
	encoded   = base64.RawURLEncoding.EncodeToString(challenge)
)

type object = map[string]any

func ourRegister(answer []byte, uv bool) (webauthn.Credential, error) {
	var response webauthn.RegistrationResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return webauthn.Credential{}, err
	}
	return rp.Register(challenge, response, uv)
}

func ourAssert(credential webauthn.Credential, answer []byte, uv bool) (webauthn.Assertion, error) {
	var response webauthn.AuthenticationResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return webauthn.Assertion{}, err
	}
	return rp.Assert(challenge, credential, response, uv)
}

func theirRegister(answer []byte, uv bool) (webauthn.Credential, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return webauthn.Credential{}, err
	}
	var params []protocol.CredentialParameter
	for _, alg := range []int{webauthn.EdDSA, webauthn.ES256, webauthn.RS256} {
		params = append(params, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(alg)})
	}
	_, err = parsed.Verify(encoded, rp.ID, rp.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode, false, uv, true,
		nil, params, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return webauthn.Credential{}, err
	}
	data := parsed.Response.AttestationObject.AuthData
	return webauthn.Credential{
		ID: data.AttData.CredentialID, PublicKey: data.AttData.CredentialPublicKey, SignCount: data.Counter,
		UserVerified: data.Flags.UserVerified(), BackupEligible: data.Flags.HasBackupEligible(), BackedUp: data.Flags.HasBackupState(),
		AAGUID: [16]byte(data.AttData.AAGUID),
	}, nil
}

// theirAssert also compares the ID, which the other implementation does one level above.
func theirAssert(credential webauthn.Credential, answer []byte, uv bool) (webauthn.Assertion, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return webauthn.Assertion{}, err
	}
	if string(parsed.RawID) != string(credential.ID) {
		return webauthn.Assertion{}, fmt.Errorf("another credential")
	}
	err = parsed.Verify(encoded, rp.ID, "", rp.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode, false, uv, true,
		credential.PublicKey, protocol.SignaturePolicy{})
	if err != nil {
		return webauthn.Assertion{}, err
	}
	data := parsed.Response.AuthenticatorData
	return webauthn.Assertion{
		UserHandle: parsed.Response.UserHandle, SignCount: data.Counter, UserVerified: data.Flags.UserVerified(),
		BackupEligible: data.Flags.HasBackupEligible(), BackedUp: data.Flags.HasBackupState(),
	}, nil
}

// A mutator changes ceremonies in ways that its seed decides.
type mutator struct {
	*rand.Rand
	done []string
}

func pick[T any](m *mutator, choices ...T) T { return choices[m.IntN(len(choices))] }

func (m *mutator) note(format string, args ...any) {
	m.done = append(m.done, fmt.Sprintf(format, args...))
}

// bytes flips a bit, cuts, inserts, or appends.
func (m *mutator) bytes(what string) func([]byte) []byte {
	return func(data []byte) []byte {
		if len(data) == 0 {
			return []byte{0}
		}
		at, bit := m.IntN(len(data)), m.IntN(8)
		switch kind := m.IntN(8); kind {
		case 0:
			m.note("%s: cut at %d", what, at)
			return data[:at]
		case 1:
			m.note("%s: byte inserted at %d", what, at)
			return append(data[:at:at], append([]byte{byte(m.IntN(256))}, data[at:]...)...)
		case 2:
			m.note("%s: byte appended", what)
			return append(data, byte(m.IntN(256)))
		default:
			m.note("%s: bit %d of byte %d flipped", what, bit, at)
			data[at] ^= 1 << bit
			return data
		}
	}
}

// authData changes flags, adds extensions, or does what bytes does.
func (m *mutator) authData(data []byte) []byte {
	switch m.IntN(4) {
	case 0:
		flags := byte(m.IntN(256))
		m.note("flags %08b", flags)
		data[32] = flags
		return data
	case 1:
		extensions := pick(m, "\xa0", "\xa1\x61x\xf5", "\x80", "\xa1\x61x", "\xa0\xa0", "\xa2\x61x\x01\x61x\x02", "\xa1\x61x\xfa\x00\x00\x00\x00", "\xbf\xff")
		m.note("extensions %x", extensions)
		data[32] |= 0x80
		return append(data, extensions...)
	}
	return m.bytes("authenticator data")(data)
}

// clientData changes its meaning or its form, or does what bytes does.
func (m *mutator) clientData(data []byte) []byte {
	if m.IntN(4) == 0 {
		return m.bytes("client data")(data)
	}
	text := string(data)
	change := pick(m,
		[2]string{"webauthn.", "payment."}, [2]string{"create", "get"}, [2]string{"webauthn.get", "webauthn.create"},
		[2]string{encoded, encoded + "=="}, [2]string{encoded, "AAAA"}, [2]string{encoded, ""},
		[2]string{origin, "https://evil.example"}, [2]string{origin, "https://example.org:443"}, [2]string{origin, "https://example.org/"},
		[2]string{origin, "http://example.org"}, [2]string{origin, "https://EXAMPLE.ORG"}, [2]string{origin, "https://login.example.org"},
		[2]string{origin, "https://example.org.evil.example"}, [2]string{origin, " https://example.org"}, [2]string{origin, "null"}, [2]string{origin, ""},
		[2]string{"false", "true"}, [2]string{"false", "null"}, [2]string{"false", `"false"`}, [2]string{`,"crossOrigin":false`, ""},
		[2]string{"}", `,"topOrigin":"https://example.org"}`}, [2]string{"false}", `true,"topOrigin":"https://example.org"}`}, [2]string{"}", `,"topOrigin":null}`},
		[2]string{"{", "{ "}, [2]string{"{", "[{"}, [2]string{"}", "}}"}, [2]string{"}", "} "}, [2]string{"{", "\ufeff{"},
		[2]string{"{", `{"extra":{"type":[]},`}, [2]string{`"type"`, `"Type"`}, [2]string{`"origin"`, `"ORIGIN"`},
		[2]string{"}", `,"type":"x"}`}, [2]string{"{", `{"type":"x",`}, [2]string{"}", `,"Type":"x"}`},
		[2]string{"}", `,"tokenBinding":{"status":"supported"}}`}, [2]string{"}", `,"tokenBinding":{"status":"x"}}`}, [2]string{"https:", `https\u003a`},
	)
	m.note("client data: %q for %q", change[1], change[0])
	return []byte(strings.Replace(text, change[0], change[1], 1))
}

// response changes the JSON around.
func (m *mutator) response(t *testing.T, answer []byte) []byte {
	var members object
	require.NoError(t, json.Unmarshal(answer, &members))
	target := members
	if m.IntN(2) == 0 {
		target = members["response"].(object)
	}
	var names []string
	for _, name := range []string{"id", "rawId", "type", "clientDataJSON", "authenticatorData", "attestationObject", "signature", "userHandle", "authenticatorAttachment"} {
		if _, ok := target[name]; ok {
			names = append(names, name)
		}
	}
	name := pick(m, names...)
	text, _ := target[name].(string)
	changed := pick[any](m, nil, "", text+"=", text+"\n", text+"A", " "+text, strings.ReplaceAll(text, "_", "/"), "AAAA", 1, []string{}, text)
	m.note("%s: %.60q", name, fmt.Sprint(changed))
	if target[name] = changed; changed == nil && m.IntN(2) == 0 {
		delete(target, name)
	}
	data, err := json.Marshal(members)
	require.NoError(t, err)
	return data
}

// edit lets the key make one or two mistakes.
func (m *mutator) edit(key *softkey.Key) {
	for range 1 + m.IntN(2) {
		switch m.IntN(5) {
		case 0, 1:
			key.EditClientData = m.clientData
		case 2:
			key.EditAuthData = m.authData
		case 3:
			key.EditAttestation = m.bytes("attestation object")
			key.EditSignature = m.bytes("signature")
		case 4: // none: the response is changed
		}
	}
}

// A difference is a kind of response that one of the two accepts and the other refuses.
type difference struct {
	why      string
	weAccept bool
	refusal  string // a part of the error of the one that refuses
	mutation string // a part of what was changed; empty if refusal says it all
}

// differences are those that were found, and judged.
var differences = []difference{
	{"they skip padding and line breaks in base64url, which browsers do not send", false, "not base64url without padding", ""},
	{"they compare origins by their meaning: without case, default port and slash at the end", false, "the origin ", ""},
	{"they compare the names of members without case, and JSON.parse does not", false, "is not a string", ""},
	{"they compare the names of members without case, and JSON.parse does not", true, "Received: x", `\"Type\"`},
	{"they skip padding and line breaks in base64url, which browsers do not send", false, "id and rawId differ", `\n`},
	{"they compare the keys of attestation objects without case", false, "not a CBOR map of fmt", "attestation object: bit 5"},
	{"they do not miss the attestation statement", false, "not a CBOR map of fmt", "attestation object: bit"},
	{"they do not compare the flags of backups with each other here", false, "not eligible", "flags"},
	{"they read public keys at the first login only", false, "the public key", ""},
	{"we have no floating-point numbers in CBOR", false, "0xfa is not supported", "extensions"},
	{"they check token binding, which Level 3 has dropped", true, "token binding", "tokenBinding"},
	{"they do not skip a byte order mark, as UTF-8 decode does", true, "Error parsing", `\ufeff`},
	{"they do not skip a byte order mark, as UTF-8 decode does", true, "invalid character", `\ufeff`},
	{"they decode the copy of the authenticator data, which nothing needs", true, "illegal base64", "authenticatorData"},
	{"they know a list of attestation formats, and we verify none", true, "Attestation format", "attestation object"},
}

// explain returns why one refuses, or "" if that is not among the differences.
func explain(m *mutator, ours, theirs error) string {
	refusal := describe(ours)
	if ours == nil {
		refusal = describe(theirs)
	}
	for _, d := range differences {
		if d.weAccept == (ours == nil) && strings.Contains(refusal, d.refusal) && strings.Contains(strings.Join(m.done, "; "), d.mutation) {
			return d.why
		}
	}
	return ""
}

func describe(err error) string {
	if e, ok := err.(*protocol.Error); ok {
		return fmt.Sprintf("%v | %s | %s", e, e.Details, e.DevInfo)
	}
	return fmt.Sprint(err)
}

// compare fails the test on a difference that is not listed.
func compare(t *testing.T, m *mutator, ours, theirs error, tally map[string]int) (bothAccept bool) {
	t.Helper()
	switch {
	case ours == nil && theirs == nil:
		tally["both accept"]++
		return true
	case ours != nil && theirs != nil:
		tally["both refuse"]++
	default:
		why := explain(m, ours, theirs)
		if why == "" {
			t.Errorf("%q:\n  ours:   %v\n  theirs: %v", m.done, ours, describe(theirs))
		}
		tally[why]++
	}
	return false
}

func options(t *testing.T, value any) []byte {
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return data
}

// newKeys returns keys of the three algorithms that are the same in each run. They are
// no secrets: that of RSA is of two Mersenne primes, as in the specification's vectors.
func newKeys(t *testing.T) (keys []*softkey.Key) {
	p256, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	for i, private := range []crypto.Signer{ed25519.NewKeyFromSeed(make([]byte, 32)), p256, mersenneKey()} {
		key, err := softkey.NewFrom(bytes.Repeat([]byte{0xfb, 0xf0, byte(i)}, 8), private)
		require.NoError(t, err)
		key.BE, key.Count = true, 7
		keys = append(keys, key)
	}
	return keys
}

func mersenneKey() *rsa.PrivateKey {
	one, e := big.NewInt(1), big.NewInt(65537)
	p := new(big.Int).Lsh(one, 1279)
	q := new(big.Int).Lsh(one, 2203)
	p.Sub(p, one)
	q.Sub(q, one)
	order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{D: new(big.Int).ModInverse(e, order), Primes: []*big.Int{p, q}}
	key.N, key.E = new(big.Int).Mul(p, q), 65537
	key.Precompute()
	return key
}

func TestRegistrations(t *testing.T) {
	t.Parallel()
	keys, tally := newKeys(t), map[string]int{}
	create := options(t, rp.CreationOptions(challenge, webauthn.User{ID: []byte("user"), Name: "Ada"}, "", nil))
	for seed := range uint64(mutations + 30) {
		m := &mutator{Rand: rand.New(rand.NewPCG(seed, 1))}
		key := *keys[m.IntN(len(keys))]
		if seed >= 30 { // the first are good
			m.edit(&key)
		}
		answer, err := key.Create(create, origin)
		require.NoError(t, err)
		if seed >= 30 && (len(m.done) == 0 || m.IntN(8) == 0) {
			answer = m.response(t, answer)
		}
		uv := m.IntN(2) == 0
		ours, ourError := ourRegister(answer, uv)
		theirs, theirError := theirRegister(answer, uv)
		if compare(t, m, ourError, theirError, tally) {
			ours.Alg, ours.Transports = 0, nil // which they do not return
			require.Equal(t, theirs, ours, m.done)
		}
	}
	t.Log(tally)
	require.GreaterOrEqual(t, tally["both accept"], 30)
	require.GreaterOrEqual(t, tally["both refuse"], mutations/2)
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	keys, tally := newKeys(t), map[string]int{}
	create := options(t, rp.CreationOptions(challenge, webauthn.User{ID: []byte("user"), Name: "Ada"}, "", nil))
	request := options(t, rp.RequestOptions(challenge, "", nil))
	var credentials []webauthn.Credential
	for _, key := range keys {
		answer, err := key.Create(create, origin)
		require.NoError(t, err)
		credential, err := ourRegister(answer, true)
		require.NoError(t, err)
		credentials = append(credentials, credential)
	}
	for seed := range uint64(mutations + 30) {
		m := &mutator{Rand: rand.New(rand.NewPCG(seed, 2))}
		chosen := m.IntN(len(keys))
		key, credential := *keys[chosen], credentials[chosen]
		if seed >= 30 { // the first are good
			m.edit(&key)
		}
		answer, err := key.Get(request, origin)
		require.NoError(t, err)
		if seed >= 30 && (len(m.done) == 0 || m.IntN(8) == 0) {
			answer = m.response(t, answer)
		}
		uv := m.IntN(2) == 0
		ours, ourError := ourAssert(credential, answer, uv)
		theirs, theirError := theirAssert(credential, answer, uv)
		if compare(t, m, ourError, theirError, tally) {
			ours.CountSuspect, ours.BackupEligibleChanged = false, false // which they find one level above
			require.Equal(t, string(theirs.UserHandle), string(ours.UserHandle), m.done)
			ours.UserHandle, theirs.UserHandle = nil, nil
			require.Equal(t, theirs, ours, m.done)
		}
	}
	t.Log(tally)
	require.GreaterOrEqual(t, tally["both accept"], 30)
	require.GreaterOrEqual(t, tally["both refuse"], mutations/2)
}
