package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Request is a statement of a batch. Its arguments have passed CheckNamedValue.
type Request struct {
	Text string
	Args []driver.NamedValue
}

// Batcher is a Conn that sends several statements in one round trip.
type Batcher interface {
	// QueryBatch executes the requests in order, and calls each with the rows of every one,
	// which it closes afterwards. They must not be used after each has returned, and the
	// connection not before QueryBatch has returned.
	//
	// The first error, of the database or of each, ends the batch. done is how many requests
	// had succeeded by then, which is the index of the one that failed. After an error of the
	// database no further request is executed. After one of each, further ones may have been.
	//
	// Outside of a transaction, the requests are one transaction, which commits at the end,
	// unless the database reports an error. It also commits after an error of each.
	QueryBatch(ctx context.Context, requests []Request, each func(i int, rows driver.Rows) error) (done int, err error)
}

// QueryBatch is [Batcher.QueryBatch]. A connection that is none executes one request after
// another, each in a transaction of its own if none is open.
func QueryBatch(ctx context.Context, conn Conn, requests []Request, each func(i int, rows driver.Rows) error) (done int, err error) {
	if batcher, ok := conn.(Batcher); ok {
		return batcher.QueryBatch(ctx, requests, each)
	}
	return OneByOne(ctx, conn, requests, each)
}

// OneByOne is QueryBatch without a [Batcher].
func OneByOne(ctx context.Context, conn driver.QueryerContext, requests []Request, each func(i int, rows driver.Rows) error) (done int, err error) {
	for i, request := range requests {
		rows, err := conn.QueryContext(ctx, request.Text, request.Args)
		if err != nil {
			return i, err
		}
		if err := oneOf(rows, i, each); err != nil {
			return i, err
		}
	}
	return len(requests), nil
}

func oneOf(rows driver.Rows, i int, each func(i int, rows driver.Rows) error) (err error) {
	defer func() {
		if closing := rows.Close(); closing != nil && !errors.Is(err, closing) {
			err = errors.Join(err, closing)
		}
	}()
	return each(i, rows)
}
