package webauthn

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// This file decodes CBOR (RFC 8949) as far as authenticators write it: the forms
// that CTAP2's canonical CBOR has. These are integers, byte strings, text strings,
// arrays, maps, booleans and null, each of a definite length. Tags, floating-point
// numbers, undefined and indefinite lengths are errors.
//
// The order of keys and the shortness of integers are not checked, because not
// every authenticator in use keeps to them. A duplicate key is an error.

// maxDepth is how deep arrays and maps may be nested. CTAP2 allows 4 levels, and an
// attestation statement may have a few of its own.
const maxDepth = 8

// The major types of RFC 8949, section 3.1, and the simple values of section 3.3.
const (
	majorUnsigned = 0
	majorNegative = 1
	majorBytes    = 2
	majorText     = 3
	majorArray    = 4
	majorMap      = 5
	majorSimple   = 7

	simpleFalse = 20
	simpleTrue  = 21
	simpleNull  = 22
)

// A cborMap is a decoded map. Its keys are int64 or string values.
type cborMap map[any]any

// decodeCBOR decodes the first item of data, and returns what follows it. An item
// is an int64, []byte, string, []any, cborMap, bool or nil. Byte strings share the
// memory of data.
func decodeCBOR(data []byte) (item any, rest []byte, err error) {
	d := decoder{data}
	item, err = d.item(0)
	return item, d.rest, err
}

type decoder struct{ rest []byte }

func (d *decoder) item(depth int) (any, error) {
	major, argument, err := d.head()
	if err != nil {
		return nil, err
	}
	switch major {
	case majorUnsigned, majorNegative:
		return integer(major, argument)
	case majorBytes:
		return d.take(argument)
	case majorText:
		return d.text(argument)
	case majorArray, majorMap:
		if depth == maxDepth {
			return nil, errorf("CBOR: more than %d levels", maxDepth)
		}
		if major == majorArray {
			return d.array(argument, depth+1)
		}
		return d.pairs(argument, depth+1)
	case majorSimple:
		return simple(argument)
	}
	return nil, errorf("CBOR: items of the major type %d are not supported", major)
}

// head reads the initial byte of an item, and its argument (RFC 8949, section 3).
func (d *decoder) head() (major byte, argument uint64, err error) {
	first, err := d.take(1)
	if err != nil {
		return 0, 0, err
	}
	major, info := first[0]>>5, first[0]&0x1f
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 || major == majorSimple {
		return 0, 0, errorf("CBOR: the initial byte 0x%02x is not supported", first[0])
	}
	size := 1 << (info - 24)
	following, err := d.take(uint64(size))
	if err != nil {
		return 0, 0, err
	}
	var padded [8]byte
	copy(padded[8-size:], following)
	return major, binary.BigEndian.Uint64(padded[:]), nil
}

func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.rest)) {
		return nil, errorf("CBOR: %d bytes are announced, and %d are left", n, len(d.rest))
	}
	taken := d.rest[:n:n]
	d.rest = d.rest[n:]
	return taken, nil
}

func (d *decoder) text(n uint64) (any, error) {
	bytes, err := d.take(n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(bytes) {
		return nil, errorf("CBOR: a text string is not UTF-8")
	}
	return string(bytes), nil
}

// array does not allocate for the announced number of elements: it grows with those
// that are there.
func (d *decoder) array(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest)) { // an element has at least one byte
		return nil, errorf("CBOR: %d elements are announced, and %d bytes are left", n, len(d.rest))
	}
	list := []any{}
	for range n {
		item, err := d.item(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, nil
}

func (d *decoder) pairs(n uint64, depth int) (any, error) {
	if n > uint64(len(d.rest))/2 { // a pair has at least two bytes
		return nil, errorf("CBOR: %d pairs are announced, and %d bytes are left", n, len(d.rest))
	}
	pairs := cborMap{}
	for range n {
		key, err := d.item(depth)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case int64, string:
		default:
			return nil, errorf("CBOR: the key of a map is neither an integer nor a text string")
		}
		if _, duplicate := pairs[key]; duplicate {
			return nil, errorf("CBOR: a map has the key %.80q twice", key)
		}
		if pairs[key], err = d.item(depth); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

func integer(major byte, argument uint64) (any, error) {
	if argument > math.MaxInt64 {
		return nil, errorf("CBOR: an integer has more than 64 bits")
	}
	if major == majorNegative {
		return -1 - int64(argument), nil
	}
	return int64(argument), nil
}

func simple(argument uint64) (any, error) {
	switch argument {
	case simpleFalse:
		return false, nil
	case simpleTrue:
		return true, nil
	case simpleNull:
		return nil, nil
	}
	return nil, errorf("CBOR: the simple value %d is not supported", argument)
}
