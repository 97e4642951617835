package main

// The client: requests that were written beforehand, on connections that stay open, and
// as little parsing of the answers as HTTP allows.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// connections is how many connections send requests at once.
const connections = 8

// client has connections to a contestant.
type client struct {
	conns []*conn
}

// conn is one connection.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// answer is a response. Its body is valid until the next one of the connection.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// request is a request as it is sent.
func request(method, path, contentType, body string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: peerbench\r\nAccept: */*\r\n", method, path)
	if contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

func newConn(c net.Conn) *conn { return &conn{c, bufio.NewReaderSize(c, 8<<10)} }

func newClient(addr string) (*client, error) {
	c := &client{}
	for range connections {
		one, err := dial(addr)
		if err != nil {
			c.close()
			return nil, err
		}
		c.conns = append(c.conns, one)
	}
	return c, nil
}

func (c *client) close() {
	for _, one := range c.conns {
		_ = one.Close()
	}
}

// run sends n requests in all, those given in turn, and returns the time of each. Every
// answer must have the status.
func (c *client) run(requests [][]byte, n, status int) ([]time.Duration, error) {
	times := make([][]time.Duration, len(c.conns))
	failed := make([]error, len(c.conns))
	var done sync.WaitGroup
	for i, one := range c.conns {
		done.Go(func() {
			share := n / len(c.conns)
			times[i] = make([]time.Duration, 0, share)
			for k := range share {
				begin := time.Now()
				got, err := one.do(requests[(i+k*len(c.conns))%len(requests)], nil)
				if err == nil && got.status != status {
					err = fmt.Errorf("status %d instead of %d: %s", got.status, status, got.body)
				}
				if err != nil {
					failed[i] = err
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	done.Wait()
	var all []time.Duration
	for i := range c.conns {
		if failed[i] != nil {
			return nil, failed[i]
		}
		all = append(all, times[i]...)
	}
	return all, nil
}

// do sends a request and reads the answer. The body is only kept in a given buffer.
func (c *conn) do(request []byte, body *bytes.Buffer) (answer, error) {
	return c.doUntil(request, time.Now().Add(30*time.Second), body)
}

func (c *conn) doUntil(request []byte, deadline time.Time, body *bytes.Buffer) (answer, error) {
	if err := c.SetDeadline(deadline); err != nil {
		return answer{}, err
	}
	if _, err := c.Write(request); err != nil {
		return answer{}, err
	}
	return c.read(body)
}

var (
	lengthName   = []byte("content-length:")
	encodingName = []byte("transfer-encoding:")
	typeName     = []byte("content-type:")
)

// read reads an answer.
func (c *conn) read(body *bytes.Buffer) (answer, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return answer{}, err
	}
	if len(line) < 12 {
		return answer{}, fmt.Errorf("the status line is %q", line)
	}
	var a answer
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return answer{}, err
	}
	length, chunked := 0, false
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return answer{}, err
		}
		if len(line) <= 2 {
			break
		}
		switch {
		case hasName(line, lengthName):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthName):]))); err != nil {
				return answer{}, err
			}
		case hasName(line, encodingName):
			chunked = true
		case body != nil && hasName(line, typeName):
			a.contentType = string(bytes.TrimSpace(line[len(typeName):]))
		}
	}
	if chunked {
		err = c.readChunks(body)
	} else {
		err = c.readBody(length, body)
	}
	if err == nil && body != nil {
		a.body = body.Bytes()
	}
	return a, err
}

// hasName reports whether a line of a header begins with a name, in any case.
func hasName(line, name []byte) bool {
	return len(line) > len(name) && line[len(name)-1] == ':' && bytes.EqualFold(line[:len(name)], name)
}

func (c *conn) readBody(n int, body *bytes.Buffer) error {
	if body == nil {
		_, err := c.r.Discard(n)
		return err
	}
	_, err := io.CopyN(body, c.r, int64(n))
	return err
}

func (c *conn) readChunks(body *bytes.Buffer) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		if err := c.readBody(int(n), body); err != nil {
			return err
		}
		if _, err := c.r.Discard(2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
