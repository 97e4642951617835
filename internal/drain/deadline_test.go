package drain_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// counted counts the deadlines that reach the system.
type counted struct {
	net.Conn
	set atomic.Int32
}

func (c *counted) SetReadDeadline(t time.Time) error {
	c.set.Add(1)
	return c.Conn.SetReadDeadline(t)
}

const (
	timedOut = "read pipe: i/o timeout"
	idleTime = 90 * time.Second
)

var longAgo = time.Unix(1, 0) // what net/http interrupts a read with

// The deadline that counts for a Read is the last one, however they follow each other.
func TestTheLastDeadlineCounts(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, test := range map[string]struct {
		before func(conn net.Conn) // the Read
		during func(conn net.Conn)
		after  time.Duration // 1: at once; when the Read runs into its deadline, or 0 if it does not in an hour
	}{
		"none":                   {func(net.Conn) {}, nil, 0},
		"one":                    {func(c net.Conn) { c.SetReadDeadline(at(time.Second)) }, nil, time.Second},
		"has passed":             {func(c net.Conn) { c.SetReadDeadline(longAgo) }, nil, 1},
		"longer":                 {func(c net.Conn) { c.SetReadDeadline(at(time.Second)); c.SetReadDeadline(at(3 * time.Second)) }, nil, 3 * time.Second},
		"shorter":                {func(c net.Conn) { c.SetReadDeadline(at(3 * time.Second)); c.SetReadDeadline(at(time.Second)) }, nil, time.Second},
		"removed":                {func(c net.Conn) { c.SetReadDeadline(at(time.Second)); c.SetReadDeadline(time.Time{}) }, nil, 0},
		"after the past":         {func(c net.Conn) { c.SetReadDeadline(longAgo); c.SetReadDeadline(at(time.Second)) }, nil, time.Second},
		"no past":                {func(c net.Conn) { c.SetReadDeadline(longAgo); c.SetReadDeadline(time.Time{}) }, nil, 0},
		"while it reads":         {func(net.Conn) {}, func(c net.Conn) { c.SetReadDeadline(at(time.Second)) }, 2 * time.Second},
		"interrupted":            {func(net.Conn) {}, func(c net.Conn) { c.SetReadDeadline(longAgo) }, 1},
		"extended":               {func(c net.Conn) { c.SetReadDeadline(at(2 * time.Second)) }, func(c net.Conn) { c.SetReadDeadline(at(5 * time.Second)) }, 6 * time.Second},
		"removed while it reads": {func(c net.Conn) { c.SetReadDeadline(at(2 * time.Second)) }, func(c net.Conn) { c.SetReadDeadline(time.Time{}) }, 0},
		"both":                   {func(c net.Conn) { c.SetDeadline(at(time.Second)) }, nil, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := serverSide(t, plainly)
				// A Read before leaves a deadline of the system behind.
				conn.SetReadDeadline(at(1500 * time.Millisecond))
				read := reads(conn)
				client.Write([]byte("first"))
				require.Equal(t, "first", <-read)

				test.before(conn)
				began := time.Now()
				read = reads(conn)
				if test.during != nil {
					time.Sleep(time.Second)
					synctest.Wait()
					test.during(conn)
				}
				limit := test.after
				if limit == 0 {
					limit = time.Hour
					if name == "none" {
						limit = 1500 * time.Millisecond // that of before
					}
				}
				time.Sleep(time.Until(began.Add(limit)) - 1)
				synctest.Wait()
				select {
				case <-read:
					if test.after != 1 {
						t.Fatal("too early")
					}
					return
				default:
				}
				if test.after == 0 && name != "none" {
					client.Write([]byte("second"))
					require.Equal(t, "second", <-read)
					return
				}
				require.Equal(t, timedOut, <-read)
				require.Equal(t, began.Add(limit), time.Now())
			})
		})
	}
}

// A request of a keep-alive connection costs as few changes of timers as the interruption
// of net/http's read beside the handler needs.
func TestDeadlinesOfARequestAreFewForTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var system *counted
		client, conn := serverSide(t, func(c net.Conn) net.Conn { system = &counted{Conn: c}; return system })
		requests := int32(100)
		for range requests {
			conn.SetReadDeadline(time.Now().Add(idleTime))
			read := reads(conn)
			client.Write([]byte("GET / HTTP/1.1"))
			require.Equal(t, "GET / HTTP/1.1", <-read)
			conn.SetReadDeadline(time.Time{})
			conn.SetReadDeadline(time.Now().Add(headerTime))
			conn.SetReadDeadline(time.Time{})
			beside := reads(conn)
			synctest.Wait()
			conn.SetReadDeadline(longAgo)
			require.Equal(t, timedOut, <-beside)
			conn.SetReadDeadline(time.Time{})
			time.Sleep(time.Millisecond)
		}
		require.LessOrEqual(t, system.set.Load(), 2*requests+1)
	})
}
