// Package passhash hashes passwords with argon2id, and verifies the hashes of other programs.
package passhash

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Params are the parameters of argon2.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// Default are the parameters of OWASP ASVS 5.0, appendix C, for argon2id.
var Default = Params{Memory: 19 << 10, Time: 2, Threads: 1}

const (
	saltLength = 16
	keyLength  = 32
)

// Bounds of the parameters that are read from a hash: x/crypto panics below the least, and
// beyond the most a hash that somebody has planted would stop the program.
const (
	maxMemory     = 256 << 10 // KiB
	maxTime       = 20
	maxThreads    = 16
	maxIterations = 10_000_000
	maxCost       = 16
	maxKey        = 128
)

// New returns the hash of a password with a new salt, as a PHC string.
func New(password string, p Params) string {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails
	return format(p, salt, argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, keyLength))
}

var b64 = base64.RawStdEncoding.Strict()

func format(p Params, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// Hash is a hash that was parsed.
type Hash struct {
	// Memory is how much memory verifying takes, in KiB.
	Memory uint32
	// Params are those of argon2id, and zero for another algorithm.
	Params Params

	verify func(password string) bool
}

// Verify reports whether the hash is that of a password.
func (h *Hash) Verify(password string) bool { return h.verify(password) }

// ErrUnknown is the error for a text that is no hash.
var ErrUnknown = errors.New("the stored password hash has no form that is known: argon2 (PHC), bcrypt, or Django's pbkdf2")

// Parse parses a hash.
func Parse(text string) (*Hash, error) {
	text = strings.TrimPrefix(text, "argon2$") // as Django writes it, without the $ of the PHC string
	if strings.HasPrefix(text, "argon2i$") || strings.HasPrefix(text, "argon2id$") {
		text = "$" + text
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(text, "$"), "$")
	switch name {
	case "argon2id", "argon2i":
		return parseArgon2(name, rest)
	case "2a", "2b", "2y":
		return parseBcrypt(text)
	case "pbkdf2_sha256", "pbkdf2_sha1":
		return parseDjango(name, rest)
	}
	return nil, ErrUnknown
}

func parseArgon2(name, rest string) (*Hash, error) {
	parts := strings.Split(rest, "$")
	if len(parts) == 3 { // the first version, which had none, is another function
		return nil, fmt.Errorf("the stored hash is of %s without a version, which cannot be verified", name)
	}
	if len(parts) != 4 || parts[0] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, ErrUnknown
	}
	p, err := parseParams(parts[1])
	if err != nil {
		return nil, err
	}
	salt, err1 := b64.DecodeString(parts[2])
	key, err2 := b64.DecodeString(parts[3])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > maxKey || len(key) < 16 || len(key) > maxKey {
		return nil, ErrUnknown
	}
	h := &Hash{Memory: p.Memory}
	derive := argon2.Key
	if name == "argon2id" {
		h.Params, derive = p, argon2.IDKey
	}
	h.verify = func(password string) bool {
		return subtle.ConstantTimeCompare(key, derive([]byte(password), salt, p.Time, p.Memory, p.Threads, uint32(len(key)))) == 1
	}
	return h, nil
}

func parseParams(text string) (p Params, err error) {
	values := map[string]uint64{}
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if _, twice := values[name]; err != nil || twice {
			return p, ErrUnknown
		}
		values[name] = n
	}
	m, t, threads := values["m"], values["t"], values["p"]
	if len(values) != 3 || t < 1 || threads < 1 || m < 8*threads {
		return p, ErrUnknown
	}
	if m > maxMemory || t > maxTime || threads > maxThreads {
		return p, fmt.Errorf("the stored hash has the parameters %s; m=%d, t=%d and p=%d are the most", text, maxMemory, maxTime, maxThreads)
	}
	return Params{uint32(m), uint32(t), uint8(threads)}, nil
}

func parseBcrypt(text string) (*Hash, error) {
	hashed := []byte(text)
	cost, err := bcrypt.Cost(hashed)
	if err != nil || len(text) != 60 {
		return nil, ErrUnknown
	}
	if cost > maxCost {
		return nil, fmt.Errorf("the stored hash of bcrypt has the cost %d; %d is the most", cost, maxCost)
	}
	return &Hash{Memory: 4, verify: func(password string) bool {
		return bcrypt.CompareHashAndPassword(hashed, []byte(password)) == nil
	}}, nil
}

// parseDjango parses ITERATIONS$SALT$KEY.
func parseDjango(name, rest string) (*Hash, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 || parts[1] == "" {
		return nil, ErrUnknown
	}
	iterations, err := strconv.Atoi(parts[0])
	if err != nil || iterations < 1 {
		return nil, ErrUnknown
	}
	if iterations > maxIterations {
		return nil, fmt.Errorf("the stored hash has %d iterations of pbkdf2; %d is the most", iterations, maxIterations)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	function := map[string]func() hash.Hash{"pbkdf2_sha256": sha256.New, "pbkdf2_sha1": sha1.New}[name]
	if err != nil || len(key) != function().Size() {
		return nil, ErrUnknown
	}
	return &Hash{Memory: 4, verify: func(password string) bool {
		derived, err := pbkdf2.Key(function, password, []byte(parts[1]), iterations, len(key))
		return err == nil && subtle.ConstantTimeCompare(key, derived) == 1
	}}, nil
}
