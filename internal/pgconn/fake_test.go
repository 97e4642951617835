package pgconn

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
)

// fake is a server that completes the handshake, and then answers each exchange with the
// next of its answers. After the last one it closes the connection, or stalls.
type fake struct {
	listener net.Listener
	answers  [][]byte
	stall    bool
	idle     []byte // sent after the handshake, with it
}

func newFake(t *testing.T, f *fake) *Conn {
	t.Helper()
	var err error
	f.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { f.listener.Close() })
	go f.serve(t.Context())
	k, err := NewConnector("postgres://any@"+f.listener.Addr().String()+"/db?sslmode=disable", Config{})
	require.NoError(t, err)
	conn, err := k.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		conn.Close()
		require.NoError(t, k.Close())
	})
	return conn.(*Conn)
}

func (f *fake) serve(ctx context.Context) {
	conn, err := f.listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := readRequest(conn, false); err != nil {
		return
	}
	welcome := join(text('R', "\x00\x00\x00\x00"), text('S', "TimeZone\x00UTC\x00"), text('K', "\x00\x00\x00\x07\x00\x00\x00\x08"), text('Z', "I"))
	if _, err := conn.Write(append(welcome, f.idle...)); err != nil {
		return
	}
	for _, answer := range f.answers {
		for kind := byte(0); kind != 'S' && kind != 'Q' && kind != 'H'; { // the end of an exchange
			if kind, err = readRequest(conn, true); err != nil {
				return
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
	if f.stall {
		<-ctx.Done()
	}
}

// readRequest reads a message of a client and returns its kind, if it has one.
func readRequest(conn net.Conn, hasKind bool) (kind byte, err error) {
	var head [5]byte
	start := 1
	if hasKind {
		start = 0
	}
	if _, err := io.ReadFull(conn, head[start:]); err != nil {
		return 0, err
	}
	_, err = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[1:]))-4)
	return head[0], err
}

// one column, int4, as text
const oneColumn = "\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00\x04\xff\xff\xff\xff\x00\x00"

var (
	rowOfOne  = text('D', "\x00\x01\x00\x00\x00\x011")
	prepared1 = join(text('1', ""), text('t', "\x00\x01\x00\x00\x00\x17"), text('T', oneColumn), text('Z', "I"))
	oneRow    = join(text('2', ""), text('D', "\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01"), text('C', "SELECT 1\x00"), text('Z', "I"))
)

func readOne(ctx context.Context, c *Conn, kept bool) (n int, err error) {
	text, values := "SELECT 1", []driver.NamedValue(nil)
	if kept {
		text, values = "SELECT $1", named([]driver.Value{int64(1)})
	}
	rows, err := c.QueryContext(ctx, text, values)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); err {
		case nil:
			n++
		case io.EOF:
			return n, nil
		default:
			return n, err
		}
	}
}

func TestAnswersOfAFakeServer(t *testing.T) {
	t.Parallel()
	notices := strings.Repeat(string(join(text('N', "SNOTICE\x00Mx\x00\x00"), text('A', "\x00\x00\x00\x01a\x00b\x00"), text('S', "x\x00y\x00"))), 1000)
	simple := join(text('T', oneColumn), rowOfOne, text('C', "SELECT 1\x00"), text('Z', "I"))
	var between []byte
	for _, m := range [][]byte{text('T', oneColumn), rowOfOne, rowOfOne, text('C', "SELECT 2\x00"), text('Z', "I")} {
		between = append(append(between, notices...), m...)
	}
	for name, test := range map[string]struct {
		answers [][]byte
		kept    bool
		rows    int
	}{
		"simple":                      {[][]byte{simple}, false, 1},
		"kept":                        {[][]byte{prepared1, oneRow}, true, 1},
		"messages at any time":        {[][]byte{between}, false, 2},
		"nothing":                     {[][]byte{join(text('I', ""), text('Z', "I"))}, false, 0},
		"no rows":                     {[][]byte{join(text('C', "SET\x00"), text('Z', "T"))}, false, 0},
		"notices of 1 MB":             {[][]byte{append(text('N', "M"+strings.Repeat("x", 1<<20)+"\x00\x00"), simple...)}, false, 1},
		"an unknown time zone":        {[][]byte{append(text('S', "TimeZone\x00../../etc/passwd\x00"), simple...)}, false, 1},
		"a parameter without a value": {[][]byte{append(text('S', "TimeZone"), simple...)}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, &fake{answers: test.answers})
			n, err := readOne(t.Context(), c, test.kept)
			require.NoError(t, err)
			require.Equal(t, test.rows, n)
			require.False(t, c.bad)
		})
	}
}

