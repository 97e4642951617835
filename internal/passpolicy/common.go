package passpolicy

import (
	"cmp"
	"crypto/sha1"
	_ "embed"
	"sort"
)

// The list was common-passwords.txt.gz of Django 3.2, in django/contrib/auth.
//
//go:generate go run gen/main.go common-passwords.txt.gz common.bin

// common has the first five bytes of the SHA-1 hash of each common password, in order. The
// hash hides nothing: it gives all entries one length. With 19,000 entries, one in 58 million
// other words is taken for a common password by mistake.
//
//go:embed common.bin
var common string

const prefixLength = 5

// The least and the greatest length of the passwords of the list.
const (
	minWord = 5
	maxWord = 21
)

// isCommon reports whether a word in lower case is on the list.
func isCommon(word []byte) bool {
	sum := sha1.Sum(word)
	prefix := number(string(sum[:prefixLength]))
	_, found := sort.Find(len(common)/prefixLength, func(i int) int {
		return cmp.Compare(prefix, number(common[i*prefixLength:]))
	})
	return found
}

// number returns the prefix at the start of s as a number, big end first.
func number(s string) uint64 {
	_ = s[4]
	return uint64(s[0])<<32 | uint64(s[1])<<24 | uint64(s[2])<<16 | uint64(s[3])<<8 | uint64(s[4])
}
