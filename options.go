package backend

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// This file has the options of operations.

// Option says something about an operation. Options are values: they can be kept
// in variables and given to several operations.
type Option interface {
	applyTo(o *Operation)
}

type optionFunc func(o *Operation)

func (f optionFunc) applyTo(o *Operation) { f(o) }

// operationOptions is what options have said.
type operationOptions struct {
	routes  []string
	allow   []func(ctx context.Context, in any) error
	txSet   bool
	noTx    bool
	tx      TxMode
	timeout time.Duration
	maxBody int64
	limit   rate
	status  int
	doc     string
	tags    []string
	onlySet bool
	only    []Door
	except  []Door
	since   time.Time // deprecated; zero: not
	sunset  time.Time
	key     keyUse
	cache   time.Duration

	requireMatch bool
}

// rate is how often something may happen.
type rate struct {
	requests int
	period   time.Duration
}

func defaultOptions(kind operationKind) operationOptions {
	return operationOptions{noTx: kind == isQuery, tx: ReadWrite, timeout: 10 * time.Second, maxBody: 1 << 20}
}

// check notes options that make no sense, alone or together.
func (p *operationOptions) check(o *Operation) {
	if o.kind == isQuery && !p.noTx && p.tx != ReadOnly {
		o.fault("Tx: a query can only have a read-only transaction; register it as a mutation if it writes")
	}
	if o.kind == isQuery && p.key != keyIgnored {
		o.fault("Idempotent is for mutations; a query can be repeated anyway")
	}
	if p.key != keyIgnored && (p.noTx || p.tx == ReadOnly) {
		o.fault("Idempotent needs a read-write transaction, which the key is part of")
	}
	if p.key != keyIgnored {
		checkReplay(o)
	}
	p.checkDoors(o)
}

// checkDoors notes doors that there are not.
func (p *operationOptions) checkDoors(o *Operation) {
	for _, door := range slices.Concat(p.only, p.except) {
		if door != REST {
			o.fault("Only and Except: there is no door %q; there is backend.REST", door)
		}
	}
	if p.onlySet && len(p.except) > 0 {
		o.fault("Only and Except exclude each other")
	}
}

// Route says by which method and path REST calls the operation, as a pattern of
// [Router]: "POST /notes", "GET /notes/{id}". The path's parameters are fields
// of the input. Queries have the method GET, which serves HEAD, too; mutations have
// others, usually POST, PUT, PATCH or DELETE. It may be given more than once.
func Route(pattern string) Option {
	return optionFunc(func(o *Operation) { o.options.routes = append(o.options.routes, pattern) })
}

// Allow adds a rule that looks at the input: f returns nil to let the call pass,
// and otherwise an error, such as one with the code [Forbidden] or [NotFound].
// It runs after the access rule, on input that was decoded and validated, and
// outside of the operation's transaction. It may be given more than once: every
// rule must let the call pass.
func Allow[In any](f func(ctx context.Context, in In) error) Option {
	return optionFunc(func(o *Operation) {
		if want := reflect.TypeFor[In](); f == nil || want != o.in {
			o.fault("Allow takes a function of a %s, and the operation takes a %s", want, o.in)
			return
		}
		o.options.allow = append(o.options.allow, func(ctx context.Context, in any) error { return f(ctx, *in.(*In)) })
	})
}

// Tx runs the operation in a transaction of this mode: [ReadOnly], [ReadWrite] or
// [Serializable]. A mutation runs in a ReadWrite transaction by default, and a
// query in none; a query may only have a ReadOnly one. The transaction may run the
// function again, see [DB.Tx].
func Tx(mode TxMode) Option {
	return optionFunc(func(o *Operation) {
		if mode > Serializable {
			o.fault("Tx: mode %d is not known", mode)
			return
		}
		o.options.txSet, o.options.noTx, o.options.tx = true, false, mode
	})
}

// OutsideTx runs a mutation outside of any transaction of its own: each of its
// statements is on its own, and an error undoes nothing. It is the default of
// queries.
func OutsideTx() Option {
	return optionFunc(func(o *Operation) {
		o.options.txSet, o.options.noTx, o.options.tx = true, true, ReadWrite
	})
}

// Deadline bounds the time of a call, waiting for the database included. The
// default is 10 seconds. It does not go beyond the time limit of the [Stack].
func Deadline(d time.Duration) Option {
	return optionFunc(func(o *Operation) {
		if d <= 0 {
			o.fault("Deadline(%v) must be positive", d)
		}
		o.options.timeout = d
	})
}

