package backend

import (
	"context"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file has the options of operations and relations.

// Option says something about an operation or a relation. Options are values:
// they can be kept in variables and given to several operations. An option that
// means nothing for what it is given to is a mistake, which panics as others do
// when the operation is added.
type Option interface {
	applyTo(d *definition)
}

// option is an Option for some kinds of definitions.
type option struct {
	name  string // the name of its function
	kinds kinds
	set   func(d *definition)
}

func (o option) applyTo(d *definition) {
	if !o.kinds.have(d.kind) {
		d.fault("%s is for %s, but this is a %s", o.name, o.kinds, d.kind)
		return
	}
	o.set(d)
}

// kinds are the kinds of definitions that an option is for.
type kinds uint8

const (
	forQueries kinds = 1 << iota
	forMutations
	forRelations

	forOperations = forQueries | forMutations
	forAll        = forOperations | forRelations
)

func (k kinds) have(kind kind) bool { return k&(1<<kind) != 0 }

func (k kinds) String() string {
	var names []string
	for i, name := range []string{"queries", "mutations", "relations"} {
		if k.have(kind(i)) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// settings are the values of all options of a definition.
type settings struct {
	routes   []string
	allow    []func(ctx context.Context, in any) error
	inTx     bool
	wantsTx  bool // Tx was given
	tx       TxMode
	timeout  time.Duration
	maxBody  int64 // 0: the default
	rate     rate
	status   int   // 0: the default of the door
	statuses []int // those of SetStatus
	doc      string
	tags     []string
	doors    doorSet
	since    time.Time // since when it is deprecated; zero: not deprecated
	sunset   time.Time
	key      keyUse
	maxAge   time.Duration
	forDoor  map[Door][]any
	produces []string
	headers  map[string]string // of responses → what they are

	requireMatch  bool
	optionalBody  bool
	ignoreUnknown bool
	form          bool
	always        bool
}

// rate is the limit of Rate.
type rate struct {
	requests int
	period   time.Duration
}

func defaultSettings(kind kind) settings {
	return settings{inTx: kind == isMutation, timeout: 10 * time.Second}
}

// check records options that exclude each other.
func (s *settings) check(d *definition) {
	if d.kind == isQuery && s.inTx && s.tx != ReadOnly {
		d.fault("Tx: a query can only have a read-only transaction; register it as a mutation if it writes")
	}
	if s.key != keyIgnored && (!s.inTx || s.tx == ReadOnly) {
		d.fault("Idempotent needs a read-write transaction, in which it stores the key")
	}
	s.doors.check(d)
}

// doorSet is the set of doors that offer an operation.
type doorSet struct {
	onlySet  bool
	only     []Door
	except   []Door
	restOnly bool // only REST can send the output, or take the input
}

// has reports whether a door, or its kind, is in the set.
func (s *doorSet) has(door Door) bool {
	contain := func(list []Door) bool { return slices.ContainsFunc(list, door.isOf) }
	if s.restOnly && !door.isOf(REST) {
		return false
	}
	if s.onlySet {
		return contain(s.only)
	}
	return !contain(s.except)
}

// restrict makes s have only REST doors, because of a type.
func (s *doorSet) restrict(d *definition, what string) {
	s.restOnly = true
	for _, door := range s.only {
		if !door.isOf(REST) {
			d.fault("Only(%q): only REST offers an operation with %s", door, what)
		}
	}
}

func (s *doorSet) check(d *definition) {
	for _, door := range slices.Concat(s.only, s.except) {
		if err := door.check(); err != nil {
			d.fault("Only and Except: %w", err)
		}
	}
	if s.onlySet && len(s.except) > 0 {
		d.fault("Only and Except exclude each other")
	}
}

// keyUse says whether an operation ignores, accepts or requires idempotency keys.
type keyUse uint8

const (
	keyIgnored keyUse = iota
	keyAccepted
	keyRequired
)

// Route says by which method and path a [RESTDoor] calls the operation, as a
// pattern of [Router]: "POST /notes", "GET /notes/{id}". The path's parameters are
// fields of the input. A query has the method GET, which serves HEAD, too. A
// mutation has another method, usually POST, PUT, PATCH or DELETE. Route may be
// given more than once.
func Route(pattern string) Option {
	return option{"Route", forOperations, func(d *definition) { d.settings.routes = append(d.settings.routes, pattern) }}
}

// Allow adds an access rule that sees the input. f returns nil to allow the call, and
// otherwise an error, such as one with the code [Forbidden] or [NotFound]. It runs
// after the access rule, on input that was decoded and validated. In must be the input
// type of the operation, and for a relation the list of parents. Allow may be given
// more than once: every rule must allow the call.
//
// f runs before the operation's transaction, so what it reads from the database may
// change before the function runs. Check in the function who owns a record, with a
// condition in the SQL or [Owned].
func Allow[In any](f func(ctx context.Context, in In) error) Option {
	return option{"Allow", forAll, func(d *definition) {
		if want := reflect.TypeFor[In](); f == nil || want != d.in {
			d.fault("Allow has a function of %s, but the operation takes %s", english.A(want), english.A(d.in))
			return
		}
		d.settings.allow = append(d.settings.allow, func(ctx context.Context, in any) error { return f(ctx, *in.(*In)) })
	}}
}

// Tx runs the operation in a transaction of this mode: [ReadOnly], [ReadWrite] or
// [Serializable]. By default a mutation runs in a ReadWrite transaction, and a
// query in none. A query may only have a ReadOnly one. The transaction may run the
// function again, see [Mutation].
func Tx(mode TxMode) Option {
	return option{"Tx", forOperations, func(d *definition) {
		if mode > Serializable {
			d.fault("Tx: there is no mode %d", mode)
			return
		}
		d.settings.inTx, d.settings.tx, d.settings.wantsTx = true, mode, true
	}}
}

// OutsideTx runs a mutation outside of any transaction: each of its statements takes
// effect by itself, and an error of the function undoes nothing. Queries run outside of
// transactions by default. It is for mutations with slow work, which would hold a
// transaction; statements that belong together go into a [DB.Tx]:
//
//	func (a *App) SignUp(ctx context.Context, in SignUp) (user User, err error) {
//		hash := slowHash(in.Password)
//		err = a.db.Tx(ctx, func(ctx context.Context) error {
//			…
//
// [Idempotent] stores its key in the transaction, and cannot be combined with OutsideTx.
func OutsideTx() Option {
	return option{"OutsideTx", forMutations, func(d *definition) { d.settings.inTx, d.settings.tx, d.settings.wantsTx = false, ReadWrite, false }}
}

// Deadline bounds the time of a call, including the time spent waiting for the
// database. The default is 10 seconds. A call ends no later than the time limit of the
// [Stack].
func Deadline(limit time.Duration) Option {
	return option{"Deadline", forOperations, func(d *definition) {
		if limit <= 0 {
			d.fault("Deadline(%v) must be positive", limit)
		}
		d.settings.timeout = limit
	}}
}

// MaxBody bounds the body of a REST request in bytes. It may be more than the limit of the
// [Stack]. The default is 1 MiB, and for an operation with files the maxsize of each
// [Upload] in addition.
func MaxBody(bytes int64) Option {
	return option{"MaxBody", forMutations, func(d *definition) {
		if bytes <= 0 {
			d.fault("MaxBody(%d) must be positive", bytes)
		}
		d.settings.maxBody = bytes
	}}
}

// OptionalBody accepts a REST request without a body. Its input is that of the body {}; a
// field with in:"body" is absent. Without OptionalBody such a request is [Malformed] if
// any field comes from the body, even if all of them are optional: a body that was lost
// on the way would otherwise be a change of nothing, or of everything to its defaults.
// [Logic.REST] panics if a field from the body is required. [Operation.DecodeJSON]
// follows OptionalBody as well. A body that was sent is checked as always.
func OptionalBody() Option {
	return option{"OptionalBody", forMutations, func(d *definition) { d.settings.optionalBody = true }}
}

// IgnoreUnknown ignores what belongs to no field of the input: members of the JSON, at
// every depth, and over REST parameters of the query string. It is for clients that send
// more than the operation takes, such as the webhooks of other services. Without it they
// are [Invalid], which tells a client that a name is misspelt. A name twice in one object
// stays [Malformed]. The schemas of OpenAPI and [Operation.InputSchema] allow other
// properties.
func IgnoreUnknown() Option {
	return option{"IgnoreUnknown", forOperations, func(d *definition) { d.settings.ignoreUnknown = true }}
}

// Form makes a mutation accept forms over REST, besides JSON:
// application/x-www-form-urlencoded, as a form of HTML sends it, and multipart/form-data.
// The fields of the body are those of the form, by their names:
//
//   - Each field is text, as in a query string. A list has its name once for each element.
//   - HTML cannot leave a field out: "" in a field that is not a string is an absent value,
//     or null in an [Opt]. A bool is true if the form has it as "true" or "on", as a
//     checkbox sends it, and false if the form does not have it. Line breaks are LF, and not
//     the CR LF of browsers.
//   - A field of the type [Upload], or []Upload, is a file. The operation then takes
//     multipart/form-data only, and only REST offers it.
//
// Pages of other sites can send forms, too, with the cookies of the user. [CrossOrigin],
// which is part of [Stack], refuses them; without it, the operation does so itself.
// [MaxBody] bounds the whole form, with its files. [Logic.REST] panics if the input has a
// field that no form can have, such as a struct.
func Form() Option {
	return option{"Form", forMutations, func(d *definition) { d.settings.form = true }}
}

// Rate bounds how often one caller may call the operation: requests at once, and then
// one more each time that period/requests has passed, as with [RateLimit]. An
// anonymous caller is identified by the client's address: that of [ClientIP], or the
// peer's address if the request has passed no middleware of this package. A call over
// the limit is [RateLimited], over REST with Retry-After. Calls whose input is refused
// and calls that get a stored output (see [Idempotent]) count. Calls with wrong
// credentials do not count: RateLimit limits those. Each operation is counted by itself,
// also if several share an Option, for all doors together, and in each process. The
// default is no limit.
func Rate(requests int, period time.Duration) Option {
	return option{"Rate", forOperations, func(d *definition) {
		if err := checkRate(requests, period); err != nil {
			d.fault("Rate: %w", err)
		}
		d.settings.rate = rate{requests, period}
	}}
}

// Status is the HTTP status of success over REST, from 200 to 299. The default is
// 200, 201 for a POST that returns something, and 204 for [None]. With 204 the
// output is not sent. 205 and 206 are refused, because they describe content that
// is not sent whole. more lists further statuses, which the function can choose by
// [SetStatus].
func Status(code int, more ...int) Option {
	return option{"Status", forOperations, func(d *definition) {
		d.settings.status, d.settings.statuses = code, append([]int{code}, more...)
		for _, code := range d.settings.statuses {
			switch {
			case code < 200 || code > 299:
				d.fault("Status(%d) is not a status of success", code)
			case code == http.StatusResetContent || code == http.StatusPartialContent:
				d.fault("Status(%d) is for responses without content or with a part of it; operations send all of it", code)
			}
		}
	}}
}

// Produces lists the media types of the [File] that the operation returns, without parameters:
// Produces("text/csv", "application/pdf"). The description of the API has them. A request whose
// Accept allows none of them is [NotAcceptable], and a File of another type is an error of
// the operation. Without Produces, a File may have any type.
func Produces(types ...string) Option {
	return option{"Produces", forOperations, func(d *definition) {
		for _, t := range types {
			if parsed, params, err := mime.ParseMediaType(t); err != nil || len(params) > 0 || parsed != t || strings.Contains(t, "*") {
				d.fault("Produces: %q is not a media type in lower case without parameters, such as \"text/csv\"", t)
			}
		}
		d.settings.produces = append(d.settings.produces, types...)
	}}
}

// ResponseHeader says in the description of the API that responses have a header, which
// the function sets by [SetHeader], AddHeader or SetCookie. doc is a text in Markdown. It may
// be given more than once.
func ResponseHeader(name, doc string) Option {
	return option{"ResponseHeader", forOperations, func(d *definition) {
		if !header.IsToken(name) {
			d.fault("ResponseHeader: %q is not the name of a header", name)
		}
		if d.settings.headers == nil {
			d.settings.headers = map[string]string{}
		}
		d.settings.headers[http.CanonicalHeaderKey(name)] = doc
	}}
}

// MaxAge lets caches store the responses of a query for age, which is at least a
// second. Fractions of a second are cut. Every cache may store a response to an
// anonymous caller; only the caller's own cache may store a response to any other
// caller. Without MaxAge, no cache stores a response to a caller who is signed in
// (Cache-Control: no-store), and caches revalidate a response to an anonymous caller
// before each use (no-cache).
func MaxAge(age time.Duration) Option {
	return option{"MaxAge", forQueries, func(d *definition) {
		if age < time.Second {
			d.fault("MaxAge(%v) must be a second or more", age)
		}
		d.settings.maxAge = age
	}}
}

// RequireIfMatch makes REST refuse a request without If-Match as
// [PreconditionRequired]. The header names the version to change, so that nobody
// overwrites what somebody else wrote in between. [Logic.REST] panics if there is no
// GET of the same path that needs no other input, or if the mutation has no
// transaction. [Call] and other doors do not check versions.
func RequireIfMatch() Option {
	return option{"RequireIfMatch", forMutations, func(d *definition) { d.settings.requireMatch = true }}
}

// Always loads a relation in every response that has its parents, also if the query
// parameter include does not name it. Use it for what clients always show, and for what
// is part of a record though the database has it in another table. It is loaded for the
// children of other relations, too, if they are loaded. OpenAPI says that the field is
// always there.
//
// A REST response without include has a strong ETag as without relations, which depends
// on all of its content: If-Match is not fulfilled if only an author's name has changed,
// and comparing it loads the relation once more. [Logic.REST] panics if relations with
// Always lead back to the type that they began with, since loading would not end. As all
// relations, it is for REST only: [Call] and the output of a [CustomDoor] do not have it.
func Always() Option {
	return option{"Always", forRelations, func(d *definition) { d.settings.always = true }}
}

// Deprecated says since when an operation should no longer be used, and when it will
// be removed. A zero sunset means that this is not decided. REST sends both in the
// headers Deprecation (RFC 9745) and Sunset (RFC 8594), and documentation shows that the
// operation is deprecated.
func Deprecated(since, sunset time.Time) Option {
	return option{"Deprecated", forOperations, func(d *definition) {
		if since.IsZero() || !sunset.IsZero() && sunset.Before(since) {
			d.fault("Deprecated needs a time since, and a sunset that is not before it")
		}
		d.settings.since, d.settings.sunset = since, sunset
	}}
}

// Only offers the operation through these doors and no others. Only without doors is
// for operations that only the program itself calls, with [Call]. A kind of doors stands
// for all doors of that kind, see [Door]. Doors that the program does not make have no
// effect.
func Only(doors ...Door) Option {
	return option{"Only", forAll, func(d *definition) {
		d.settings.doors.onlySet = true
		d.settings.doors.only = append(d.settings.doors.only, doors...)
	}}
}

// Except offers the operation through all doors except these. A kind of doors stands
// for all doors of that kind: with Except(backend.REST) no REST door offers the
// operation.
func Except(doors ...Door) Option {
	return option{"Except", forAll, func(d *definition) { d.settings.doors.except = append(d.settings.doors.except, doors...) }}
}

// ForDoor attaches a setting for one door to the operation. [Operation.Settings]
// returns it. It is for packages that make a door with [Logic.Door]. They wrap ForDoor
// in an option of their own:
//
//	func Title(text string) backend.Option { return backend.ForDoor(Name, title(text)) }
func ForDoor(door Door, setting any) Option {
	return option{"ForDoor", forOperations, func(d *definition) {
		if err := door.check(); err != nil {
			d.fault("ForDoor: %w", err)
		}
		if d.settings.forDoor == nil {
			d.settings.forDoor = map[Door][]any{}
		}
		d.settings.forDoor[door] = append(d.settings.forDoor[door], setting)
	}}
}

// Doc describes the operation in documentation. The first line of the text is the
// summary; the rest may be Markdown. Without Doc, the summary in OpenAPI is the
// operation's name in words.
func Doc(text string) Option {
	return option{"Doc", forAll, func(d *definition) { d.settings.doc = text }}
}

// Tags group operations in documentation. It may be given more than once.
func Tags(names ...string) Option {
	return option{"Tags", forOperations, func(d *definition) {
		for _, name := range names {
			if !slices.Contains(d.settings.tags, name) {
				d.settings.tags = append(d.settings.tags, name)
			}
		}
	}}
}
