package main

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend"
)

// accountOperations are the operations of accounts and profiles. Those that hash a
// password do so outside of a transaction, so that no other writer waits for them. Of
// several calls of follow at the same time, one stores a row: the transactions are
// serializable, and those that lose run again.
func (a *App) accountOperations() []backend.Definition {
	tag, rate, once, ok := backend.Tags("accounts"), backend.Rate(60, time.Minute), backend.Tx(backend.Serializable), backend.Status(http.StatusOK)
	return []backend.Definition{
		backend.Mutation("register", backend.Public, a.Register, backend.Route("POST /users"), tag, rate, backend.OutsideTx(), backend.IgnoreUnknown()),
		backend.Mutation("login", backend.Public, a.Login, backend.Route("POST /users/login"), tag, rate, backend.OutsideTx(), backend.IgnoreUnknown(), ok),
		backend.Query("user", backend.SignedIn, a.User, backend.Route("GET /user"), tag),
		backend.Mutation("updateUser", backend.SignedIn, a.UpdateUser, backend.Route("PUT /user"), tag, backend.OutsideTx(), backend.IgnoreUnknown()),
		backend.Query("profile", backend.Public, a.Profile, backend.Route("GET /profiles/{username}"), tag),
		backend.Mutation("follow", backend.SignedIn, a.Follow, backend.Route("POST /profiles/{username}/follow"), tag, once, ok),
		backend.Mutation("unfollow", backend.SignedIn, a.Unfollow, backend.Route("DELETE /profiles/{username}/follow"), tag),
	}
}

// User is an account as it is stored, and as its owner sees it.
type User struct {
	ID           int64   `db:"id" json:"-"`
	Username     string  `db:"username" json:"username" example:"jake"`
	Email        string  `db:"email" json:"email" example:"jake@example.com"`
	PasswordHash string  `db:"password_hash" json:"-"`
	Bio          *string `db:"bio" json:"bio"`
	Image        *string `db:"image" json:"image"`
	Token        string  `json:"token" doc:"for the header Authorization: Token TOKEN"`
}

// UserOutput is the account of the caller.
type UserOutput struct {
	User User `json:"user"`
}

// signedIn adds a new token to an account.
func (a *App) signedIn(user User, err error) (UserOutput, error) {
	user.Token = a.tokens.New(backend.AccountIDOf(user.ID), time.Now())
	return UserOutput{user}, err
}

// Register is a new account.
type Register struct {
	User struct {
		Username string `json:"username" validate:"required,max=50" example:"jake"`
		Email    string `json:"email" validate:"required,email,max=200" example:"jake@example.com"`
		Password string `json:"password" validate:"required,min=8,max=200" example:"jakesecret"`
	} `json:"user"`
}

// Register stores a new account.
func (a *App) Register(ctx context.Context, in Register) (UserOutput, error) {
	hash, err := a.passwords.Hash(ctx, in.User.Password)
	if err != nil {
		return UserOutput{}, err
	}
	user, err := backend.One[User](ctx, a.db, "INSERT INTO users (username, email, password_hash, updated_at) VALUES (?, ?, ?, ?) RETURNING *",
		in.User.Username, strings.ToLower(in.User.Email), hash, time.Now())
	return a.signedIn(user, err)
}

// Login has the credentials of an account.
type Login struct {
	User struct {
		Email    string `json:"email" validate:"required" example:"jake@example.com"`
		Password string `json:"password" validate:"required,max=200" example:"jakesecret"`
	} `json:"user"`
}

// Login returns the account with these credentials. It takes as long for an address
// without an account, so that nobody learns which addresses have one.
func (a *App) Login(ctx context.Context, in Login) (UserOutput, error) {
	user, err := backend.One[User](ctx, a.db, "SELECT * FROM users WHERE email = ?", strings.ToLower(in.User.Email))
	if err != nil && backend.CodeOf(err) != backend.NotFound {
		return UserOutput{}, err
	}
	if ok, err := a.passwords.Verify(ctx, user.PasswordHash, in.User.Password); err != nil {
		return UserOutput{}, err
	} else if !ok {
		return UserOutput{}, about(backend.Unauthenticated, "credentials", "invalid")
	}
	return a.signedIn(user, nil)
}

// User returns the account of the caller.
func (a *App) User(ctx context.Context, _ backend.None) (UserOutput, error) {
	user, _ := backend.AccountFrom[*User](ctx)
	return a.signedIn(*user, nil)
}

