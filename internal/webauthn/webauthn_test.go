package webauthn_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/webauthn"
	"github.com/seed-215b9b7c/backend/internal/webauthn/softkey"
)

const origin = "https://login.example.org"

var (
	rp        = webauthn.RP{ID: "example.org", Origins: []string{"https://example.org", origin}}
	challenge = []byte("0123456789abcdef")
	user      = webauthn.User{ID: []byte{1, 2, 3}, Name: "ada@example.org", DisplayName: "Ada"}
)

type object = map[string]any

func encode(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	return data
}

// decode returns the response of a browser after edit changed it as JSON.
func decode[R any](t testing.TB, data []byte, edit func(object)) (response R, err error) {
	t.Helper()
	if edit != nil {
		var members object
		require.NoError(t, json.Unmarshal(data, &members))
		edit(members)
		data = encode(t, members)
	}
	err = json.Unmarshal(data, &response)
	return response, err
}

// change is what a row changes of a ceremony that succeeds.
type change struct {
	key       func(*softkey.Key)
	response  func(object)
	rp        func(*webauthn.RP)
	stored    func(*webauthn.Credential)
	challenge []byte // of the server, when it verifies
	origin    string
	requireUV bool
}

func newKey(t testing.TB, alg int) *softkey.Key {
	t.Helper()
	key, err := softkey.New(alg)
	require.NoError(t, err)
	return key
}

// prepare applies what is the same in both ceremonies.
func (c change) prepare(key *softkey.Key) (webauthn.RP, []byte, string) {
	party, expected, page := rp, challenge, origin
	if c.key != nil {
		c.key(key)
	}
	if c.rp != nil {
		c.rp(&party)
	}
	if c.challenge != nil {
		expected = c.challenge
	}
	if c.origin != "" {
		page = c.origin
	}
	return party, expected, page
}

func (c change) register(t testing.TB, key *softkey.Key) (webauthn.Credential, error) {
	t.Helper()
	party, expected, page := c.prepare(key)
	answer, err := key.Create(encode(t, rp.CreationOptions(challenge, user, "", nil)), page)
	require.NoError(t, err)
	response, err := decode[webauthn.RegistrationResponse](t, answer, c.response)
	if err != nil {
		return webauthn.Credential{}, err
	}
	return party.Register(expected, response, c.requireUV)
}

func (c change) assert(t testing.TB, key *softkey.Key, credential webauthn.Credential) (webauthn.Assertion, error) {
	t.Helper()
	party, expected, page := c.prepare(key)
	if c.stored != nil {
		c.stored(&credential)
	}
	answer, err := key.Get(encode(t, rp.RequestOptions(challenge, "", nil)), page)
	require.NoError(t, err)
	response, err := decode[webauthn.AuthenticationResponse](t, answer, c.response)
	if err != nil {
		return webauthn.Assertion{}, err
	}
	return party.Assert(expected, credential, response, c.requireUV)
}

func replace(from, to string) func([]byte) []byte {
	return func(data []byte) []byte { return bytes.Replace(data, []byte(from), []byte(to), 1) }
}

func setFlags(set, clear byte) func([]byte) []byte {
	return func(data []byte) []byte { data[32] = data[32]&^clear | set; return data }
}

func appended(more ...byte) func([]byte) []byte {
	return func(data []byte) []byte { return append(data, more...) }
}

func client(from, to string) func(*softkey.Key) {
	return func(k *softkey.Key) { k.EditClientData = replace(from, to) }
}

func auth(edit func([]byte) []byte) func(*softkey.Key) {
	return func(k *softkey.Key) { k.EditAuthData = edit }
}

func attestation(edit func([]byte) []byte) func(*softkey.Key) {
	return func(k *softkey.Key) { k.EditAttestation = edit }
}

func set(name string, value any) func(object) { return func(o object) { o[name] = value } }

func inner(name string, value any) func(object) {
	return func(o object) { o["response"].(object)[name] = value }
}

// decodeInner changes bytes of the response that nobody signs anew.
func decodeInner(name string, edit func([]byte) []byte) func(object) {
	return func(o object) {
		response := o["response"].(object)
		data, _ := base64.RawURLEncoding.DecodeString(response[name].(string))
		response[name] = base64.RawURLEncoding.EncodeToString(edit(data))
	}
}

func encoded(length int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, length)) }

const (
	up, uv, be, bs, at, ed = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
)

