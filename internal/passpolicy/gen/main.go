//go:build ignore

// Gen makes common.bin from a list of common passwords, which has one password a line and may
// be compressed with gzip. See the comment of package passpolicy for the list that is used.
//
//	go run gen/main.go common-passwords.txt.gz common.bin
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
)

// The numbers of the package.
const (
	prefixLength = 5
	minWord      = 5
	maxWord      = 21
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run gen/main.go LIST OUTPUT")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(in, out string) error {
	f, err := os.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	var list io.Reader = f
	if strings.HasSuffix(in, ".gz") {
		if list, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	prefixes, err := read(list)
	if err != nil {
		return fmt.Errorf("read %s: %w", in, err)
	}
	return os.WriteFile(out, bytes.Join(prefixes, nil), 0o644)
}

// read returns the sorted prefixes of the hashes of the words of a list.
func read(list io.Reader) ([][]byte, error) {
	var prefixes [][]byte
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		word := strings.ToLower(lines.Text())
		if len(word) < minWord || !isASCII(word) {
			continue
		}
		if len(word) > maxWord {
			return nil, fmt.Errorf("%q has more than %d characters; increase maxWord, also in the package", word, maxWord)
		}
		sum := sha1.Sum([]byte(word))
		prefixes = append(prefixes, bytes.Clone(sum[:prefixLength]))
	}
	slices.SortFunc(prefixes, bytes.Compare)
	return slices.CompactFunc(prefixes, bytes.Equal), lines.Err()
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
