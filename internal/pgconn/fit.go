package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/number"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file compares integers of the server with arguments that their type does not hold: a
// larger number, a fraction, text that is no number. The server would refuse the argument,
// which fails a transaction, although the comparison has a result.

// ErrUnfit is returned for an argument that the integer type of its parameter does not
// hold, in a statement that takes no larger type. Inside a transaction, the transaction has
// failed.
var ErrUnfit = errors.New("an argument does not fit the type of its parameter")

// unfitError is an error of the server that is an ErrUnfit.
type unfitError struct{ cause error }

func (e *unfitError) Error() string        { return ErrUnfit.Error() + ": " + e.cause.Error() }
func (e *unfitError) Unwrap() error        { return e.cause }
func (e *unfitError) Is(target error) bool { return target == ErrUnfit }

// unfit returns err as an error of a statement that fit has changed, and reports whether the
// change is the reason.
func unfit(err error) (_ error, is bool) {
	if answer := serverError(err); answer != nil && strings.HasPrefix(string(answer.Code), "42") {
		return &unfitError{err}, true
	}
	return err, false
}

// judgeUnfit is judge for a statement that fit has changed: the types of its parameters may
// be outdated.
func (c *Conn) judgeUnfit(e *entry, err error) error {
	err, is := unfit(err)
	if !is {
		return err
	}
	if closing := c.cache.Remove(e); closing != nil {
		return closing
	}
	return &doubtfulError{err}
}

// integer is a parameter of an integer type, or of an array of one.
type integer struct {
	index int // of the argument
	bits  int
	array bool
}

// integersOf returns the integers among the types of parameters.
func integersOf(types []oid.Oid) (integers []integer) {
	for i, t := range types {
		switch t {
		case oid.T_int2, oid.T__int2:
			integers = append(integers, integer{i, 16, t == oid.T__int2})
		case oid.T_int4, oid.T__int4:
			integers = append(integers, integer{i, 32, t == oid.T__int4})
		case oid.T_int8, oid.T__int8:
			integers = append(integers, integer{i, 64, t == oid.T__int8})
		}
	}
	return integers
}

// holds reports whether the parameter certainly takes an argument as it is. Of arrays, it
// knows those that are text without quotes, spaces and NULLs.
func (p integer) holds(value driver.Value) bool {
	switch v := value.(type) {
	case int64:
		return !p.array && p.fits(v)
	case float64, []byte:
		return false
	case string:
		if p.array {
			return p.holdsAll(v)
		}
		return p.holdsText(v)
	}
	return true // NULL, or no number
}

func (p integer) holdsText(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && p.fits(n)
}

func (p integer) holdsAll(array string) bool {
	if len(array) < 3 || array[0] != '{' || array[len(array)-1] != '}' {
		return false
	}
	for element := range strings.SplitSeq(array[1:len(array)-1], ",") {
		if !p.holdsText(element) {
			return false
		}
	}
	return true
}

func (p integer) fits(n int64) bool { return n<<(64-p.bits)>>(64-p.bits) == n }

// fit returns a text and arguments for a statement with these integers. Of the arguments
// that the types do not hold, it changes those that are only compared:
//
//   - A number such as 12.0 becomes the integer.
//   - A larger integer is cast to bigint, which compares with the smaller types, and uses
//     their indexes.
//   - Other numbers are cast to numeric, which uses no index, unless they are only compared
//     for equality with a column.
//   - Text that is no number compares as one above all integers.
//   - Elements of an array for = ANY or <> ALL that equal no integer are left out.
//
// changed reports whether the text differs.
func fit(text string, integers []integer, args []driver.NamedValue) (_ string, _ []driver.NamedValue, changed bool) {
	if len(integers) == 0 || !slices.ContainsFunc(integers, func(p integer) bool { return p.index < len(args) && !p.holds(args[p.index].Value) }) {
		return text, args, false
	}
	places, err := sqltext.Placeholders(text)
	if err != nil {
		return text, args, false
	}
	args = slices.Clone(args)
	casts := map[int]sqltext.Cast{}
	for _, p := range integers {
		if p.index >= len(args) || p.holds(args[p.index].Value) {
			continue
		}
		use := useOf(places, p.index+1)
		if !use.compared {
			continue
		}
		value, cast := p.scalar(args[p.index].Value, use)
		if p.array {
			value, cast = p.elements(args[p.index].Value, use)
		}
		args[p.index].Value = value
		if cast.Type != "" {
			casts[p.index+1] = cast
		}
	}
	if len(casts) == 0 {
		return text, args, false
	}
	return sqltext.Recast(text, places, casts), args, true
}

// use is what all placeholders of one parameter have in common.
type use struct{ compared, equal, quantified bool }

func useOf(places []sqltext.Placeholder, number int) use {
	all := use{true, true, true}
	for _, p := range places {
		if p.Number == number {
			all = use{all.compared && p.Compared, all.equal && p.Equal, all.quantified && p.Quantifier != ""}
		}
	}
	return all
}

// scalar returns an argument that the parameter takes after a cast, and the cast.
func (p integer) scalar(value driver.Value, use use) (driver.Value, sqltext.Cast) {
	n := numberOf(value)
	whole, ok := n.Integer(p.bits)
	switch {
	case ok && p.fits(whole):
		return whole, sqltext.Cast{}
	case ok:
		return whole, sqltext.Cast{Type: "bigint"}
	case use.equal:
		return int64(0), sqltext.Cast{Type: "bigint", Never: true}
	}
	return n.Text, sqltext.Cast{Type: "numeric"}
}

