package webauthn

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
)

// This file checks client data (WebAuthn Level 3, section 5.8.1), which the browser
// writes and the authenticator signs.

const maxClientData = 16 << 10

// The types of client data.
const (
	typeCreate = "webauthn.create"
	typeGet    = "webauthn.get"
)

// clientData has the members that are checked.
type clientData struct {
	kind, challenge, origin string
	crossOrigin, topOrigin  bool // topOrigin: it has one
}

// parseClientData parses as the specification says, which is as JSON.parse does:
// names are compared by their case, a later duplicate replaces an earlier one, and
// other members are ignored. A byte order mark is skipped, and bytes that are not
// UTF-8 are replaced.
func parseClientData(data []byte) (clientData, error) {
	if len(data) > maxClientData {
		return clientData{}, errorf("the client data has more than %d bytes", maxClientData)
	}
	var members map[string]json.RawMessage // a struct would ignore the case of names
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &members); err != nil {
		return clientData{}, errorf("the client data is not a JSON object")
	}
	var parsed clientData
	for name, target := range map[string]*string{"type": &parsed.kind, "challenge": &parsed.challenge, "origin": &parsed.origin} {
		if err := json.Unmarshal(members[name], target); err != nil {
			return clientData{}, errorf("the client data's %s is not a string", name)
		}
	}
	if cross, ok := members["crossOrigin"]; ok {
		if err := json.Unmarshal(cross, &parsed.crossOrigin); err != nil {
			return clientData{}, errorf("the client data's crossOrigin is not a boolean")
		}
	}
	top, ok := members["topOrigin"]
	parsed.topOrigin = ok && string(top) != "null"
	return parsed, nil
}

// checkClientData makes the checks of client data that sections 7.1 and 7.2 share.
func (rp RP) checkClientData(data []byte, kind string, challenge []byte) error {
	parsed, err := parseClientData(data)
	if err != nil {
		return err
	}
	if parsed.kind != kind {
		return errorf("the client data's type is %.80q and not %q", parsed.kind, kind)
	}
	want := base64.RawURLEncoding.EncodeToString(challenge)
	if subtle.ConstantTimeCompare([]byte(parsed.challenge), []byte(want)) != 1 {
		return errorf("the challenge is another one")
	}
	if !slices.Contains(rp.Origins, parsed.origin) {
		return errorf("the origin %.200q is not one of %q", parsed.origin, rp.Origins)
	}
	if parsed.crossOrigin || parsed.topOrigin {
		return errorf("the page was in a frame of another origin")
	}
	return nil
}