type row struct {
	name   string
	change change
	want   string // in the error; none is expected if it is empty
}

// both are the rows of checks that both ceremonies make.
var both = []row{
	{"nothing changed", change{}, ""},
	{"the other origin", change{origin: "https://example.org"}, ""},
	{"user verified, and that demanded", change{requireUV: true}, ""},
	{"user not verified", change{key: auth(setFlags(0, uv))}, ""},
	{"reserved flags", change{key: auth(setFlags(0x22, 0))}, ""},
	{"backed up", change{key: auth(setFlags(be|bs, 0))}, ""},
	{"eligible for backups", change{key: auth(setFlags(be, 0))}, ""},
	{"no crossOrigin, as of Level 1", change{key: client(`,"crossOrigin":false`, ``)}, ""},
	{"more members of client data", change{key: client(`{`, `{"extra":{"challenge":1},`)}, ""},
	{"authenticatorAttachment null", change{response: set("authenticatorAttachment", nil)}, ""},
	{"unknown members of the response", change{response: set("new", 1)}, ""},

	{"type of the other ceremony, 1", change{key: client("webauthn.create", "webauthn.get")}, "type is"},
	{"type of a payment", change{key: func(k *softkey.Key) {
		k.EditClientData = func(data []byte) []byte {
			return replace("webauthn.get", "payment.get")(replace("create", "get")(data))
		}
	}}, "type is"},
	{"challenge of another session", change{challenge: []byte("fedcba9876543210")}, "challenge is another"},
	{"challenge with padding", change{key: client(`lZg"`, `lZg=="`)}, "challenge is another"},
	{"no challenge", change{key: client(`"challenge"`, `"x"`)}, "challenge is not a string"},
	{"origin of a stranger", change{origin: "https://evil.example"}, `the origin "https://evil.example" is not one of ["https://example.org" "https://login.example.org"]`},
	{"origin of another subdomain", change{origin: "https://x.example.org"}, "origin"},
	{"origin that begins alike", change{origin: "https://example.org.evil.example"}, "origin"},
	{"origin in capitals", change{origin: "https://EXAMPLE.org"}, "origin"},
	{"origin with a port", change{origin: "https://example.org:8443"}, "origin"},
	{"origin with a slash", change{origin: "https://example.org/"}, "origin"},
	{"origin without TLS", change{origin: "http://example.org"}, "origin"},
	{"origin null", change{origin: "null"}, "origin"},
	{"cross origin", change{key: client(`"crossOrigin":false`, `"crossOrigin":true`)}, "frame of another origin"},
	{"top origin", change{key: client(`"crossOrigin":false`, `"topOrigin":"https://example.com"`)}, "frame of another origin"},
	{"top origin that is the same", change{key: client(`false}`, `false,"topOrigin":"https://login.example.org"}`)}, "frame of another origin"},
	{"client data that is no JSON", change{key: client(`}`, ``)}, "not a JSON object"},
	{"another relying party", change{rp: func(rp *webauthn.RP) { rp.ID = "login.example.org" }}, "not for the relying party"},
	{"user not present", change{key: auth(setFlags(0, up))}, "not present"},
	{"user not verified where demanded", change{key: auth(setFlags(0, uv)), requireUV: true}, "not verified"},
	{"backed up and not eligible", change{key: auth(setFlags(bs, 0))}, "not eligible"},
	{"one byte more", change{key: auth(appended(0))}, "bytes follow"},
	{"flag of extensions without them", change{key: auth(setFlags(ed, 0))}, "CBOR"},
	{"extensions that are a list", change{key: auth(func(data []byte) []byte { return append(setFlags(ed, 0)(data), 0x80) })}, "not a CBOR map"},
	{"extensions, and one byte more", change{key: auth(func(data []byte) []byte { return append(setFlags(ed, 0)(data), 0xa0, 0) })}, "1 bytes follow"},
	{"extensions", change{key: auth(func(data []byte) []byte { return append(setFlags(ed, 0)(data), 0xa1, 0x61, 'x', 0xf5) })}, ""},

	{"another type", change{response: set("type", "password")}, "type is"},
	{"no type", change{response: func(o object) { delete(o, "type") }}, "type is"},
	{"another id", change{response: set("id", encoded(32))}, "id and rawId differ"},
	{"another rawId", change{response: func(o object) { o["id"], o["rawId"] = encoded(32), encoded(32) }}, "rawId is not the ID"},
	{"no rawId", change{response: func(o object) { o["id"], o["rawId"] = "", "" }}, "rawId has 0 bytes"},
	{"rawId of 1024 bytes", change{response: func(o object) { o["id"], o["rawId"] = encoded(1024), encoded(1024) }}, "rawId has 1024 bytes"},
	{"rawId with padding", change{response: func(o object) { o["rawId"] = o["rawId"].(string) + "=" }}, "not base64url without padding"},
	{"client data with a line break", change{response: func(o object) {
		response := o["response"].(object)
		response["clientDataJSON"] = "\n" + response["clientDataJSON"].(string)
	}}, "not base64url without padding"},
	{"client data in the alphabet of base64", change{response: inner("clientDataJSON", "++//")}, "not base64url without padding"},
	{"client data with unused bits", change{response: inner("clientDataJSON", "AB")}, "not base64url without padding"},
	{"client data of more than 16 KiB", change{key: client(`{`, `{`+strings.Repeat(" ", 16<<10))}, "more than 16384 bytes"},
	{"client data of a MiB", change{response: inner("clientDataJSON", encoded(1<<20))}, "characters"},
	{"no client data", change{response: inner("clientDataJSON", nil)}, "not a JSON object"},
	{"response null", change{response: set("response", nil)}, "not a JSON object"},

	{"relying party without an ID", change{rp: func(rp *webauthn.RP) { rp.ID = "" }}, "no ID or no origins"},
	{"relying party without origins", change{rp: func(rp *webauthn.RP) { rp.Origins = nil }}, "no ID or no origins"},
	{"short challenge", change{challenge: []byte("0123456789abcde")}, "less than 16 bytes"},
	{"no challenge at the server", change{challenge: []byte{}}, "less than 16 bytes"},
}