// elements is scalar for an array.
func (p integer) elements(value driver.Value, use use) (driver.Value, sqltext.Cast) {
	all, ok := elementsOf(value)
	if !ok {
		return value, sqltext.Cast{}
	}
	var held, others []string
	for _, e := range all {
		if e == nil {
			held, others = append(held, "NULL"), append(others, "NULL")
			continue
		}
		n := numberOf(*e)
		others = append(others, n.Text)
		if n.Exact && p.fits(n.Whole) {
			held = append(held, n.Text)
		}
	}
	switch {
	case len(held) == len(all), use.quantified && len(held) > 0:
		return array(held), sqltext.Cast{}
	case use.equal:
		return "{0}", sqltext.Cast{Type: "bigint[]", Never: true}
	}
	return array(others), sqltext.Cast{Type: "numeric[]"}
}

func array(elements []string) string { return "{" + strings.Join(elements, ",") + "}" }

// numberOf returns the number that an argument is. Text that is none is above all.
func numberOf(value driver.Value) number.Number {
	var text string
	switch v := value.(type) {
	case int64:
		return number.Of(v)
	case float64:
		text = strings.NewReplacer("Inf", "1e999", "NaN", "").Replace(strconv.FormatFloat(v, 'e', -1, 64))
	case string:
		text = v
	case []byte:
		text = string(v)
	}
	if n, ok := number.Parse(text); ok {
		return n
	}
	return number.Above
}

// elementsOf returns the elements of an array, in PostgreSQL's text form, with nil for
// NULL. It reports whether the text is one array without dimensions.
func elementsOf(value driver.Value) (elements []*string, ok bool) {
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	}
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, false
	}
	text = text[1 : len(text)-1]
	for more := text != ""; more; {
		var e *string
		if e, text, ok = element(text); !ok {
			return nil, false
		}
		elements = append(elements, e)
		if more = text != ""; more && text[0] != ',' {
			return nil, false
		}
		text = strings.TrimPrefix(text, ",")
	}
	return elements, true
}

// element returns the first element of a list, and what follows.
func element(list string) (e *string, rest string, ok bool) {
	if !strings.HasPrefix(list, `"`) {
		end := strings.IndexByte(list, ',')
		if end < 0 {
			end = len(list)
		}
		word := list[:end]
		if strings.EqualFold(word, "NULL") {
			return nil, list[end:], true
		}
		return &word, list[end:], word != "" && !strings.ContainsAny(word, `{}"\`)
	}
	var b strings.Builder
	for i := 1; i < len(list); i++ {
		switch list[i] {
		case '"':
			word := b.String()
			return &word, list[i+1:], true
		case '\\':
			if i++; i == len(list) {
				return nil, "", false
			}
		}
		b.WriteByte(list[i])
	}
	return nil, "", false
}

// Statements that are not kept have no types. They are asked for, and remembered, if an
// argument may be one that fit changes.

// maxAsked bounds for how many texts a connector remembers the types.
const maxAsked = 1024

// asked has the integers of a text, and when and after which changes of types they were
// asked for, see narrowAge.
type asked struct {
	integers []integer
	at       time.Time
	types    uint64
}

// fitted is fit for a statement that is not kept.
func (c *Conn) fitted(ctx context.Context, text string, args []driver.NamedValue) (string, []driver.NamedValue, bool, error) {
	if c.keeps(text) || !slices.ContainsFunc(args, mayBeUnfit) || !canPrepare(text) {
		return text, args, false, nil
	}
	integers, err := c.integers(ctx, text)
	if err != nil {
		return text, args, false, err
	}
	text, args, changed := fit(text, integers, args)
	return text, args, changed, nil
}

// mayBeUnfit reports whether there is an integer type that does not hold an argument.
func mayBeUnfit(arg driver.NamedValue) bool {
	return !integer{bits: 16}.holds(arg.Value)
}

// integers returns which parameters of a text are integers.
func (c *Conn) integers(ctx context.Context, text string) ([]integer, error) {
	k := c.connector
	types := k.types.Load()
	k.mu.Lock()
	known, ok := k.asked[text]
	k.mu.Unlock()
	if ok && known.types == types && time.Since(known.at) < narrowAge {
		return known.integers, nil
	}
	var integers []integer
	places, err := sqltext.Placeholders(text)
	if err == nil && slices.ContainsFunc(places, func(p sqltext.Placeholder) bool { return p.Compared }) {
		found, err := c.paramTypes(ctx, text)
		if err != nil {
			return nil, err
		}
		integers = integersOf(found)
	}
	if len(text) > maxCachedText {
		return integers, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asked == nil || len(k.asked) >= maxAsked {
		k.asked = map[string]asked{}
	}
	k.asked[text] = asked{integers, time.Now(), types}
	return integers, nil
}

// mistaken returns the error of a statement that fitted has changed. again reports that it
// failed because of that, and can run as it was: the types may be outdated. It cannot inside
// a transaction, which has failed, too.
func (c *Conn) mistaken(text string, err error) (_ error, again bool) {
	err, is := unfit(err)
	if !is {
		return err, false
	}
	k := c.connector
	k.mu.Lock()
	delete(k.asked, text)
	k.mu.Unlock()
	return err, !c.bad && !c.inTransaction()
}
