package passpolicy

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommonIsSorted(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, len(common), 110_000)
	require.Zero(t, len(common)%prefixLength)
	numbers := []uint64{}
	for i := 0; i < len(common); i += prefixLength {
		numbers = append(numbers, number(common[i:]))
	}
	require.True(t, slices.IsSorted(numbers))
	require.Len(t, slices.Compact(numbers), len(common)/prefixLength)
}

func TestIsCommon(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"password", "12345", "dragon", "iloveyou", "qwerty123", "trustno1"} {
		require.True(t, isCommon([]byte(word)), word)
	}
	for _, word := range []string{"", "Password", "passwort-", "vt7#qlm2!x", "a"} {
		require.False(t, isCommon([]byte(word)), word)
	}
}

func TestIsCommonAllocatesNothing(t *testing.T) {
	word, other := []byte("password"), []byte("vt7#qlm2!x")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !isCommon(word) || isCommon(other) {
			t.Error("found the wrong one")
		}
	}))
}

// A row with a character twice would be followed wrongly.
func TestWalks(t *testing.T) {
	t.Parallel()
	for i := range walks {
		successors := map[byte]bool{}
		for _, next := range walks[i] {
			require.False(t, next != 0 && successors[next], "row %d: %q", i, next)
			successors[next] = true
		}
	}
}

func TestWorth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text  string
		words bool
		want  int
	}{
		{"", false, 0},
		{"x", false, 2},
		{"xyxy", false, 8},
		{"xkvxkv", false, 8},
		{"xkvxkvxkvxkv", false, 8},
		{"xxxxxxx", false, 3},
		{"abcdefg", false, 3},
		{"gfedcba", false, 3},
		{"aabbccd", false, 3},
		{"yzabc", false, 3},
		{"90123", false, 3},
		{"qwerty", false, 3},
		{"ytrewq", false, 3},
		{"abc", false, 6},
		{"qwertabcd", false, 6},
		{"dragon", false, 12},
		{"dragon", true, 0},
		{"dr4g0n", true, 0},
		{"dragonmonkey", true, 8},
		{"dragondragon", true, 2},
		{"xdragonx", true, 4},
		{"яяяяяя", false, 3},
		{"ключ", false, 8},
		{"密码密码密码", false, 6},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			var read *reader
			if test.words {
				read = newReader([]rune(test.text))
			}
			require.Equal(t, test.want, newText([]rune(test.text)).worth(read))
		})
	}
}

// Signs stand for letters in words that are on the list only with letters.
func TestLetters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ typed, word string }{
		{"computer", "computer"},
		{"br0thers", "brothers"},
		{"comput3r", "computer"},
		{"compu7er", "computer"},
		{"compu+er", "computer"},
		{"jenn!fer", "jennifer"},
		{"jenn|fer", "jennifer"},
		{"mi1itary", "military"},
		{"mi!itary", "military"},
		{"milit4ry", "military"},
		{"milit@ry", "military"},
		{"prince5s", "princess"},
		{"princes$", "princess"},
		{"foot8all", "football"},
		{"desi9ner", "designer"},
		{"compu#er", ""},
		{"computär", ""},
	} {
		t.Run(test.typed, func(t *testing.T) {
			t.Parallel()
			plain := isCommon([]byte(test.typed))
			require.Equal(t, test.typed == test.word, plain, "on the list as it is")
			require.Equal(t, test.word != "", newReader([]rune(test.typed)).isCommon(0, 8))
		})
	}
}
