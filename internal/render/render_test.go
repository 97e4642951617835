package render_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/render"
)

type note struct {
	ID int `json:"id"`
}

type person struct {
	Name string `json:"name"`
}

// library has notes, whose authors write notes, and says what was asked.
type library struct {
	asked []string
	fails error

	notes           render.Encode
	author, written *render.Relation
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	encode := func(of reflect.Type) render.Encode {
		compiled, err := plan.NewCompiler(plan.Out).Compile(of)
		require.NoError(t, err)
		return jsonout.Compile(compiled).AppendSelected
	}
	l := &library{notes: encode(reflect.TypeFor[[]note]())}
	l.author = &render.Relation{
		Parents: reflect.TypeFor[[]note](), Encode: encode(reflect.TypeFor[*person]()),
		Load: func(_ context.Context, parents reflect.Value) (reflect.Value, error) {
			var authors []*person
			for _, n := range *parents.Interface().(*[]note) {
				authors = append(authors, &person{fmt.Sprint("p", n.ID)})
			}
			authors[0] = nil
			l.asked = append(l.asked, fmt.Sprint("authors of ", *parents.Interface().(*[]note)))
			return reflect.ValueOf(authors), l.fails
		},
	}
	l.written = &render.Relation{
		Parents: reflect.TypeFor[[]person](), Encode: encode(reflect.TypeFor[[]note]()),
		Load: func(_ context.Context, parents reflect.Value) (reflect.Value, error) {
			var written [][]note
			for _, p := range *parents.Interface().(*[]person) {
				written = append(written, []note{{len(p.Name)}, {10}})
			}
			l.asked = append(l.asked, fmt.Sprint("notes of ", *parents.Interface().(*[]person)))
			return reflect.ValueOf(written), nil
		},
	}
	return l
}

func (l *library) append(t *testing.T, selection *render.Selection, spend func(int) error) (string, error) {
	t.Helper()
	text, err := render.Append(t.Context(), []byte("> "), l.notes, reflect.ValueOf([]note{{1}, {2}, {3}}), selection, spend)
	return strings.TrimPrefix(string(text), "> "), err
}

func everywhere(parent reflect.Type, members ...render.Member) *render.Selection {
	return &render.Selection{Everywhere: map[reflect.Type][]render.Member{parent: members}}
}

// Each relation is loaded once for all parents of a level.
func TestRelationsAreLoadedByLevel(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	again := everywhere(reflect.TypeFor[note](), render.Member{Key: "by", Relation: l.author})
	written := everywhere(reflect.TypeFor[person](), render.Member{Key: "wrote", Relation: l.written, Of: again})
	selection := everywhere(reflect.TypeFor[note](), render.Member{Key: "author", Relation: l.author, Of: written}, render.Member{Key: "alias", Relation: l.author})
	var spent []int
	text, err := l.append(t, selection, func(n int) error { spent = append(spent, n); return nil })
	require.NoError(t, err)
	require.Equal(t, `[{"id":1,"author":null,"alias":null},`+
		`{"id":2,"author":{"name":"p2","wrote":[{"id":2,"by":null},{"id":10,"by":{"name":"p10"}}]},"alias":{"name":"p2"}},`+
		`{"id":3,"author":{"name":"p3","wrote":[{"id":2,"by":{"name":"p2"}},{"id":10,"by":{"name":"p10"}}]},"alias":{"name":"p3"}}]`, text)
	require.Equal(t, []string{"authors of [{1} {2} {3}]", "notes of [{p2} {p3}]", "authors of [{2} {10} {2} {10}]", "authors of [{1} {2} {3}]"}, l.asked)
	require.Equal(t, []int{3, 2, 4, 3}, spent)
}

func TestWithoutRelationsNothingIsLoaded(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	for _, selection := range []*render.Selection{nil, {}, everywhere(reflect.TypeFor[person](), render.Member{Key: "wrote", Relation: l.written})} {
		text, err := l.append(t, selection, func(int) error { return errors.New("nothing is loaded") })
		require.NoError(t, err)
		require.Equal(t, `[{"id":1},{"id":2},{"id":3}]`, text)
	}
	require.Empty(t, l.asked)
}

func TestErrorsEndTheAnswer(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	selection := everywhere(reflect.TypeFor[note](), render.Member{Key: "author", Relation: l.author})
	over := errors.New("over the budget")
	_, err := l.append(t, selection, func(int) error { return over })
	require.ErrorIs(t, err, over)
	require.Empty(t, l.asked, "nothing is loaded for parents that are too many")
	l.fails = errors.New("no database")
	_, err = l.append(t, selection, func(int) error { return nil })
	require.ErrorIs(t, err, l.fails)
	l.fails = nil
	l.author.Encode = func([]byte, reflect.Value, *render.Selection, *[]render.Hole) ([]byte, error) { return nil, over }
	_, err = l.append(t, selection, func(int) error { return nil })
	require.ErrorIs(t, err, over)
}