// statement replaces the format none and its empty statement by others in CBOR.
func statement(format, cbor string) func(*softkey.Key) {
	return attestation(func(object []byte) []byte {
		object = replace("\x64none", string(rune(0x60+len(format)))+format)(object)
		return replace("attStmt\xa0", "attStmt"+cbor)(object)
	})
}

func TestRegister(t *testing.T) {
	t.Parallel()
	const idAt = 37 + 16 // of the length of the credential's ID
	rows := slices.Concat(both, []row{
		{"another format, which is not verified", change{key: statement("packed", "\xa1\x61x\x40")}, ""},
		{"an unknown format", change{key: statement("new", "\xa0")}, ""},
		{"format none with a statement", change{key: statement("none", "\xa1\x61x\x40")}, "statement is not empty"},
		{"statement that is a list", change{key: statement("packed", "\x80")}, "not a CBOR map of fmt"},
		{"format that is no text", change{key: attestation(replace("\x64none", "\x44none"))}, "not a CBOR map of fmt"},
		{"no format", change{key: attestation(replace("\x63fmt", "\x63xxx"))}, "not a CBOR map of fmt"},
		{"no statement", change{key: attestation(replace("attStmt", "attstmt"))}, "not a CBOR map of fmt"},
		{"no authenticator data", change{key: attestation(replace("authData", "authdata"))}, "not a CBOR map of fmt"},
		{"attestation object that is a list", change{key: attestation(func([]byte) []byte { return []byte{0x80} })}, "not a CBOR map of fmt"},
		{"attestation object, and one byte more", change{key: attestation(appended(0))}, "1 bytes follow the attestation object"},
		{"no attestation object", change{response: inner("attestationObject", "")}, "CBOR"},
		{"attestation object of more than 64 KiB", change{response: inner("attestationObject", encoded(64<<10+1))}, "characters"},
		{"no credential", change{key: auth(func(data []byte) []byte { return setFlags(0, at)(data[:37]) })}, "no credential"},
		{"flag of a credential without it", change{key: auth(func(data []byte) []byte { return data[:37] })}, "ends early"},
		{"credential without its flag", change{key: auth(setFlags(0, at))}, "bytes follow"},
		{"credential ID of no bytes", change{key: auth(func(data []byte) []byte { data[idAt+1] = 0; return data })}, "credential ID's length is 0"},
		{"credential ID of 1024 bytes", change{key: func(k *softkey.Key) { k.ID = make([]byte, 1024) }}, "rawId has 1024 bytes"},
		{"credential ID of 1024 bytes inside", change{key: auth(func(data []byte) []byte { data[idAt], data[idAt+1] = 4, 0; return append(data, make([]byte, 1024)...) })}, "credential ID's length is 1024"},
		{"credential ID longer than the data", change{key: auth(func(data []byte) []byte { data[idAt], data[idAt+1] = 3, 0; return data })}, "credential ID's length is 768"},
		{"credential ID of 1023 bytes", change{key: func(k *softkey.Key) { k.ID = bytes.Repeat([]byte{7}, 1023) }}, ""},
		{"algorithm that was not offered", change{key: auth(replace("\x01\x02\x03\x26", "\x01\x02\x03\x27"))}, "not that of its algorithm"},
		{"ES512", change{key: auth(replace("\x01\x02\x03\x26", "\x01\x02\x03\x38\x23"))}, "not offered"},
		{"duplicate key", change{key: auth(replace("\xa5\x01\x02", "\xa6\x01\x02\x01\x02"))}, "twice"},
		{"no transports", change{response: inner("transports", nil)}, ""},
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := row.change.register(t, newKey(t, webauthn.ES256))
			checkError(t, row.want, err)
		})
	}
}

