package passpolicy_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/passpolicy"
)

// Ordinary words, of which passphrases are made.
var ordinary = strings.Fields(`
	acorn actor afternoon airport almond anchor animal answer apple apron arrow artist autumn bakery balcony
	balloon banana banjo basket battery beach beaver bedroom bicycle biscuit blanket blossom bottle boulder bracket
	branch bread breakfast breeze bridge brother brush bucket builder butter button cabin cactus camel camera
	candle canoe canyon carbon carpet carrot castle cattle ceiling cellar chain chair chalk cherry chicken
	chimney circle circus clay cliff clock cloud clover coast coffee collar compass concert copper coral corner
	cotton cousin cradle crayon cream cricket crystal cucumber curtain cushion dance daisy desert diamond dinner
	doctor dolphin donkey drawer drum eagle earth elbow elephant engine evening fabric falcon family farmer
	feather fence ferry field finger fire flame flower flute forest fork fountain fox frost fruit garden
	garlic gate ghost giraffe glacier glass glove goat gold grain grape grass gravel guitar hammer harbor
	harvest hat hazel hedge helmet hill honey hook horse hotel hour house iceberg insect iron island ivory
	jacket jar jelly jewel journey judge juice jungle kettle key kitchen kite kitten knee ladder lake lamp
	lantern lawyer leaf leather lemon letter library lightning lion lizard lobster lunch magnet mango maple marble
	market meadow medal melon metal midnight milk mirror monkey month moon morning mosquito mountain mouse museum
	mushroom music napkin needle nest night north notebook nurse oak ocean olive onion orange orchard otter
	oven owl oyster paint palace pancake panda paper parade parrot pasta peach peanut pear pebble pencil pepper
	piano picnic pillow pilot pine planet plastic plate pocket pond pony potato powder prairie pumpkin puzzle
	quarter queen quick quiet rabbit radio railway rain raven ribbon rice river robin rocket roof rope rose
	saddle sail salad salmon sand scarf school scissors shadow shelf shell shoe silence silver sister sketch
	snow soap sock sofa soup spider spoon spring square stable stone storm straw street sugar summer sunrise
	swamp table tailor teapot temple thunder ticket tiger timber tomato tower train tree trumpet tulip tunnel turtle
	umbrella uncle valley vanilla velvet village violin volcano wagon walnut water weather whale wheat window winter
	wizard wolf wool yellow zebra`)

func TestPassphrasesPass(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var p passpolicy.Policy
	for i := 0; i < 1000; {
		words := make([]string, 4+random.IntN(2))
		for j := range words {
			words[j] = ordinary[random.IntN(len(ordinary))]
		}
		password := strings.Join(words, []string{"", " ", "-"}[i%3])
		if len(password) < 15 {
			continue
		}
		require.NoError(t, p.Check(password, "name@example.com"), password)
		i++
	}
}

func TestRandomPasswordsPass(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var p passpolicy.Policy
	for i := range 1000 {
		alphabet := []rune([]string{
			"abcdefghijklmnopqrstuvwxyz",
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
			"абвгдежзийклмнопрстуфхцчшщъыьэюя",
			"0123456789abcdef",
		}[i%5])
		password := make([]rune, 15)
		for j := range password {
			password[j] = alphabet[random.IntN(len(alphabet))]
		}
		require.NoError(t, p.Check(string(password), "name@example.com"), string(password))
	}
}

