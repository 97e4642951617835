package backend

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/seed-215b9b7c/backend/internal/passhash"
)

// This file hashes and verifies passwords.

// PasswordConfig configures [NewPasswordHasher]. Negative values panic.
type PasswordConfig struct {
	// Memory bounds the memory in bytes that all hashes take at once. Each takes 19 MiB. A hash
	// of another program that takes more than all of it is verified alone. Defaults to 19 MiB
	// for each processor: more at once are not faster.
	Memory int64
	// QueueWait is how long a hash waits for memory before it is [Unavailable]. Defaults to
	// 2 seconds.
	QueueWait time.Duration
}

// PasswordHasher hashes passwords with argon2id: 19 MiB, 2 passes, 1 thread, the parameters
// of OWASP ASVS 5.0, appendix C. It verifies such hashes, and those of other programs:
// argon2id and argon2i with other parameters, bcrypt, and pbkdf2 as Django writes it. One
// hash takes about 30 ms of a processor, so the memory and the wait are bounded: make one
// PasswordHasher for the program. It is safe for concurrent use.
//
//	func (a *App) signIn(ctx context.Context, in Credentials) (backend.None, error) {
//		user, err := backend.Maybe[User](ctx, a.db, "SELECT * FROM users WHERE email = ?", in.Email)
//		if err != nil {
//			return backend.None{}, err
//		}
//		stored := "" // takes as long as a wrong password
//		if user != nil {
//			stored = user.PasswordHash
//		}
//		ok, err := a.passwords.Verify(ctx, stored, in.Password)
//		…
type PasswordHasher struct {
	wait time.Duration

	many  chan struct{} // held while more than one slot is taken, so that two do not wait for each other
	slots chan struct{} // one for the memory of one hash with our parameters
}

// nobodys is verified in place of no hash.
const nobodys = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$oVLnFW4Vdd+KZaNyuHNZYDlTeeRDSkyoACLFGAAhgLc"

// NewPasswordHasher returns a PasswordHasher.
func NewPasswordHasher(config PasswordConfig) *PasswordHasher {
	const each = int64(19 << 20)
	config.Memory = cmp.Or(config.Memory, each*int64(runtime.GOMAXPROCS(0)))
	config.QueueWait = cmp.Or(config.QueueWait, 2*time.Second)
	var err error
	if config.Memory < each {
		err = fmt.Errorf("PasswordConfig.Memory %d is too little for one hash, which takes %d", config.Memory, each)
	}
	must("NewPasswordHasher", err, checkTime("PasswordConfig.QueueWait", config.QueueWait))
	return &PasswordHasher{
		wait: config.QueueWait, many: make(chan struct{}, 1), slots: make(chan struct{}, config.Memory/each),
	}
}

// maxPassword is the length in bytes of the longest password. Longer ones would only cost
// time.
const maxPassword = 1024

// Hash returns the hash of a password with a new salt, as a PHC string of 97 characters. The
// password is neither cut nor changed. One of more than 1024 bytes is [Invalid], and if too
// many others are hashed, the error is [Unavailable]. In a mutation, use the option [OutsideTx]:
// other writers should not wait for a hash.
func (h *PasswordHasher) Hash(ctx context.Context, password string) (hash string, err error) {
	if len(password) > maxPassword {
		return "", Errorf(Invalid, "The password is too long; %d bytes are the most.", maxPassword)
	}
	release, err := h.acquire(ctx, passhash.Default.Memory)
	if err != nil {
		return "", err
	}
	defer release()
	return passhash.New(password, passhash.Default), nil
}

// Verify reports whether hash is that of a password. An empty hash, that of an unknown
// account, takes as long as another one, and is never that of a password. If too many others
// are hashed, the error is [Unavailable]. A hash of a form that is not known is [Internal].
func (h *PasswordHasher) Verify(ctx context.Context, hash, password string) (ok bool, err error) {
	if len(password) > maxPassword { // nobody has such a password
		hash, password = "", ""
	}
	parsed, err := passhash.Parse(cmp.Or(hash, nobodys))
	if err != nil {
		return false, err
	}
	release, err := h.acquire(ctx, parsed.Memory)
	if err != nil {
		return false, err
	}
	defer release()
	return parsed.Verify(password) && hash != "", nil
}

// IsCurrent reports whether a hash is of the kind that Hash makes. If it is not, hash the
// password again when its owner signs in.
func (h *PasswordHasher) IsCurrent(hash string) bool {
	parsed, err := passhash.Parse(hash)
	return err == nil && parsed.Params == passhash.Default
}

// acquire waits for memory in KiB.
func (h *PasswordHasher) acquire(ctx context.Context, memory uint32) (release func(), err error) {
	n := int((memory + passhash.Default.Memory - 1) / passhash.Default.Memory)
	n = max(1, min(n, cap(h.slots)))
	patience := time.NewTimer(h.wait)
	defer patience.Stop()
	take := func(from chan struct{}) error {
		select {
		case from <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return &Error{Code: Unavailable, Message: "Too many people are signing in; try again.", RetryAfter: h.wait}
		}
	}
	if n > 1 {
		if err := take(h.many); err != nil {
			return nil, err
		}
		defer func() { <-h.many }()
	}
	taken := 0
	release = func() {
		for range taken {
			<-h.slots
		}
	}
	for ; taken < n; taken++ {
		if err := take(h.slots); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}
