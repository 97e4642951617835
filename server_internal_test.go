package backend

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The values are those that are promised to users; see ServerConfig.
func TestServerConfigDefaults(t *testing.T) {
	t.Parallel()
	config, err := ServerConfig{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", config.Addr)
	require.Equal(t, 5*time.Second, config.ReadHeaderTimeout)
	require.Equal(t, 30*time.Second, config.ReadTimeout)
	require.Equal(t, 60*time.Second, config.WriteTimeout)
	require.Equal(t, 90*time.Second, config.IdleTimeout)
	require.Equal(t, 65536, config.MaxHeaderBytes)
	require.Equal(t, 20*time.Second, config.ShutdownTimeout)
	require.Zero(t, config.DrainDelay, "without Health nobody is told")

	config, err = ServerConfig{Health: NewHealth()}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, config.DrainDelay)
}

// What Serve puts around a handler costs a request nothing.
func TestServerAllocatesNothingPerRequest(t *testing.T) {
	served := 0
	s := &server{handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.ServeHTTP(w, r) }))
	require.Equal(t, 101, served, "a run to warm up, and a hundred")
}