// Whatever a server sends, a call ends, in bounded memory, and the connection is not used
// again.
func TestWrongAnswersOfAFakeServer(t *testing.T) {
	t.Parallel()
	good := join(text('T', oneColumn), rowOfOne)
	for name, test := range map[string]struct {
		answers [][]byte
		kept    bool
	}{
		"closed":                        {nil, false},
		"closed when prepared":          {[][]byte{prepared1}, true},
		"garbage":                       {[][]byte{[]byte(strings.Repeat("garbage\n", 100))}, false},
		"HTTP":                          {[][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, false},
		"zeros":                         {[][]byte{make([]byte, 1000)}, false},
		"cut off in a header":           {[][]byte{append(good[:len(good):len(good)], 'C', 0)}, false},
		"cut off in a row":              {[][]byte{good[:len(good)-2]}, false},
		"no ready":                      {[][]byte{append(good[:len(good):len(good)], text('C', "SELECT 1\x00")...)}, false},
		"a row without description":     {[][]byte{rowOfOne}, false},
		"a row of two columns":          {[][]byte{join(text('T', oneColumn), text('D', "\x00\x02\x00\x00\x00\x011\x00\x00\x00\x011"))}, false},
		"a row cut off":                 {[][]byte{join(text('T', oneColumn), text('D', "\x00\x01\x00\x00\x00\x091"))}, false},
		"a row with a negative length":  {[][]byte{join(text('T', oneColumn), text('D', "\x00\x01\xff\xff\xff\xfe"))}, false},
		"a row that goes on":            {[][]byte{join(text('T', oneColumn), text('D', "\x00\x01\xff\xff\xff\xff1"))}, false},
		"a number that is none":         {[][]byte{join(text('T', oneColumn), text('D', "\x00\x01\x00\x00\x00\x01x"))}, false},
		"a number of three bytes":       {[][]byte{prepared1, join(text('2', ""), text('D', "\x00\x01\x00\x00\x00\x03123"))}, true},
		"a huge description":            {[][]byte{text('T', "\xff\xff")}, false},
		"a description in another form": {[][]byte{text('T', oneColumn[:len(oneColumn)-1]+"\x07")}, false},
		"huge parameters":               {[][]byte{join(text('1', ""), text('t', "\xff\xff\x00\x00\x00\x17"))}, true},
		"ready for nothing known":       {[][]byte{join(text('T', oneColumn), text('C', "SELECT 0\x00"), text('Z', "X"))}, false},
		"ready without a state":         {[][]byte{join(text('C', "SET\x00"), text('Z', ""))}, false},
		"a wrong tag":                   {[][]byte{join(prepared1, text('2', ""))}, true},
		"an error without an end":       {[][]byte{join(text('E', "SERROR\x00Mx"), text('Z', "I"))}, false},
		"an error without fields":       {[][]byte{join(text('E', ""), text('Z', "I"))}, false},
		"an error and nothing":          {[][]byte{text('E', "SERROR\x00Mx\x00\x00")}, false},
		"an error and rows":             {[][]byte{join(text('E', "SERROR\x00Mx\x00\x00"), rowOfOne, text('Z', "I"))}, false},
		"a fatal error":                 {[][]byte{text('E', "SFATAL\x00C57P01\x00Mx\x00\x00")}, false},
		"a copy":                        {[][]byte{text('G', "\x00\x00\x00")}, false},
		"a question for a password":     {[][]byte{text('R', "\x00\x00\x00\x03")}, false},
		"no parse":                      {[][]byte{oneRow}, true},
		"a length that lies":            {[][]byte{append([]byte{'D', 0x3f, 0xff, 0xff, 0x00}, make([]byte, 100)...)}, false},
		"a length beyond all":           {[][]byte{{'D', 0xff, 0xff, 0xff, 0xff}}, false},
		"an error with a huge length":   {[][]byte{append([]byte{'E', 0x3f, 0xff, 0xff, 0x00}, make([]byte, 100)...)}, false},
	} {
		for _, stall := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stall=%t", name, stall), func(t *testing.T) {
				t.Parallel()
				c := newFake(t, &fake{answers: test.answers, stall: stall})
				timeout := time.Minute
				if stall {
					timeout = 100 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				_, err := readOne(ctx, c, test.kept)
				require.Error(t, err)
				require.NotErrorIs(t, err, driver.ErrBadConn, "the statement was sent")
				require.Equal(t, errors.Is(err, ErrConnectionLost), !errors.Is(err, context.DeadlineExceeded), "%v", err)
				require.False(t, c.IsValid())
				require.LessOrEqual(t, cap(c.in.buf), 2*readSize)
				_, err = readOne(t.Context(), c, test.kept)
				require.Equal(t, driver.ErrBadConn, err)
			})
		}
	}
}

