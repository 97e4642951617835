package sqltext

import (
	"errors"
	"fmt"
	"strings"
)

// This file reads comments. Those of MySQL may be executed, depending on the version of
// the server.

// lineComment skips a -- comment. MySQL wants white space or a control character after the
// dashes; without it they are two minus signs.
func (s *scanner) lineComment() bool {
	if s.peek(1) != '-' {
		return false
	}
	if after := s.peek(2); s.dialect == MySQL && after > ' ' && after != 0x7f {
		return false
	}
	s.skipLine()
	return true
}

// skipLine skips the rest of a line. PostgreSQL ends it at a carriage return, too.
func (s *scanner) skipLine() {
	ends := "\n"
	if s.dialect == Postgres {
		ends = "\r\n"
	}
	end := strings.IndexAny(s.src[s.pos:], ends)
	if end < 0 {
		s.pos, s.tail = len(s.src), TailLine
		return
	}
	s.pos += end + 1
}

// blockComment skips a comment, which nests in PostgreSQL only.
func (s *scanner) blockComment() error {
	if s.dialect == MySQL && (s.peek(2) == '!' || s.peek(2) == 'M' && s.peek(3) == '!') {
		return s.conditional()
	}
	start, depth := s.pos, 1
	s.pos += 2
	for depth > 0 {
		switch {
		case s.pos+1 >= len(s.src):
			if s.dialect == SQLite { // SQLite lets the end of input end it
				s.pos, s.tail = len(s.src), TailOpen
				return nil
			}
			return unterminated("the comment", s.src, start)
		case s.src[s.pos] == '*' && s.src[s.pos+1] == '/':
			depth--
			s.pos += 2
		case s.dialect == Postgres && s.src[s.pos] == '/' && s.src[s.pos+1] == '*':
			depth++
			s.pos += 2
		default:
			s.pos++
		}
	}
	return nil
}

// The versions in comments such as /*!50003 … */ and /*M!100100 … */. MariaDB skips those
// of MySQL that are as new as 5.7, whatever its own version is.
const (
	newMySQL   = 50_700  // MySQL's comments from here on depend on the server
	newMariaDB = 100_500 // so do MariaDB's; older servers lack what this package needs
	noServer   = 900_000 // no server has this version; dumps have comments with 999999
)

// conditional reads the start of a comment that MySQL and MariaDB execute, as in dumps:
// /*! … */, /*!40101 … */, /*M! … */. The version has five or six digits. Other digits are
// part of the text. It skips a comment that no server executes.
func (s *scanner) conditional() error {
	start, newest := s.pos, newMySQL
	s.pos += 3
	if s.src[start+2] == 'M' {
		s.pos++
		newest = newMariaDB
	}
	version, digits := 0, 0
	for digits < 6 && isDigit(s.peek(digits)) {
		version = 10*version + int(s.peek(digits)-'0')
		digits++
	}
	if digits < 5 || version < newest {
		if digits >= 5 {
			s.pos += digits
		}
		s.inside = true
		return nil
	}
	s.pos += digits
	text, end := s.skipped()
	if end < 0 {
		return unterminated("the comment", s.src, start)
	}
	if version >= noServer {
		s.pos = end
		return nil
	}
	return s.depends(s.src[start:end], text, end)
}

// skipped returns the text of a comment that is not executed, from the current position
// on, and the offset after it, or -1. One comment may be within it.
func (s *scanner) skipped() (text string, end int) {
	within := false
	for i := s.pos; i+1 < len(s.src); i++ {
		switch {
		case s.src[i] == '*' && s.src[i+1] == '/':
			if !within {
				return s.src[s.pos:i], i + 2
			}
			within = false
			i++
		case s.src[i] == '/' && s.src[i+1] == '*' && !within:
			within = true
			i++
		}
	}
	return "", -1
}

// depends reads a comment that some servers execute. It is read as they do, unless that
// changes what follows, or how many parameters there are.
func (s *scanner) depends(comment, text string, end int) error {
	s.varies = true
	if s.statement.words == 0 {
		s.session = max(s.session, SessionUnknown)
	}
	read := scanner{dialect: s.dialect, src: text}
	if read.run() != nil || len(read.slots) > 0 || read.tail != TailClosed {
		s.unsure, s.pos = comment, end
		return nil
	}
	s.inside = true
	return nil
}

func unsure(comment string) error {
	for _, c := range comment {
		if c == '?' {
			return fmt.Errorf("whether the ? in a comment is a parameter depends on the version of the server; write the text without the comment, or /*! … */ if every server is to execute it: %s", Clip(comment))
		}
	}
	return errors.New("where a comment ends depends on the version of the server; write it as /* … */, or the text without the comment: " + Clip(comment))
}