// UpdateUser has the changes of an account. Front ends send an empty password to keep the
// old one, and an empty bio or image to remove it.
type UpdateUser struct {
	User struct {
		Username backend.Opt[string] `json:"username,omitzero" validate:"omitempty,notempty,max=50"`
		Email    backend.Opt[string] `json:"email,omitzero" validate:"omitempty,notempty,email,max=200"`
		Password backend.Opt[string] `json:"password,omitzero" validate:"omitempty,max=200"`
		Bio      backend.Opt[string] `json:"bio,omitzero" validate:"omitempty,max=1000"`
		Image    backend.Opt[string] `json:"image,omitzero" validate:"omitempty,max=1000"`
	} `json:"user"`
}

// UpdateUser changes the account of the caller.
func (a *App) UpdateUser(ctx context.Context, in UpdateUser) (UserOutput, error) {
	id, user, hash, err := backend.CallerFrom(ctx).ID, in.User, "", error(nil)
	switch length := utf8.RuneCountInString(user.Password.V); {
	case length >= 8:
		if hash, err = a.passwords.Hash(ctx, user.Password.V); err != nil {
			return UserOutput{}, err
		}
	case length > 0:
		return UserOutput{}, about(backend.Invalid, "password", "must have at least 8 characters")
	}
	user.Email.V = strings.ToLower(user.Email.V)
	changes := backend.JoinSQL(", ",
		backend.SQL("updated_at = ?", time.Now()),
		backend.SQLIf(hash != "", "password_hash = ?", hash),
		backend.SQLIf(user.Username.Present, "username = ?", user.Username),
		backend.SQLIf(user.Email.Present, "email = ?", user.Email),
		backend.SQLIf(user.Bio.Present, "bio = NULLIF(?, '')", user.Bio),
		backend.SQLIf(user.Image.Present, "image = NULLIF(?, '')", user.Image))
	if _, err := a.db.Exec(ctx, "UPDATE users SET ? WHERE id = ?", changes, id); err != nil {
		return UserOutput{}, err
	}
	return a.signedIn(backend.One[User](ctx, a.db, "SELECT * FROM users WHERE id = ?", id))
}

// Username names an account.
type Username struct {
	Username string `json:"username"`
}

// Profile is an account as others see it.
type Profile struct {
	Username  string  `db:"username" json:"username" example:"jake"`
	Bio       *string `db:"bio" json:"bio"`
	Image     *string `db:"image" json:"image"`
	Following bool    `db:"following" json:"following" doc:"whether the caller follows the account"`
}

// ProfileOutput is a profile.
type ProfileOutput struct {
	Profile Profile `json:"profile"`
}

// following is the condition that the caller follows the account of the row u.
func following(ctx context.Context) backend.Fragment {
	return backend.SQL("EXISTS (SELECT 1 FROM follows WHERE followed_id = u.id AND follower_id = ?)", backend.CallerFrom(ctx).ID)
}

// Profile returns the profile of an account.
func (a *App) Profile(ctx context.Context, in Username) (ProfileOutput, error) {
	profile, err := backend.One[Profile](ctx, a.db,
		"SELECT u.username, u.bio, u.image, ? AS following FROM users u WHERE u.username = ?", following(ctx), in.Username)
	return ProfileOutput{profile}, missing("profile", err)
}

// Follow makes the caller follow an account, once.
func (a *App) Follow(ctx context.Context, in Username) (ProfileOutput, error) {
	if _, err := a.db.Exec(ctx, `INSERT INTO follows (follower_id, followed_id)
		SELECT ?, u.id FROM users u WHERE u.username = ? AND NOT ?`,
		backend.CallerFrom(ctx).ID, in.Username, following(ctx)); err != nil {
		return ProfileOutput{}, err
	}
	return a.Profile(ctx, in)
}

// Unfollow ends what Follow began.
func (a *App) Unfollow(ctx context.Context, in Username) (ProfileOutput, error) {
	if _, err := a.db.Exec(ctx, "DELETE FROM follows WHERE follower_id = ? AND followed_id IN (SELECT id FROM users WHERE username = ?)",
		backend.CallerFrom(ctx).ID, in.Username); err != nil {
		return ProfileOutput{}, err
	}
	return a.Profile(ctx, in)
}
