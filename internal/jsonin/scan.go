package jsonin

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads the tokens of a JSON text. A decoder knows what comes next, so one pass
// over the bytes is enough, without the stack and the sets of names that a general tokenizer
// has. jsontext reads the values of which nothing is decoded, and says where and why a text is
// not JSON.

// errSyntax says that the text is not JSON, or that a name is twice in an object.
var errSyntax = errors.New("it breaks the rules of JSON")

// scanner reads tokens. After errSyntax it must not be used.
type scanner struct {
	text []byte
	at   int // the offset of what is read next
	end  int // the end of what was read last
}

// kind returns the kind of the next value by its first byte, or 0 at the end. All numbers
// have the kind 0. It reads the white space before the value.
func (s *scanner) kind() jsontext.Kind {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return '0'
		default:
			return jsontext.Kind(c)
		}
	}
	return 0
}

// done reports whether nothing but white space is left.
func (s *scanner) done() bool { return s.kind() == 0 && s.at == len(s.text) }

// read reads n bytes.
func (s *scanner) read(n int) []byte {
	text := s.text[s.at : s.at+n]
	s.at += n
	s.end = s.at
	return text
}

// delimiter reads a byte of the syntax.
func (s *scanner) delimiter(c jsontext.Kind) error {
	if s.kind() != c {
		return errSyntax
	}
	s.read(1)
	return nil
}

// more reports whether an array or an object has one more element or member, after n of them.
// closing is the byte that ends it.
func (s *scanner) more(n int, closing jsontext.Kind) (bool, error) {
	next := s.kind()
	switch {
	case next == closing:
		return false, nil
	case n == 0:
		return true, nil
	case next != ',':
		return false, errSyntax
	}
	s.at++
	if s.kind() == closing {
		return false, errSyntax
	}
	return true, nil
}

// literal reads null, true or false.
func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.at:], []byte(word)) {
		return errSyntax
	}
	s.read(len(word))
	return nil
}

// quoted reads a string. plain says that the text between its quotes is its value.
func (s *scanner) quoted() (text []byte, plain bool, err error) {
	if s.kind() != '"' {
		return nil, false, errSyntax
	}
	ascii, escaped := true, false
	for i := s.at + 1; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			text = s.read(i + 1 - s.at)
			if !escaped && !ascii && !utf8.Valid(text) {
				return nil, false, errSyntax
			}
			return text, !escaped, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return nil, false, errSyntax
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, errSyntax
}

// string reads a string and returns its value, which is valid until the text changes.
func (s *scanner) string() ([]byte, error) {
	text, plain, err := s.quoted()
	switch {
	case err != nil:
		return nil, err
	case plain:
		return text[1 : len(text)-1], nil
	}
	if text, err = jsontext.AppendUnquote(nil, text); err != nil {
		return nil, errSyntax
	}
	return text, nil
}

// name reads the name of a member, and the colon after it. The name is valid until the text
// changes.
func (s *scanner) name() ([]byte, error) {
	name, err := s.string()
	if err != nil {
		return nil, err
	}
	return name, s.delimiter(':')
}

// number reads a number (RFC 8259, section 6).
func (s *scanner) number() ([]byte, error) {
	rest := s.text[s.at:]
	n := 0
	skip := func(one string) bool {
		found := n < len(rest) && strings.IndexByte(one, rest[n]) >= 0
		if found {
			n++
		}
		return found
	}
	digits := func() bool {
		first := n
		for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
			n++
		}
		return n > first
	}
	skip("-")
	if !skip("0") && !digits() || skip(".") && !digits() {
		return nil, errSyntax
	}
	if skip("eE") {
		if skip("+-"); !digits() {
			return nil, errSyntax
		}
	}
	return s.read(n), nil
}

// judge is jsontext's decoder of a text.
type judge struct {
	text    bytes.Buffer
	decoder *jsontext.Decoder // nil: it was not needed yet
}

// of returns the decoder for a text.
func (j *judge) of(text []byte) *jsontext.Decoder {
	j.text = *bytes.NewBuffer(text)
	if j.decoder == nil {
		j.decoder = jsontext.NewDecoder(&j.text)
	} else {
		j.decoder.Reset(&j.text)
	}
	return j.decoder
}

// forget drops the text.
func (j *judge) forget() {
	if j.decoder != nil {
		j.of(nil)
	}
}

// value reads the next value, whatever it is.
func (j *judge) value(s *scanner) ([]byte, error) {
	decoder := j.of(s.text[s.at:])
	value, err := decoder.ReadValue()
	if err == io.EOF {
		return nil, err
	} else if err != nil {
		return nil, errSyntax
	}
	end := int(decoder.InputOffset())
	return s.read(end)[end-len(value):], nil
}

// explain returns the error of a text that is not one JSON value.
func (j *judge) explain(text []byte) error {
	decoder := j.of(text)
	for first := true; first || decoder.StackDepth() > 0; first = false {
		decoder.PeekKind() // which notices a comma at the end of a list
		if _, err := decoder.ReadToken(); err != nil {
			return syntaxError(err)
		}
	}
	decoder.ReadToken() // what is after the value
	return &SyntaxError{decoder.InputOffset(), "there is something after the value"}
}

// syntaxError returns the error of jsontext as one of this package.
func syntaxError(err error) error {
	found := &SyntaxError{Message: errSyntax.Error()}
	if theirs, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		found.Offset = theirs.ByteOffset
		if errors.Is(theirs.Err, jsontext.ErrDuplicateName) {
			found.Message = "there is a name twice in one object"
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		found.Message = "it ends too early"
	}
	return found
}
