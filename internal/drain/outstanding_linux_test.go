package drain

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The system says how much it has not sent, which falls while it accepts nothing.
func TestOutstanding(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := listener.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.Zero(t, outstanding(server))
	require.NoError(t, server.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = server.Write(make([]byte, 64<<20)) // more than the buffers of the system
	require.Error(t, err)
	before := outstanding(server)
	require.Positive(t, before)
	require.Eventually(t, func() bool {
		_, err := io.ReadFull(client, make([]byte, 256<<10))
		return err == nil && outstanding(server) < before
	}, 30*time.Second, time.Millisecond)
	require.Equal(t, unknown, outstanding(&connection{}))
}