// checkError also looks for what no error may have, the challenge.
func checkError(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, want)
	require.ErrorAs(t, err, new(*webauthn.Error))
	require.Contains(t, err.Error(), "webauthn: ")
	require.NotContains(t, err.Error(), "0123456789abcdef")
	require.NotContains(t, err.Error(), "MDEyMzQ1Njc4OWFiY2RlZg")
	require.Less(t, len(err.Error()), 600)
}

func TestAssert(t *testing.T) {
	t.Parallel()
	other := newKey(t, webauthn.ES256)
	otherStored, err := change{}.register(t, other)
	require.NoError(t, err)
	rows := slices.Concat(both[:11], both[12:], []row{ // without the row that changes webauthn.create
		{"type of the other ceremony", change{key: client("webauthn.get", "webauthn.create")}, "type is"},
		{"signature with a bit changed", change{key: func(k *softkey.Key) {
			k.EditSignature = func(data []byte) []byte { data[len(data)-1] ^= 1; return data }
		}}, "signature is not"},
		{"no signature", change{response: inner("signature", "")}, "signature is not"},
		{"signature of 1025 bytes", change{response: inner("signature", encoded(1025))}, "more than 1024 bytes"},
		{"signature, and one byte more", change{key: func(k *softkey.Key) { k.EditSignature = appended(0) }}, "signature is not"},
		{"client data changed after signing", change{response: decodeInner("clientDataJSON", replace(`{`, `{ `))}, "signature is not"},
		{"authenticator data changed after signing", change{response: decodeInner("authenticatorData", setFlags(be, 0))}, "signature is not"},
		{"counter changed after signing", change{response: decodeInner("authenticatorData", func(data []byte) []byte { data[36]++; return data })}, "signature is not"},
		{"authenticator data of 36 bytes", change{key: auth(func(data []byte) []byte { return data[:36] })}, "has 36 bytes"},
		{"no authenticator data", change{response: inner("authenticatorData", "")}, "has 0 bytes"},
		{"key of another credential", change{stored: func(c *webauthn.Credential) { c.PublicKey = otherStored.PublicKey }}, "signature is not"},
		{"another credential", change{stored: func(c *webauthn.Credential) { *c = otherStored }}, "rawId is not the ID"},
		{"stored key that is cut", change{stored: func(c *webauthn.Credential) { c.PublicKey = c.PublicKey[:20] }}, "CBOR"},
		{"no stored key", change{stored: func(c *webauthn.Credential) { c.PublicKey = nil }}, "CBOR"},
		{"stored algorithm of another key", change{stored: func(c *webauthn.Credential) { c.Alg = webauthn.RS256 }}, "algorithm is -7"},
		{"user handle null", change{response: inner("userHandle", nil)}, ""},
		{"user handle of 65 bytes", change{response: inner("userHandle", encoded(65))}, "user handle has 65 bytes"},
		{"flag of a credential without it", change{key: auth(setFlags(at, 0))}, "ends early"},
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, webauthn.ES256)
			credential, err := change{}.register(t, key)
			require.NoError(t, err)
			_, err = row.change.assert(t, key, credential)
			checkError(t, row.want, err)
		})
	}
}