// MaxBody bounds the body of a request in bytes. The default is 1 MiB.
func MaxBody(bytes int64) Option {
	return optionFunc(func(o *Operation) {
		if bytes <= 0 {
			o.fault("MaxBody(%d) must be positive", bytes)
		}
		o.options.maxBody = bytes
	})
}

// Rate bounds how often one caller may call the operation: requests in any
// period, all of them at once or one by one. Callers that are not signed in are
// told apart by their address: that of [ClientIP], or the peer's where no
// middleware has looked at the request. What is beyond the limit is [RateLimited],
// over REST with Retry-After. Refused input counts, too. Limits hold per process,
// for calls through all doors together. The default is no limit.
func Rate(requests int, period time.Duration) Option {
	return optionFunc(func(o *Operation) {
		if err := checkRate(requests, period); err != nil {
			o.fault("Rate: %w", err)
		}
		o.options.limit = rate{requests, period}
	})
}

// Status is the HTTP status of success over REST, 200 to 299. The default is 200,
// 201 for a POST that returns something, and 204 for [None]. With 204 the output
// is not sent; 205 and 206 cannot be, as they say things about content that is
// not ours.
func Status(code int) Option {
	return optionFunc(func(o *Operation) {
		switch {
		case code < 200 || code > 299:
			o.fault("Status(%d) is no success", code)
		case code == http.StatusResetContent || code == http.StatusPartialContent:
			o.fault("Status(%d) has no content, or a part of it; operations answer with all of it", code)
		}
		o.options.status = code
	})
}

// MaxAge lets answers of a query be kept for a time, in whole seconds: by everybody
// if nobody is signed in, and else by the caller only. Without it, an answer to
// somebody who is signed in is not kept at all (Cache-Control: no-store), and one
// to others is not used again without asking (no-cache).
func MaxAge(maxAge time.Duration) Option {
	return optionFunc(func(o *Operation) {
		if maxAge < time.Second || o.kind != isQuery {
			o.fault("MaxAge(%v) takes a second or more, and is for queries", maxAge)
		}
		o.options.cache = maxAge
	})
}

// RequireIfMatch makes a mutation over REST refuse requests that do not say in
// If-Match which version they change, so that nobody overwrites what somebody
// else wrote in between.
func RequireIfMatch() Option {
	return optionFunc(func(o *Operation) {
		if o.kind != isMutation {
			o.fault("RequireIfMatch is for mutations")
		}
		o.options.requireMatch = true
	})
}

// Deprecated says since when an operation should no longer be used, and when it
// will be gone; a zero sunset leaves that open. REST says so in the headers
// Deprecation (RFC 9745) and Sunset (RFC 8594), documentation shows it.
func Deprecated(since, sunset time.Time) Option {
	return optionFunc(func(o *Operation) {
		if since.IsZero() || !sunset.IsZero() && sunset.Before(since) {
			o.fault("Deprecated needs the time since when, and a sunset that is not before it")
		}
		o.options.since, o.options.sunset = since, sunset
	})
}

// Only offers the operation through these doors and no others. Without a door it
// is offered through none, which is for operations that only the program itself
// calls, with [Call].
func Only(doors ...Door) Option {
	return optionFunc(func(o *Operation) {
		o.options.onlySet = true
		o.options.only = append(o.options.only, doors...)
	})
}

// Except offers the operation through all doors but these; see [Only].
func Except(doors ...Door) Option {
	return optionFunc(func(o *Operation) { o.options.except = append(o.options.except, doors...) })
}

// Doc describes the operation in documentation; its first line is the summary, and
// the rest may be Markdown. The default is its name in words.
func Doc(text string) Option {
	return optionFunc(func(o *Operation) { o.options.doc = text })
}

// Tags group operations in documentation. It may be given more than once.
func Tags(names ...string) Option {
	return optionFunc(func(o *Operation) {
		for _, name := range names {
			if !slices.Contains(o.options.tags, name) {
				o.options.tags = append(o.options.tags, name)
			}
		}
	})
}

// offeredBy reports whether a door has the operation.
func (o *Operation) offeredBy(door Door) bool {
	if o.options.onlySet {
		return slices.Contains(o.options.only, door)
	}
	return !slices.Contains(o.options.except, door)
}

// keyUse says what an operation does with Idempotency-Key headers.
type keyUse uint8

const (
	keyIgnored keyUse = iota
	keyAccepted
	keyRequired
)
