package pgconn

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/oid"
	"github.com/lib/pq/pqerror"
)

// This file has the exchanges of messages with the server. Their errors are the server's, a
// *[pq.Error], after which the server is ready for the next exchange; or any other error,
// after which the connection cannot be used any more. See [Conn.end].

// send writes c.out.
func (c *Conn) send() error {
	if len(c.out) > maxMessage {
		return errTooLong
	}
	_, err := c.stream.Write(c.out)
	if cap(c.out) > keepSize {
		c.out = nil
	}
	return err
}

// receive returns the next message other than those that a server may send at any time.
func (c *Conn) receive() (kind byte, body []byte, err error) {
	for {
		kind, body, err = c.in.next()
		switch {
		case err != nil:
			return 0, nil, err
		case kind == 'N', kind == 'A': // a notice, a notification
		case kind == 'S':
			c.setParameter(body)
		default:
			return kind, body, nil
		}
	}
}

// setParameter reads a ParameterStatus.
func (c *Conn) setParameter(body []byte) {
	f := fields{rest: body}
	if string(f.text()) != "TimeZone" {
		return
	}
	switch name := string(f.text()); name {
	case "UTC", "Etc/UTC", "Etc/Universal", "Etc/Zulu", "Etc/UCT":
		c.location = time.UTC
	default:
		location, err := time.LoadLocation(name)
		if err != nil || name == "" {
			location = nil
		}
		c.location = location
	}
}

// setReady reads a ReadyForQuery.
func (c *Conn) setReady(body []byte) error {
	if len(body) != 1 || body[0] != statusIdle && body[0] != statusInTx && body[0] != statusFailed {
		return malformed("a wrong ReadyForQuery")
	}
	c.status = body[0]
	return nil
}

// expect reads a message of a kind. It returns the error of the server if it sends that.
func (c *Conn) expect(want byte, text string) ([]byte, error) {
	kind, body, err := c.receive()
	switch {
	case err != nil:
		return nil, err
	case kind == want:
		return body, nil
	}
	return nil, c.failed(kind, body, text)
}

// becomeReady reads the end of an exchange.
func (c *Conn) becomeReady(text string) error {
	body, err := c.expect('Z', text)
	if err != nil {
		return err
	}
	return c.setReady(body)
}

// failed returns the error for a message that is not the expected one. If it is an error of
// the server, failed reads on until the server is ready. text is the statement to which
// positions refer, or empty.
func (c *Conn) failed(kind byte, body []byte, text string) error {
	switch kind {
	case 'E':
	case 'G', 'H', 'W':
		return errCopy
	default:
		return malformed("an unexpected message %q", kind)
	}
	answer, err := readError(body, text)
	if err != nil {
		return err
	}
	cut := c.in.cut
	if err := c.untilReady(); err != nil { // as after a fatal error
		if c.wire.err != nil {
			c.wire.err = fmt.Errorf("%s (%s): %w", answer.Message, answer.Code, c.wire.err)
		}
		return err
	}
	if cut {
		return &oversizedError{answer}
	}
	return answer
}

// untilReady reads until the server is ready for the next exchange, after an error. The
// server waits for a Sync.
func (c *Conn) untilReady() error {
	if err := c.sync(); err != nil {
		return err
	}
	for {
		switch kind, body, err := c.receive(); {
		case err != nil:
			return err
		case kind == 'Z':
			return c.setReady(body)
		case kind != 'E':
			return malformed("an unexpected message %q after an error", kind)
		}
	}
}

// sync ends an exchange that has no Sync yet.
func (c *Conn) sync() error {
	if !c.flushed {
		return nil
	}
	c.flushed = false
	c.out = appendSync(c.out[:0])
	return c.send()
}

// simple executes statements without arguments, and drops their rows. It returns the tag of
// the last one.
func (c *Conn) simple(text string) (tag tag, err error) {
	c.out = appendQuery(c.out[:0], text)
	if err := c.send(); err != nil {
		return tag, err
	}
	return c.result(text)
}

// result reads the rest of an exchange, and drops its rows.
func (c *Conn) result(text string) (tag tag, err error) {
	for {
		kind, body, err := c.receive()
		if err != nil {
			return tag, err
		}
		switch kind {
		case 'D', 'T', 'I':
		case 'C':
			if tag, err = readTag(body); err != nil {
				return tag, err
			}
		case 'Z':
			return tag, c.setReady(body)
		default:
			return tag, c.failed(kind, body, text)
		}
	}
}

// parse prepares a statement.
func (c *Conn) parse(text string) (*prepared, error) {
	c.compose()
	name := c.addParse(text)
	c.out = appendSync(c.out)
	if err := c.transmit(); err != nil {
		return nil, err
	}
	p, err := c.parsed(name, text)
	if err == nil {
		err = c.becomeReady(text)
	}
	return p, err
}

// addParse adds what prepares a statement to the exchange, and returns its name.
func (c *Conn) addParse(text string) string {
	c.names++
	name := strconv.FormatUint(c.names, 10)
	c.out = appendDescribe(appendParse(c.out, name, text), 'S', name)
	return name
}

// parsed reads the answer to addParse.
func (c *Conn) parsed(name, text string) (*prepared, error) {
	if _, err := c.expect('1', text); err != nil {
		return nil, err
	}
	body, err := c.expect('t', text)
	if err != nil {
		return nil, err
	}
	params, err := readParams(body)
	if err != nil {
		return nil, err
	}
	described, err := c.described(text)
	if err != nil {
		return nil, err
	}
	return newPrepared(c, name, text, params, described), nil
}

