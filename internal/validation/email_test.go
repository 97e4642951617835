package validation_test

import (
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/validation"
)

var usualEmails = []string{"a@b.cd", "ann@example.com", "Ann.Lee+news@mail-1.example.co.uk", "a_b-c@4.x", "-a-@b--c.d", "9@9.d"}

// unusualEmails are those that validator must look at. It accepts some of them.
var unusualEmails = []string{
	"", "@", "a", "a@", "@b.cd", "a@b", "a@b.", "a@.b", "a@b..c", "a@b.c.", ".a@b.cd", "a.@b.cd", "a..b@c.de", "a@b@c.de", "a b@c.de", "a@b.c d",
	"a@-b.cd", "a@b-.cd", "a@b.c1", "a@b.1c", "a@b.c-d", "a@b_c.de", `"a"@b.cd`, "ä@b.cd", "a@ä.cd", "a@b.cd\n", "a@b.cd\x00", "Ann <a@b.cd>", "<a@b.cd>",
	"a@[1.2.3.4]", "a@b.cd,c@d.ef", "a@b.cd(c)", "o'hara@b.cd", "=?utf-8?q?a?=@b.cd", "a@b.c\xff",
}

func TestUsualEmails(t *testing.T) { // not parallel: it counts allocations
	for _, text := range usualEmails {
		require.True(t, validation.IsUsualEmail(text), text)
	}
	for _, text := range unusualEmails {
		require.False(t, validation.IsUsualEmail(text), text)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { validation.IsUsualEmail("Ann.Lee+news@mail-1.example.co.uk") }))
}

// FuzzUsualEmail requires that validator accepts each usual address.
func FuzzUsualEmail(f *testing.F) {
	for _, text := range append(usualEmails, unusualEmails...) {
		f.Add(text)
	}
	judge := validator.New()
	f.Fuzz(func(t *testing.T, text string) {
		if validation.IsUsualEmail(text) {
			require.NoError(t, judge.Var(text, "email"), text)
		}
	})
}
