// Package english has the forms of words in messages.
package english

import (
	"fmt"
	"strconv"
	"strings"
)

// A returns the text of a value after its indefinite article: "an int", "a uint", "a *int".
func A(value any) string {
	text := fmt.Sprint(value)
	if text != "" && strings.Contains("aeioAEIO", text[:1]) {
		return "an " + text
	}
	return "a " + text
}

// AType returns the type of a value after its indefinite article.
func AType(value any) string { return A(fmt.Sprintf("%T", value)) }

// Was returns the verb for a number of things: "was" or "were".
func Was[N ~int | ~int64 | ~uint64](n N) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// Count returns a number of things: "1 argument", "2 arguments".
func Count[N ~int | ~int64 | ~uint64](n N, thing string) string {
	text := strconv.FormatInt(int64(n), 10) + " " + thing
	if n != 1 {
		text += "s"
	}
	return text
}
