package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// Authenticate identifies the caller by the token in the header Authorization. The
// specification has the scheme Token; tools know Bearer.
func (a *App) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return backend.Caller{}, nil
	}
	refused := about(backend.Unauthenticated, "token", "is not valid")
	scheme, token, _ := strings.Cut(header, " ")
	id, valid := a.tokens.Subject(token, time.Now())
	if !valid || !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
		return backend.Caller{}, refused
	}
	user, err := backend.Maybe[User](ctx, a.db, "SELECT * FROM users WHERE id = ?", id)
	if err != nil || user == nil {
		return backend.Caller{}, cmp.Or(err, error(refused))
	}
	return backend.Caller{ID: id, Method: "token", Account: user}, nil
}

// SecuritySchemes describes what Authenticate accepts.
func (a *App) SecuritySchemes() []backend.SecurityScheme {
	return []backend.SecurityScheme{{Name: "token", HTTP: "Token"}, {Name: "bearer", HTTP: "Bearer", Format: "JWT"}}
}

// Tokens is the key of JSON Web Tokens (RFC 7519) that are signed with HMAC-SHA-256.
type Tokens []byte

// tokenLifetime is how long a token is valid.
const tokenLifetime = 30 * 24 * time.Hour

var (
	jwtText   = base64.RawURLEncoding.Strict()
	jwtHeader = jwtText.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))
)

// New returns a token of an account.
func (t Tokens) New(account backend.AccountID, now time.Time) string {
	claims := fmt.Sprintf(`{"sub":%q,"exp":%d}`, account, now.Add(tokenLifetime).Unix())
	return t.signed(jwtText.EncodeToString([]byte(claims)))
}

// Subject returns the account that a token was made for, and reports whether the token is
// valid. It must have the header of New, so no token chooses another algorithm, or none.
func (t Tokens) Subject(token string, now time.Time) (backend.AccountID, bool) {
	payload := strings.Split(token+"..", ".")[1]
	text, err := jwtText.DecodeString(payload)
	var claims struct {
		Sub backend.AccountID
		Exp int64 // in seconds since 1970
	}
	valid := hmac.Equal([]byte(token), []byte(t.signed(payload))) && err == nil && json.Unmarshal(text, &claims) == nil
	return claims.Sub, valid && now.Unix() < claims.Exp
}

// signed returns the token with a payload.
func (t Tokens) signed(payload string) string {
	mac, text := hmac.New(sha256.New, t), jwtHeader+"."+payload
	mac.Write([]byte(text))
	return text + "." + jwtText.EncodeToString(mac.Sum(nil))
}
