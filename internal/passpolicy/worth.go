package passpolicy

// This file estimates how much of a password cannot be foreseen.
//
// A text is cut into pieces: single characters, walks, repetitions and common passwords. Each
// kind of piece is worth a number of half characters. The worth of the text is the least sum of
// all ways to cut it, as an attacker would try the simplest way first. It is found by dynamic
// programming from the left to the right: least[i] is the worth of the first i characters.

// The worth of the pieces, in half characters.
const (
	worthCharacter = 2
	worthWalk      = 3
	worthRepeated  = 2
	worthWord      = 8 // of each common password but one, which is worth nothing

	enough         = 16
	enoughOfHalves = 10 // more often small by chance
	never          = 1 << 30
)

// The least lengths of pieces. Shorter ones occur in words and in random texts by chance.
const (
	minWalk     = 4
	minRepeated = 3
)

// maxWordStart bounds the time for long texts: common passwords are looked for only where they
// begin before this character.
const maxWordStart = 64

// cuts holds the least worth of each part of a text that starts at its start.
type cuts struct {
	least []int // without a common password that is worth nothing
	freed []int // with one
}

func newCuts(length int) cuts {
	all := make([]int, 2*(length+1))
	for i := range all {
		all[i] = never
	}
	all[0] = 0
	return cuts{all[:length+1], all[length+1:]}
}

// add adds a piece from start to end.
func (c cuts) add(start, end, worth int) {
	c.least[end] = min(c.least[end], c.least[start]+worth)
	c.freed[end] = min(c.freed[end], c.freed[start]+worth)
}

// addWord adds a common password from start to end.
func (c cuts) addWord(start, end int) {
	c.add(start, end, worthWord)
	c.freed[end] = min(c.freed[end], c.least[start])
}

// text is a password in lower case with the lengths of the pieces that start at each character.
type text struct {
	characters []rune
	repeated   []int
	walk       []int
}

func newText(characters []rune) text {
	return text{characters, repetitions(characters), walkLengths(characters)}
}

// worth returns the worth of a text, or some number that is enough. Without a reader, it does
// not look for common passwords.
func (t text) worth(read *reader) int {
	length := len(t.characters)
	c := newCuts(length)
	for i := range length {
		if min(c.least[i], c.freed[i]) >= enough {
			continue
		}
		c.add(i, i+1, worthCharacter)
		for n := minRepeated; n <= t.repeated[i]; n++ {
			c.add(i, i+n, worthRepeated)
		}
		for n := minWalk; n <= t.walk[i]; n++ {
			c.add(i, i+n, worthWalk)
		}
		if read == nil || i >= maxWordStart {
			continue
		}
		for n := minWord; n <= min(maxWord, length-i); n++ {
			if read.isCommon(i, i+n) {
				c.addWord(i, i+n)
			}
		}
	}
	return min(c.least[length], c.freed[length])
}

// worthOfHalves returns the worth of the characters at even and those at odd positions, each on
// their own. It is small for two patterns that are interleaved, such as 1a2b3c4d.
func worthOfHalves(characters []rune) int {
	half := make([]rune, 0, len(characters))
	sum := 0
	for start := range 2 {
		half = half[:0]
		for i := start; i < len(characters); i += 2 {
			half = append(half, characters[i])
		}
		sum += newText(half).worth(nil)
	}
	return sum
}

// repetitions returns for each position the length of the longest text from there that also
// starts at an earlier position. The two may overlap: of aaaa, the last three are a repetition.
func repetitions(text []rune) []int {
	longest := make([]int, len(text))
	// common[i] is the length of what is common to the texts from i and from i-distance.
	for distance := 1; distance < len(text); distance++ {
		common := 0
		for i := len(text) - 1; i >= distance; i-- {
			if text[i] == text[i-distance] {
				common++
			} else {
				common = 0
			}
			longest[i] = max(longest[i], common)
		}
	}
	return longest
}

// walks are rows in which people type: what comes next is what they press next. They are
// followed in both directions, and from the end to the start again. Each character occurs in a
// row only once.
var walks = newWalks(
	"abcdefghijklmnopqrstuvwxyz",
	"1234567890",
	"1357924680",
	"147258369",                          // the columns of a keypad, from above
	"789456123",                          // its lines
	"qwertyuiop", "asdfghjkl", "zxcvbnm", // QWERTY
	"qwertzuiop", "yxcvbnm", // QWERTZ
	"azertyuiop", "qsdfghjklm", "wxcvbn", // AZERTY
	"!@#$%^&*()",                           // the row of the digits, with the shift key on a keyboard of the US
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", // the columns of a keyboard
	"zaq1xsw2cde3vfr4bgt5nhy6mju7",
	"1qay2wsx3edc4rfv5tgb6zhn7ujm8ik9ol0p",
	"1q2w3e4r5t6y7u8i9o0p", // two rows in turn
	"q1w2e3r4t5y6u7i8o9p0",
	"qawsedrftgyhujikolp",
	"azsxdcfvgbhnjmk",
)

// row has for each ASCII character its successor in a row, or 0.
type row [128]byte

func newWalks(texts ...string) []row {
	rows := make([]row, 0, 2*len(texts))
	for _, text := range texts {
		var forward, backward row
		for i := range len(text) {
			next := text[(i+1)%len(text)]
			forward[text[i]], backward[next] = next, text[i]
		}
		rows = append(rows, forward, backward)
	}
	return rows
}

// walkLengths returns for each position how many characters from there follow one row. Each may
// occur several times, as in 112233.
func walkLengths(text []rune) []int {
	longest := make([]int, len(text))
	for r := range walks {
		length := 0
		for i := len(text) - 1; i >= 0; i-- {
			if i+1 < len(text) && walks[r].follows(text[i], text[i+1]) {
				length++
			} else {
				length = 1
			}
			longest[i] = max(longest[i], length)
		}
	}
	return longest
}

func (r *row) follows(a, b rune) bool {
	return a == b || a < 128 && b != 0 && rune(r[a]) == b
}

// reader looks up parts of a text in the list of common passwords: as they are, and with the
// letters for which digits and signs often stand.
type reader struct {
	plain []byte    // 0xff for what is not ASCII
	leet  [2][]byte // 1 is i in the first and l in the second
}

func newReader(text []rune) *reader {
	r := new(reader)
	for _, c := range text {
		b := byte(0xff)
		if c < 128 {
			b = byte(c)
		}
		r.plain = append(r.plain, b)
		r.leet[0] = append(r.leet[0], letter(b, 'i'))
		r.leet[1] = append(r.leet[1], letter(b, 'l'))
	}
	return r
}

// letter returns the letter that a character stands for.
func letter(c, one byte) byte {
	switch c {
	case '1', '!', '|':
		return one
	case '0':
		return 'o'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7', '+':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	}
	return c
}

func (r *reader) isCommon(start, end int) bool {
	plain, first, second := r.plain[start:end], r.leet[0][start:end], r.leet[1][start:end]
	return isCommon(plain) ||
		string(first) != string(plain) && isCommon(first) ||
		string(second) != string(first) && isCommon(second)
}
