package plan

import (
	"errors"
	"time"
)

var errTime = errors.New("is no time of RFC 3339")

// last is the latest time that all engines store.
var last = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

// ParseTime parses a time by RFC 3339, section 5.6, with T and Z in upper case. The time
// package accepts more: hours of one digit, a comma before the fraction, and zone
// offsets of a day, which it cannot format again. Times outside of the years 1 to 9999
// in UTC, and after the last microsecond of the year 9999, are errors: no database
// stores them.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, err
	}
	zone := len(text) - len("+07:00")
	switch {
	case text[len("2006-01-02T1")] == ':', text[len("2006-01-02T15:04:05")] == ',':
		return time.Time{}, errTime
	case text[len(text)-1] != 'Z' && (text[zone+1:zone+3] > "23" || text[zone+4:] > "59"):
		return time.Time{}, errTime
	case t.UTC().Year() < 1, t.After(last):
		return time.Time{}, errTime
	}
	return t, nil
}
