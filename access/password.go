package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost of a password's hash: the OWASP Password Storage Cheat Sheet's minimum for Argon2id (19 MiB of memory, two
// iterations, one lane), with the salt and tag lengths of RFC 9106 section 4.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	saltSize     = 16
	tagSize      = 32
)

// The length of a password in characters: NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where it is the only factor. The upper end
// bounds what hashing costs.
const (
	minPassword = 15
	maxPassword = 256
)

// CheckPassword says how a password must be mended before it is good for a user of that name; nil when it is.
func CheckPassword(user, password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return errors.New("the password is not UTF-8 text; type it again")
	case n < minPassword:
		return fmt.Errorf("the password has %d characters; take at least %d, such as four or five words", n, minPassword)
	case n > maxPassword:
		return fmt.Errorf("the password has %d characters; take at most %d", n, maxPassword)
	case len(strings.Trim(password, password[:1])) == 0:
		return errors.New("the password is one character over and over; take four or five words")
	case strings.Contains(strings.ToLower(password), user) && n-len(user) < minPassword/2:
		return errors.New("the password is little more than the user's name; take four or five words")
	}
	return nil
}

// hashPassword makes the PHC string of a password: $argon2id$v=19$m=19456,t=2,p=1$salt$tag.
func hashPassword(password string) string {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // crypto/rand never fails: it ends the process instead
	p := phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: salt}
	p.tag = p.derive(password, tagSize)
	return p.String()
}

// verifyPassword compares in constant time. A hash that can't be read fits no password.
func verifyPassword(hash, password string) bool {
	p, err := parsePHC(hash)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(p.tag, p.derive(password, len(p.tag))) == 1
}

// phc is a hash with its parameters, in the PHC string format (github.com/P-H-C/phc-string-format).
type phc struct {
	memory, time uint32
	threads      uint8
	salt, tag    []byte
}

// derive hashes the password. Keyboards write é in two ways; NFKC makes them one (NIST SP 800-63B-4 section 3.1.1.2).
func (p phc) derive(password string, size int) []byte {
	return argon2.IDKey(norm.NFKC.Bytes([]byte(password)), p.salt, p.time, p.memory, p.threads, uint32(size)) //nolint:gosec // 32
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, b64.EncodeToString(p.salt), b64.EncodeToString(p.tag))
}

var errHash = errors.New("not an argon2id hash in PHC string format")

func parsePHC(text string) (phc, error) {
	var p phc
	var version int
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, errHash
	}
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return p, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); n != 3 || err != nil {
		return p, errHash
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, errHash
	}
	if p.tag, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return p, errHash
	}
	if p.time < 1 || p.threads < 1 || p.memory > 1<<20 || len(p.salt) < 8 || len(p.tag) < 16 || len(p.tag) > 64 {
		return p, errHash
	}
	return p, nil
}
