package pgconn

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/lib/pq"
)

// This file writes messages for the server (PostgreSQL protocol, "Message Formats").

// openMessage appends the head of a message, whose length closeMessage fills in.
func openMessage(out []byte, kind byte) (_ []byte, start int) {
	return append(out, kind, 0, 0, 0, 0), len(out) + 1
}

func closeMessage(out []byte, start int) []byte {
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start))
	return out
}

func appendText(out []byte, text string) []byte {
	return append(append(out, text...), 0)
}

// appendQuery appends a Query: the simple protocol.
func appendQuery(out []byte, text string) []byte {
	out, start := openMessage(out, 'Q')
	return closeMessage(appendText(out, text), start)
}

// appendParse appends a Parse that leaves the types of the parameters to the server.
func appendParse(out []byte, name, text string) []byte {
	out, start := openMessage(out, 'P')
	out = appendText(appendText(out, name), text)
	return closeMessage(append(out, 0, 0), start)
}

// appendDescribe appends a Describe of a statement ('S') or a portal ('P').
func appendDescribe(out []byte, what byte, name string) []byte {
	out, start := openMessage(out, 'D')
	return closeMessage(appendText(append(out, what), name), start)
}

// appendClose appends a Close of a statement.
func appendClose(out []byte, name string) []byte {
	out, start := openMessage(out, 'C')
	return closeMessage(appendText(append(out, 'S'), name), start)
}

// appendExecute appends an Execute of the unnamed portal, for all rows.
func appendExecute(out []byte) []byte {
	return append(out, 'E', 0, 0, 0, 9, 0, 0, 0, 0, 0)
}

func appendFlush(out []byte) []byte     { return append(out, 'H', 0, 0, 0, 4) }
func appendSync(out []byte) []byte      { return append(out, 'S', 0, 0, 0, 4) }
func appendTerminate(out []byte) []byte { return append(out, 'X', 0, 0, 0, 4) }

// The forms of results, as a Bind has them. Those of a kept statement are in its description.
var textResults = []byte{0, 0}

// appendBind appends a Bind of a statement to the unnamed portal. A []byte is sent as binary
// and all other arguments as text. results is the part of the message that has the forms of
// the results.
func appendBind(out []byte, name string, args []driver.NamedValue, results []byte) []byte {
	out, start := openMessage(out, 'B')
	out = appendText(append(out, 0), name)
	out = appendForms(out, args)
	out = binary.BigEndian.AppendUint16(out, uint16(len(args)))
	for i := range args {
		out = appendValue(out, args[i].Value)
	}
	return closeMessage(append(out, results...), start)
}

func appendForms(out []byte, args []driver.NamedValue) []byte {
	binaries := false
	for i := range args {
		binaries = binaries || isBytes(args[i])
	}
	if !binaries {
		return append(out, 0, 0)
	}
	out = binary.BigEndian.AppendUint16(out, uint16(len(args)))
	for i := range args {
		form := byte(0)
		if isBytes(args[i]) {
			form = 1
		}
		out = append(out, 0, form)
	}
	return out
}

// appendValue appends an argument with its length.
func appendValue(out []byte, value driver.Value) []byte {
	start := len(out)
	out = append(out, 0xff, 0xff, 0xff, 0xff) // NULL
	switch v := value.(type) {
	case nil:
		return out
	case []byte:
		if v == nil {
			return out
		}
		out = append(out, v...)
	case string:
		out = append(out, v...)
	case int64:
		out = strconv.AppendInt(out, v, 10)
	case float64:
		out = strconv.AppendFloat(out, v, 'f', -1, 64)
	case bool:
		out = strconv.AppendBool(out, v)
	case time.Time:
		out = appendTime(out, v)
	}
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	return out
}

// appendTime appends a time as pq.FormatTimestamp does.
func appendTime(out []byte, t time.Time) []byte {
	if _, offset := t.Zone(); offset%60 == 0 && t.Year() > 0 {
		return t.AppendFormat(out, "2006-01-02 15:04:05.999999999Z07:00")
	}
	return append(out, pq.FormatTimestamp(t)...)
}

// errTooLong is returned for a statement that PostgreSQL would not take. Nothing was sent.
var errTooLong = errors.New("the statement and its arguments are longer than 1 GB, which PostgreSQL does not take")

// size returns how many bytes the texts of a statement and its arguments have.
func size(text string, args []driver.NamedValue) int {
	n := len(text)
	for i := range args {
		switch v := args[i].Value.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}