func TestBadPasswords(t *testing.T) {
	t.Parallel()
	bad := strings.Fields(`
		passwordpassword 123456789012345 qwertyuiopasdfg aaaaaaaaaaaaaaa abcabcabcabcabc Passw0rd12345678
		PASSWORDPASSWORD PasswordPassword P@ssw0rdP@ssw0rd password1234567 password!!!!!!! !!!!password!!!!
		1234567password iloveyouiloveyou ILoveYou1234567 letmeinletmein1 dragondragon123 monkeymonkey123
		111111111111111 000000000000000 AAAAAAAAAAAAAAAA zzzzzzzzzzzzzzzzzz ..................... ---------------
		ababababababababa 121212121212121 abc123abc123abc123 xyzxyzxyzxyzxyzxyz k7k7k7k7k7k7k7k7 qweqweqweqweqwe
		abcdefghijklmno zyxwvutsrqponml ABCDEFGHIJKLMNOP abcdefghijklmnopqrstuvwxyz nopqrstuvwxyzabc
		987654321098765 012345678901234 098765432109876 123456789987654321 112233445566778899 aabbccddeeffgghhii
		135791357913579 246802468024680 147258369147258 789456123789456 741852963741852
		qwertyuiop12345 poiuytrewqlkjhg qwertzuiopasdfg azertyuiopqsdfg lkjhgfdsapoiuyt zxcvbnmasdfghjkl
		mnbvcxzlkjhgfdsa yxcvbnmasdfghjkl qwertyqwertyqwerty asdfasdfasdfasdf asdfghjklasdfghjkl QWERTYUIOPASDFG
		1qaz2wsx3edc4rfv zaq1xsw2cde3vfr4 1q2w3e4r5t6y7u8i q1w2e3r4t5y6u7i8 qazwsxedcrfvtgb !@#$%^&*()!@#$%
		1a2b3c4d5e6f7g8h a1b2c3d4e5f6g7h8 10203040506070809 a0b0c0d0e0f0g0h0 qwer1234asdf5678 1234qwer1234qwer
		qwerty123456789 123456789qwerty abcdefg12345678 1234567abcdefgh abcd1234abcd1234 aaaaaaabbbbbbbb
		aaaabbbbccccdddd 1111222233334444 000111222333444 aaaaaaaaaaaaaa1 1aaaaaaaaaaaaaaa
		adminadminadmin rootrootrootroot testtesttesttest welcomewelcome1 Welcome12345678 football123456789
		baseball2024!!! sunshine2023!!! princess1234567 superman!!!!!!! batman123456789 m1cha3l11111111
		m0nkey123456789 dr4g0n123456789 5un5h1ne1234567 1l0v3y0u1234567 $uperman1234567 b@seball1234567
		monkey-dragon-1 dragon.monkey.12 changemechangeme secretsecretsec master123master123 computercomputer
		trustno1trustno1 michael12345678 jennifer1234567 charlie!charlie! shadow--------- 2000dragon2000!
		................1 пароль123456789 яяяяяяяяяяяяяяя`)
	require.GreaterOrEqual(t, len(bad), 100)
	var p passpolicy.Policy
	for _, password := range bad {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			require.GreaterOrEqual(t, utf8.RuneCountInString(password), 15)
			require.ErrorContains(t, p.Check(password), "choose another password")
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const good = "vT7#qLm2!xRw9Kd"
	for _, test := range []struct {
		name     string
		policy   passpolicy.Policy
		password string
		words    []string
		want     string // of the error
	}{
		{"ASVS 6.2.1: 15 by default", passpolicy.Policy{}, good, nil, ""},
		{"ASVS 6.2.1: 14", passpolicy.Policy{}, good[:14], nil, "at least 15 characters"},
		{"ASVS 6.2.1: 8 with a second factor", passpolicy.Policy{MinLength: 8}, good[:8], nil, ""},
		{"ASVS 6.2.1: 7 with a second factor", passpolicy.Policy{MinLength: 8}, good[:7], nil, "at least 8 characters"},
		{"ASVS 6.2.1: never less than 8", passpolicy.Policy{MinLength: 1}, good[:7], nil, "at least 8 characters"},
		{"a negative length", passpolicy.Policy{MinLength: -1}, good[:7], nil, "at least 8 characters"},
		{"empty", passpolicy.Policy{}, "", nil, "at least 15 characters"},
		{"ASVS 6.2.4: a common password", passpolicy.Policy{MinLength: 8}, "Trustno1", nil, "common password"},
		{"ASVS 6.2.5: only lower case", passpolicy.Policy{}, "vtxqlmnexrwkkdj", nil, ""},
		{"ASVS 6.2.8: with spaces around", passpolicy.Policy{}, " vT7#qLm2!xRw9 ", nil, ""},
		{"ASVS 6.2.9: 64 characters", passpolicy.Policy{}, strings.Repeat(good, 5)[:64] + "q", nil, ""},
		{"1024 bytes", passpolicy.Policy{}, good + strings.Repeat("x", 1024-len(good)), nil, ""},
		{"1025 bytes", passpolicy.Policy{}, good + strings.Repeat("x", 1025-len(good)), nil, "at most 1024 bytes"},
		{"NIST: counted in code points", passpolicy.Policy{}, "щюйгкяфывлдбмэц", nil, ""},
		{"bytes do not count", passpolicy.Policy{}, "щюйгкяфывлдбмэ", nil, "at least 15"},
		{"not UTF-8", passpolicy.Policy{}, good + "\xff", nil, "type the password again"},
		{"NUL", passpolicy.Policy{}, good + "\x00", nil, "type the password again"},
		{"passphrase of Chinese words", passpolicy.Policy{MinLength: 8}, "海豚电池正确马钉书机", nil, ""},

		{"ASVS 6.2.11: the local part", passpolicy.Policy{}, "annabellequist-x7k", []string{"annabellequist@example.com"}, "add other words"},
		{"ASVS 6.2.11: the domain", passpolicy.Policy{}, "brightwaterco-x7!k", []string{"a@brightwaterco.example"}, "add other words"},
		{"ASVS 6.2.11: in another case", passpolicy.Policy{}, "AnnabelleQuist-x7k", []string{"ANNABELLEQUIST"}, "add other words"},
		{"ASVS 6.2.11: the name of the application", passpolicy.Policy{Words: []string{"Brightwaterco"}}, "brightwaterco-x7!k", nil, "add other words"},
		{"ASVS 6.2.11: two words", passpolicy.Policy{Words: []string{"Brightwater"}}, "quist-brightwater", []string{"quist@example.com"}, "add other words"},
		{"ASVS 6.2.11: a part of an address", passpolicy.Policy{}, "annabelle-x7k-quist", []string{"annabelle.quist"}, "add other words"},
		{"a pattern is left", passpolicy.Policy{}, "quimbelforaz12345678", []string{"quimbelforaz"}, "add other words"},
		{"the long one is removed first", passpolicy.Policy{}, "annabellequist-x7k", []string{"anna", "annabellequist"}, "add other words"},
		{"8 characters are left", passpolicy.Policy{}, "annabellequist-x7k!mqz", []string{"annabellequist"}, ""},
		{"a short word does not count", passpolicy.Policy{}, "vT7#qLm2!xRw9Kd", []string{"vT7", "#qL", "m2!", "xRw", ""}, ""},
		{"a word of separators", passpolicy.Policy{}, "----vT7#qLm2!xRw9Kd", []string{"----"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.policy.Check(test.password, test.words...)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			if test.password != "" {
				require.NotContains(t, err.Error(), test.password)
			}
		})
	}
}

// Check allows nothing that is too short, too long or no text, and case changes nothing.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"passwordpassword", "vT7#qLm2!xRw9Kd", "Passw0rd12345678", "яяяяяяяяяяяяяяя", "\xff", strings.Repeat("ab", 600), "annabelle-x7k-quist", "ſecretſecretſec\u212a"} {
		f.Add(seed, "annabelle@example.com")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, password, word string) {
		p := passpolicy.Policy{MinLength: 8, Words: []string{"application"}}
		err := p.Check(password, word)
		if err == nil {
			require.GreaterOrEqual(t, utf8.RuneCountInString(password), 8)
			require.LessOrEqual(t, len(password), 1024)
			require.True(t, utf8.ValidString(password))
			require.NoError(t, p.Check(password), "without the word")
		}
		swap := func(r rune) rune {
			switch {
			case r >= utf8.RuneSelf:
				return r
			case unicode.IsUpper(r):
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}
		if utf8.ValidString(password) {
			require.Equal(t, err, p.Check(strings.Map(swap, password), word))
		}
	})
}