func TestCeremonies(t *testing.T) {
	t.Parallel()
	for name, alg := range map[string]int{"EdDSA": webauthn.EdDSA, "ES256": webauthn.ES256, "RS256": webauthn.RS256} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, alg)
			key.AAGUID, key.Count, key.BE = [16]byte{1, 2}, 5, true
			credential, err := change{}.register(t, key)
			require.NoError(t, err)
			require.NotEmpty(t, credential.PublicKey)
			require.Equal(t, webauthn.Credential{
				ID: key.ID, PublicKey: credential.PublicKey, Alg: alg, SignCount: 5, UserVerified: true, BackupEligible: true,
				Transports: []string{"internal", "hybrid"}, AAGUID: [16]byte{1, 2},
			}, credential)

			key.BS, key.UV = true, false
			assertion, err := change{}.assert(t, key, credential)
			require.NoError(t, err)
			require.Equal(t, webauthn.Assertion{UserHandle: user.ID, SignCount: 6, BackedUp: true, BackupEligible: true}, assertion)

			_, err = change{key: func(k *softkey.Key) {
				k.EditSignature = func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
			}}.assert(t, key, credential)
			require.ErrorContains(t, err, "signature is not")
		})
	}
}

// WebAuthn Level 3, section 7.2, step 22.
func TestCounter(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name         string
		stored, next uint32
		suspect      bool
	}{
		{"does not count", 0, 0, false},
		{"grows", 7, 8, false},
		{"grows by much", 7, 1 << 31, false},
		{"begins to count", 0, 1, false},
		{"stays", 7, 7, true},
		{"falls", 7, 6, true},
		{"ceases to count", 7, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, webauthn.EdDSA)
			key.Count = row.stored
			credential, err := change{}.register(t, key)
			require.NoError(t, err)
			key.Count = row.next
			if row.next != 0 {
				key.Count-- // Get adds one
			}
			key.EditAuthData = func(data []byte) []byte { data[36] = byte(row.next); return data }
			assertion, err := change{}.assert(t, key, credential)
			require.NoError(t, err)
			require.Equal(t, row.next, assertion.SignCount)
			require.Equal(t, row.suspect, assertion.CountSuspect)
		})
	}
}

func TestBackupFlagsMayChange(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name           string
		be, bs         bool // in the registration
		nextBE, nextBS bool
		changed        bool
	}{
		{"nothing", true, false, true, false, false},
		{"backed up", true, false, true, true, false},
		{"no more backed up", true, true, true, false, false},
		{"becomes eligible", false, false, true, false, true},
		{"becomes eligible and backed up", false, false, true, true, true},
		{"ceases to be", true, true, false, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, webauthn.EdDSA)
			key.BE, key.BS = row.be, row.bs
			credential, err := change{}.register(t, key)
			require.NoError(t, err)
			require.Equal(t, []bool{row.be, row.bs}, []bool{credential.BackupEligible, credential.BackedUp})
			key.BE, key.BS = row.nextBE, row.nextBS
			assertion, err := change{}.assert(t, key, credential)
			require.NoError(t, err)
			require.Equal(t, []bool{row.nextBE, row.nextBS, row.changed},
				[]bool{assertion.BackupEligible, assertion.BackedUp, assertion.BackupEligibleChanged})
		})
	}
}

func TestTransportsAreCleaned(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		sent []string
		want []string
	}{
		{name: "all of Level 3", sent: []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}, want: []string{"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}},
		{name: "unknown ones are kept", sent: []string{"cable", "usb"}, want: []string{"cable", "usb"}},
		{name: "duplicates are not", sent: []string{"usb", "usb"}, want: []string{"usb"}},
		{name: "what cannot be one is not", sent: []string{"", "USB", "<b>", "a b", "ü", strings.Repeat("a", 33)}},
		{name: "at most 8", sent: strings.Split("a b c d e f g h i j", " "), want: strings.Split("a b c d e f g h", " ")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			credential, err := change{response: inner("transports", row.sent)}.register(t, newKey(t, webauthn.EdDSA))
			require.NoError(t, err)
			require.Equal(t, row.want, credential.Transports)
		})
	}
}

