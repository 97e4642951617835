package passpolicy_test

import (
	"strings"
	"testing"

	"github.com/seed-215b9b7c/backend/internal/passpolicy"
)

func BenchmarkCheck(b *testing.B) {
	for _, bench := range []struct{ name, password string }{
		{"passphrase", "purple mountain quietly breakfast"},
		{"random", "vT7#qLm2!xRw9Kd"},
		{"pattern", "123456789012345"},
		{"common", "Passw0rd12345678"},
		{"1024 of one", strings.Repeat("a", 1024)},
		{"1024 of ten", strings.Repeat("kx!rm?vq+w", 102)},
		{"1024 with a word", "dragon" + strings.Repeat("a", 1018)},
		{"1024 different", strings.Repeat("abcdefg ", 16) + strings.Repeat("vT7#qLm2!xRw9Kd", 59)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := passpolicy.Policy{Words: []string{"example"}}
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Check(bench.password, "name@example.com")
			}
		})
	}
}
