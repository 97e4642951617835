//go:build unix

package listen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The names are those of LISTEN_FDNAMES in sd_listen_fds(3).
func TestSystemdSocket(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		count int
		names []string
		index int
		wrong string
	}{
		{"", 1, []string{""}, 0, ""},
		{"", 1, []string{"http"}, 0, ""},
		{"", 2, []string{"a", "b"}, 0, "systemd passed 2 sockets; choose one with systemd:NAME (a, b)"},
		{"b", 2, []string{"a", "b"}, 1, ""},
		{"a", 2, []string{"a", "a"}, 0, ""},
		{"b", 1, []string{"a", "b"}, 0, `systemd passed no socket named "b", only ["a" "b"]`},
		{"c", 2, []string{"a"}, 0, `systemd passed no socket named "c", only ["a"]`},
	} {
		index, err := systemdSocket(test.name, test.count, test.names)
		if test.wrong != "" {
			require.EqualError(t, err, test.wrong)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.index, index)
	}
}