// The same for answers that are nearly right.
func TestRandomAnswersOfAFakeServer(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	good := join(text('T', oneColumn), rowOfOne, text('N', "Mx\x00\x00"), rowOfOne, text('C', "SELECT 1\x00"), text('Z', "I"))
	for range 300 {
		bad := append([]byte{}, good...)
		for changes := 1 + random.IntN(3); changes > 0 && len(bad) > 0; changes-- {
			switch i := random.IntN(max(1, len(bad)-1)); random.IntN(3) {
			case 0:
				bad[i] = byte(random.Uint32())
			case 1:
				bad = slices.Delete(bad, i, i+1)
			case 2:
				bad = bad[:i+1]
			}
		}
		c := newFake(t, &fake{answers: [][]byte{bad}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for range 2 {
			if _, err := readOne(ctx, c, false); err != nil && serverError(err) == nil {
				require.False(t, c.IsValid(), "%q: %v", bad, err)
			}
		}
		require.NoError(t, ctx.Err())
		require.LessOrEqual(t, cap(c.in.buf), 2*readSize)
		cancel()
	}
}

// What comes with the end of the handshake is not lost.
func TestMessagesAfterTheHandshake(t *testing.T) {
	t.Parallel()
	c := newFake(t, &fake{idle: text('S', "TimeZone\x00Europe/Berlin\x00"), answers: [][]byte{join(text('T', oneColumn), rowOfOne, text('C', "SELECT 1\x00"), text('Z', "I"))}})
	require.Eventually(t, func() bool { return c.ResetSession(t.Context()) == nil }, 10*time.Second, time.Millisecond)
	n, err := readOne(t.Context(), c, false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, "Europe/Berlin", c.location.String())

	c = newFake(t, &fake{idle: text('E', "SFATAL\x00C57P01\x00Mx\x00\x00"), stall: true})
	require.Eventually(t, func() bool { return c.ResetSession(t.Context()) == driver.ErrBadConn }, 10*time.Second, time.Millisecond)
}

// A BEGIN that is answered by something else, and a transaction that is not one.
func TestFakeTransactions(t *testing.T) {
	t.Parallel()
	begin := func(word string) []byte { return join(text('1', ""), text('2', ""), text('C', word+"\x00")) }
	statement := func(status string) []byte {
		return join(text('1', ""), text('2', ""), text('T', oneColumn), rowOfOne, text('C', "SELECT 1\x00"), text('Z', status))
	}
	for name, test := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"right":            {join(begin("BEGIN"), statement("T")), true},
		"another word":     {join(begin("SELECT 1"), statement("T")), false},
		"no transaction":   {join(begin("BEGIN"), statement("I")), false},
		"no answer to it":  {statement("T"), false},
		"a row in between": {join(text('1', ""), text('2', ""), rowOfOne), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, &fake{answers: [][]byte{test.answer, join(text('C', "ROLLBACK\x00"), text('Z', "I"))}})
			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			_, err := readOne(t.Context(), c, false)
			require.Equal(t, test.ok, err == nil, "%v", err)
			require.Equal(t, test.ok, c.Rollback(t.Context()) == nil)
			require.Equal(t, test.ok, c.IsValid())
		})
	}
}

func TestFakeCommits(t *testing.T) {
	t.Parallel()
	begun := join(text('1', ""), text('2', ""), text('C', "BEGIN\x00"), text('1', ""), text('2', ""), text('n', ""), text('C', "INSERT 0 1\x00"), text('Z', "T"))
	for name, test := range map[string]struct {
		answer []byte
		want   error
	}{
		"committed":      {join(text('C', "COMMIT\x00"), text('Z', "I")), nil},
		"rolled back":    {join(text('C', "ROLLBACK\x00"), text('Z', "I")), ErrTxAborted},
		"another word":   {join(text('C', "SELECT 1\x00"), text('Z', "I")), ErrCommitUnknown},
		"still open":     {join(text('C', "COMMIT\x00"), text('Z', "T")), ErrCommitUnknown},
		"no ready":       {text('C', "COMMIT\x00"), ErrCommitUnknown},
		"nothing":        {nil, ErrCommitUnknown},
		"garbage":        {[]byte("garbage garbage"), ErrCommitUnknown},
		"a fatal error":  {text('E', "SFATAL\x00C57P01\x00Mx\x00\x00"), ErrCommitUnknown},
		"an endless one": {[]byte{'C', 0x3f, 0, 0, 0}, ErrCommitUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, &fake{answers: [][]byte{begun, test.answer}})
			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			_, err := c.ExecContext(t.Context(), "INSERT INTO a VALUES (1)", nil)
			require.NoError(t, err)
			require.ErrorIs(t, c.Commit(t.Context()), test.want)
		})
	}
}

func TestFakeBatches(t *testing.T) {
	t.Parallel()
	row := join(text('1', ""), text('2', ""), text('T', oneColumn), rowOfOne, text('C', "SELECT 1\x00"))
	for name, test := range map[string]struct {
		answer []byte
		done   int
		ok     bool
	}{
		"right":             {join(row, row, text('Z', "I")), 2, true},
		"one too few":       {join(row, text('Z', "I")), 1, false},
		"one too many":      {join(row, row, row, text('Z', "I")), 2, true},
		"cut off":           {join(row, row[:20]), 1, false},
		"a second ready":    {join(row, text('Z', "I"), row, text('Z', "I")), 1, false},
		"garbage after one": {join(row, []byte("garbage")), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t, &fake{answers: [][]byte{test.answer}})
			done, err := c.QueryBatch(t.Context(), []dbconn.Request{{Text: "SELECT 1"}, {Text: "SELECT 1"}}, func(_ int, rows driver.Rows) error {
				return rows.Next(make([]driver.Value, 1))
			})
			require.Equal(t, test.ok, err == nil, "%v", err)
			require.Equal(t, test.done, done)
			require.Equal(t, test.ok, c.IsValid())
		})
	}
}
