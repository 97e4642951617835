package pgconn_test

import (
	"fmt"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

func ExampleNewConnector() {
	connector, err := pgconn.NewConnector("postgres://app:secret@db.example.com/shop?sslmode=verify-full", pgconn.Config{})
	fmt.Println(connector != nil, err) // sql.OpenDB(connector) makes a pool of it

	_, err = pgconn.NewConnector("postgres://app:secret@db.example.com/shop?sslmode=secret", pgconn.Config{})
	fmt.Println(err)
	// Output:
	// true <nil>
	// PostgreSQL URL: the setting sslmode has a value that is not supported
}
