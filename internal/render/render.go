package render

import (
	"context"
	"fmt"
	"reflect"
)

// Append appends v to dst as selection has it, with the relations that it
// selects. spend is asked before relations are loaded for a number of parents;
// its error ends the answer. A selection without relations costs no more than
// encode itself.
func Append(ctx context.Context, dst []byte, encode Encode, v reflect.Value, selection *Selection, spend func(parents int) error) ([]byte, error) {
	root := []text{{}}
	var err error
	if root[0].bytes, err = encode(nil, v, selection, &root[0].holes); err != nil {
		return nil, err
	}
	if err := (answer{ctx, spend}).fillAll(root); err != nil {
		return nil, err
	}
	return append(dst, root[0].bytes...), nil
}

// answer is one answer that is being written.
type answer struct {
	ctx   context.Context
	spend func(parents int) error
}

// text is a value that was written without its relations.
type text struct {
	bytes  []byte
	holes  []Hole
	values [][]byte // for each hole
}

// place is a hole of one of several texts.
type place struct{ text, hole int }

// fillAll loads what the holes of all texts are for, each member at once for all
// of them, and writes it into them.
func (a answer) fillAll(texts []text) error {
	var members []*Member // in the order in which they are met
	places := map[*Member][]place{}
	for t := range texts {
		texts[t].values = make([][]byte, len(texts[t].holes))
		for h, hole := range texts[t].holes {
			if places[hole.Member] == nil {
				members = append(members, hole.Member)
			}
			places[hole.Member] = append(places[hole.Member], place{t, h})
		}
	}
	for _, member := range members {
		if err := a.load(texts, member, places[member]); err != nil {
			return err
		}
	}
	for t := range texts {
		texts[t].bytes = fill(texts[t].bytes, texts[t].holes, texts[t].values)
	}
	return nil
}

// load writes the values of one member into the places where it is.
func (a answer) load(texts []text, member *Member, places []place) error {
	if err := a.spend(len(places)); err != nil {
		return err
	}
	relation := member.Relation
	parents := reflect.New(relation.Parents)
	parents.Elem().Set(reflect.MakeSlice(relation.Parents, len(places), len(places)))
	for i, at := range places {
		parents.Elem().Index(i).Set(texts[at.text].holes[at.hole].Parent)
	}
	children, err := relation.Load(a.ctx, parents)
	if err != nil {
		return err
	}
	below := make([]text, len(places))
	for i := range below {
		if below[i].bytes, err = relation.Encode(nil, children.Index(i), member.Of, &below[i].holes); err != nil {
			return fmt.Errorf("relation %s: %w", member.Key, err)
		}
	}
	if err := a.fillAll(below); err != nil {
		return err
	}
	for i, at := range places {
		texts[at.text].values[at.hole] = below[i].bytes
	}
	return nil
}