// The members and their types are those of WebAuthn Level 3, sections 5.1.8 and 5.1.9.
func TestOptions(t *testing.T) {
	t.Parallel()
	known := []webauthn.Credential{{ID: []byte{0xfb, 0xff}, Transports: []string{"usb"}}, {ID: []byte{1}}}
	require.JSONEq(t, `{
		"rp": {"id": "example.org", "name": "example.org"},
		"user": {"id": "AQID", "name": "ada@example.org", "displayName": "Ada"},
		"challenge": "MDEyMzQ1Njc4OWFiY2RlZg",
		"pubKeyCredParams": [{"type": "public-key", "alg": -8}, {"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}],
		"timeout": 300000,
		"excludeCredentials": [{"type": "public-key", "id": "-_8", "transports": ["usb"]}, {"type": "public-key", "id": "AQ"}],
		"authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "preferred"},
		"attestation": "none",
		"extensions": {"credProps": true}
	}`, string(encode(t, rp.CreationOptions(challenge, user, "", known))))
	require.JSONEq(t, `{"challenge": "MDEyMzQ1Njc4OWFiY2RlZg", "timeout": 300000, "rpId": "example.org", "allowCredentials": [], "userVerification": "required"}`,
		string(encode(t, rp.RequestOptions(challenge, webauthn.Required, nil))))
}

func TestSoftKeyKeepsToTheOptions(t *testing.T) {
	t.Parallel()
	key := newKey(t, webauthn.ES256)
	credential, err := change{}.register(t, key)
	require.NoError(t, err)
	_, err = key.Create(encode(t, rp.CreationOptions(challenge, user, "", []webauthn.Credential{credential})), origin)
	require.ErrorContains(t, err, "excluded")
	_, err = key.Get(encode(t, rp.RequestOptions(challenge, "", []webauthn.Credential{{ID: []byte{1}}})), origin)
	require.ErrorContains(t, err, "not allowed")
	_, err = key.Get(encode(t, rp.RequestOptions(challenge, "", []webauthn.Credential{credential})), origin)
	require.NoError(t, err)
	_, err = key.Create([]byte(`{"pubKeyCredParams":[{"alg":-8}]}`), origin)
	require.ErrorContains(t, err, "not offered")
	_, err = softkey.New(-35)
	require.ErrorContains(t, err, "unknown")
}

// A decoder that refuses unknown members takes what browsers send: all members of
// section 5.1's dictionaries, and null where there is nothing.
func TestResponsesAreDecodedStrictly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"registration": `{"id":"AQ","rawId":"AQ","type":"public-key","authenticatorAttachment":null,"clientExtensionResults":{"credProps":{"rk":true}},
			"response":{"clientDataJSON":"AQ","authenticatorData":"AQ","transports":["usb"],"publicKey":null,"publicKeyAlgorithm":-7,"attestationObject":"AQ"}}`,
		"authentication": `{"id":"AQ","rawId":"AQ","type":"public-key","authenticatorAttachment":"platform","clientExtensionResults":{},
			"response":{"clientDataJSON":"AQ","authenticatorData":"AQ","signature":"AQ","userHandle":null}}`,
	} {
		var registration webauthn.RegistrationResponse
		var authentication webauthn.AuthenticationResponse
		target := map[string]any{"registration": &registration, "authentication": &authentication}[name]
		require.NoError(t, jsonv2.Unmarshal([]byte(text), target, jsonv2.RejectUnknownMembers(true)), name)
		for _, id := range []webauthn.Base64URL{registration.RawID, authentication.RawID} {
			require.True(t, id == nil || bytes.Equal(id, []byte{1}), name)
		}
		data, err := jsonv2.Marshal(target)
		require.NoError(t, err)
		require.Contains(t, string(data), `"rawId":"AQ"`)
	}
}

// FuzzResponses decodes and verifies what no browser would send.
func FuzzResponses(f *testing.F) {
	key := newKey(f, webauthn.ES256)
	credential, err := change{}.register(f, key)
	require.NoError(f, err)
	created, err := key.Create(encode(f, rp.CreationOptions(challenge, user, "", nil)), origin)
	require.NoError(f, err)
	got, err := key.Get(encode(f, rp.RequestOptions(challenge, "", nil)), origin)
	require.NoError(f, err)
	f.Add(created)
	f.Add(got)
	f.Fuzz(func(t *testing.T, data []byte) {
		if response, err := decode[webauthn.RegistrationResponse](t, data, nil); err == nil {
			if accepted, err := rp.Register(challenge, response, false); err == nil {
				require.Equal(t, []byte(response.RawID), accepted.ID)
			}
		}
		if response, err := decode[webauthn.AuthenticationResponse](t, data, nil); err == nil {
			_, _ = rp.Assert(challenge, credential, response, false)
		}
	})
}
