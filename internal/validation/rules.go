package validation

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file finds tags that validator takes without a word, and that are not
// what their author meant.

// level is what a validate tag says of one level of a field: of the field
// itself, or after a dive of the elements of a list or a map.
type level struct {
	rules []string
	keys  []string // of a map's keys, from keys to endkeys
}

// levels splits a tag at its dives.
func levels(tag string) []level {
	all := []level{{}}
	inKeys := false
	for rule := range strings.SplitSeq(tag, ",") {
		last := &all[len(all)-1]
		switch {
		case rule == "":
		case rule == "keys" || rule == "endkeys":
			inKeys = rule == "keys"
		case inKeys:
			last.keys = append(last.keys, rule)
		case rule == "dive":
			all = append(all, level{})
		default:
			last.rules = append(last.rules, rule)
		}
	}
	return all
}

// value returns the type without pointers and Opts.
func value(t *plan.Type) *plan.Type {
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	return t
}

// check returns everything that is wrong with the tags of a struct's fields.
func check(s *plan.Type) error {
	var wrong []error
	for _, field := range s.Fields {
		if field.Validate == "-" {
			continue
		}
		at := fmt.Sprintf("%s.%s", s.Go, field.GoName)
		wrong = append(wrong, undived(at, field), checkLevels(at, field.Type, levels(field.Validate)))
	}
	return errors.Join(wrong...)
}

// undived returns an error for a field that holds structs with tags in a list or
// a map without the rule dive: they are not looked at, so that their tags would
// be there for nothing.
func undived(at string, field *plan.Field) error {
	lists, t := 0, field.Type
	for ; t.Elem != nil && lists < 10; t = t.Elem { // type T []T has no end
		if t.Kind != plan.Pointer && t.Kind != plan.Opt {
			lists++
		}
	}
	dives := len(levels(field.Validate)) - 1
	if t.Kind == plan.Struct && dives < lists && walk(t, map[*plan.Type]bool{}, new([]*plan.Type), new([]any)) {
		return fmt.Errorf("%s: the validate tags in %s are looked at only with the rule dive, once for each list: `validate:\"max=100,dive\"`", at, t.Go)
	}
	return nil
}

// checkLevels looks at what a tag says of each level of a type.
func checkLevels(at string, t *plan.Type, all []level) error {
	var wrong []error
	for i, level := range all {
		t = value(t)
		if i == len(all)-1 {
			break
		}
		switch t.Kind {
		case plan.Slice, plan.Map:
			if !slices.ContainsFunc(level.rules, bounds) {
				wrong = append(wrong, fmt.Errorf("%s: say how many it may have, such as `validate:\"max=100,dive\"`: every one of them is checked, and a request could have hundreds of thousands", at))
			}
		case plan.Array:
		default:
			return errors.Join(append(wrong, fmt.Errorf("%s: the rule dive is for lists and maps, and this is a %s", at, t.Go))...)
		}
		at += map[bool]string{true: "{}", false: "[]"}[t.Kind == plan.Map]
		t = t.Elem
	}
	return errors.Join(wrong...)
}

// bounds reports whether a rule says how many elements there may be at most.
func bounds(rule string) bool {
	name, param, _ := strings.Cut(rule, "=")
	_, err := strconv.ParseInt(param, 0, 64)
	return err == nil && slices.Contains([]string{"max", "lte", "lt", "len", "eq"}, name)
}