// described reads the description of a result.
func (c *Conn) described(text string) (*columns, error) {
	switch kind, body, err := c.receive(); {
	case err != nil:
		return nil, err
	case kind == 'n':
		return &noColumns, nil
	case kind == 'T':
		return readColumns(body)
	default:
		return nil, c.failed(kind, body, text)
	}
}

var noColumns columns

func readParams(body []byte) ([]oid.Oid, error) {
	f := fields{rest: body}
	n := f.int16()
	if f.failed || len(f.rest) != 4*n {
		return nil, malformed("a description of %d parameters in %d bytes", n, len(f.rest))
	}
	params := make([]oid.Oid, n)
	for i := range params {
		params[i] = oid.Oid(uint32(f.int32()))
	}
	return params, nil
}

// run sends a statement and reads what comes before its rows, which it describes.
func (c *Conn) run(x execution) (*columns, error) {
	if x.isSimple() && (c.unsent == "" || !canPrepare(x.text)) {
		return nil, c.runSimple(x.text)
	}
	c.compose()
	c.add(x)
	c.out = appendSync(c.out)
	if err := c.transmit(); err != nil {
		return nil, err
	}
	return c.head(x)
}

// add adds the execution of a statement to the exchange. A statement that is not kept, or is
// analyzed anew, is sent as a text.
func (c *Conn) add(x execution) {
	if !x.anew {
		c.out = appendExecute(appendBind(c.out, x.entry.Stmt.name, x.args, x.entry.Stmt.results()))
		return
	}
	c.out = appendParse(c.out, "", x.text)
	c.out = appendBind(c.out, "", x.args, textResults)
	c.out = appendExecute(appendDescribe(c.out, 'P', ""))
}

// head reads the answer to add up to the rows.
func (c *Conn) head(x execution) (*columns, error) {
	if !x.anew {
		_, err := c.expect('2', "")
		return x.entry.Stmt.columns, err
	}
	for _, kind := range []byte("12") {
		if _, err := c.expect(kind, x.text); err != nil {
			return nil, err
		}
	}
	return c.described(x.text)
}

// runSimple sends a text of any statements. They may end the transaction, so BEGIN does not
// travel with them.
func (c *Conn) runSimple(text string) error {
	if c.unsent != "" {
		if err := c.sendBegin(); err != nil {
			return err
		}
		c.fresh = false
	}
	c.out = appendQuery(c.out[:0], text)
	return c.send()
}

// Close closes the statement on the server, for the cache.
func (p *prepared) Close() error {
	c := p.conn
	c.out = appendSync(appendClose(c.out[:0], p.name))
	if err := c.send(); err != nil {
		return err
	}
	if _, err := c.expect('3', ""); err != nil {
		return err
	}
	return c.becomeReady("")
}

// tag is what the server says about a statement that it has executed.
type tag struct {
	word string
	rows int64
	any  bool // a statement was executed: the text was not empty
}

// readTag reads a CommandComplete: a word such as SELECT, and the number of rows if the
// statement has one.
func readTag(body []byte) (tag, error) {
	f := fields{rest: body}
	text := f.text()
	if err := f.done("CommandComplete"); err != nil {
		return tag{}, err
	}
	t := tag{any: true}
	word, rest, _ := bytes.Cut(text, []byte(" "))
	switch string(word) {
	case "INSERT":
		_, rest, _ = bytes.Cut(rest, []byte(" ")) // an OID comes first
	case "SELECT", "UPDATE", "DELETE", "MERGE", "FETCH", "MOVE", "COPY":
	default:
		t.word = string(text)
		return t, nil
	}
	var err error
	if t.rows, err = strconv.ParseInt(string(rest), 10, 64); err != nil {
		return tag{}, malformed("a wrong number of rows")
	}
	return t, nil
}

// result is the result of a statement without rows.
func (t tag) result() driver.Result {
	if !t.any {
		return driver.ResultNoRows
	}
	return driver.RowsAffected(t.rows)
}

// readError reads an ErrorResponse.
func readError(body []byte, text string) (*pq.Error, error) {
	e := &pq.Error{}
	f := fields{rest: body}
	for {
		kind := f.take(1)
		if kind == nil {
			return nil, malformed("a wrong ErrorResponse")
		}
		if kind[0] == 0 {
			break
		}
		value := string(f.text())
		if target := errorField(e, kind[0]); target != nil {
			*target = value
		} else if kind[0] == 'C' {
			e.Code = pqerror.Code(value)
		}
	}
	if err := f.done("ErrorResponse"); err != nil {
		return nil, err
	}
	if text != "" {
		setQuery(e, text)
	}
	return e, nil
}

// errorField returns the field of an error by its code (PostgreSQL protocol, "Error and
// Notice Message Fields").
func errorField(e *pq.Error, code byte) *string {
	switch code {
	case 'S':
		return &e.Severity
	case 'M':
		return &e.Message
	case 'D':
		return &e.Detail
	case 'H':
		return &e.Hint
	case 'P':
		return &e.Position
	case 'p':
		return &e.InternalPosition
	case 'q':
		return &e.InternalQuery
	case 'W':
		return &e.Where
	case 's':
		return &e.Schema
	case 't':
		return &e.Table
	case 'c':
		return &e.Column
	case 'd':
		return &e.DataTypeName
	case 'n':
		return &e.Constraint
	case 'F':
		return &e.File
	case 'L':
		return &e.Line
	case 'R':
		return &e.Routine
	}
	return nil
}
