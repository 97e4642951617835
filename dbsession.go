package backend

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file checks what statements leave behind: SQLite's file, in which the writes must be,
// and the session of the connection. A connection whose session a statement may have changed
// is closed afterwards, so that no other one runs under what is left. internal/sqltext
// recognizes such statements.

// work executes a statement on a connection, and reads its rows.
type work func(context.Context, dbconn.Conn, *statement.Statement) error

// inFile performs work with a statement that writes to SQLite's file. What is acknowledged
// must be in the file that the next start of the program opens, so that is checked before,
// when the statement can be refused, and again afterwards.
func (db *DB) inFile(ctx context.Context, conn dbconn.Conn, s *statement.Statement, work work) error {
	if err := db.intact(conn, false); err != nil {
		return err
	}
	if err := work(ctx, conn, s); err != nil {
		return err
	}
	if err := db.intact(conn, true); err != nil {
		return notFromDatabase{commitUnknown(err)}
	}
	return nil
}

// intact returns an error if SQLite's file, or its WAL, was removed or replaced. The check
// is two calls of stat. used says that the connection has just read or written.
func (db *DB) intact(conn dbconn.Conn, used bool) error {
	if db.file == nil {
		return nil
	}
	err := dbconn.Opened(conn, db.file)
	if err == nil {
		err = dbconn.Intact(conn, used)
	}
	if err != nil {
		return notFromDatabase{(&Error{Code: Unavailable}).Wrap(err)}
	}
	return nil
}

// sameFile returns an error if SQLite's file was removed or replaced.
func (db *DB) sameFile() error {
	if db.file == nil {
		return nil
	}
	now, err := os.Stat(db.path)
	if err == nil && !os.SameFile(db.file, now) {
		err = fmt.Errorf("%s is not the file that was opened; restart the program", db.path)
	}
	if err != nil {
		return (&Error{Code: Unavailable}).Wrap(err)
	}
	return nil
}

// inSession performs work with a statement that may change the session, outside of a
// transaction. If the statement leaves a transaction open, it is undone, and the error
// says so. spent is set if the connection must be closed afterwards.
func (db *DB) inSession(ctx context.Context, spent *bool, conn dbconn.Conn, s *statement.Statement, work work) error {
	if err := db.intact(conn, false); err != nil {
		return err
	}
	*spent = !db.onlyConn(ctx, conn)
	if err := work(ctx, conn, s); err != nil {
		return err
	}
	if err := db.sameFile(); err != nil { // the WAL ends with PRAGMA journal_mode
		return notFromDatabase{commitUnknown(err)}
	}
	if open, known := inTransaction(ctx, db.engine, conn); !known || !open {
		return nil
	}
	err := errors.New("the statement left a transaction open, and what it did was undone; use DB.Tx for transactions")
	if failed := conn.Rollback(ctx); failed != nil {
		err = fmt.Errorf("%w (%w)", err, failed)
	}
	return notFromDatabase{fmt.Errorf("%w: %s", err, sqltext.Clip(s.Query()))}
}

// inSessionOfTx is inSession in a transaction. It returns an error if the statement has
// ended the transaction, as LOCK TABLES and procedures with a COMMIT do on MySQL.
func (db *DB) inSessionOfTx(ctx context.Context, spent *bool, conn dbconn.Conn, s *statement.Statement, work work) error {
	*spent = !db.onlyConn(ctx, conn)
	if err := work(ctx, conn, s); err != nil {
		return err
	}
	if open, known := inTransaction(ctx, db.engine, conn); known && !open {
		return errors.New("the statement ended the transaction of DB.Tx, and what was done before is committed; run it outside of DB.Tx")
	}
	return nil
}

// onlyConn reports whether the database ends with the connection, which must not be
// closed then: it is SQLite in memory, in a pool given to OpenDB.
func (db *DB) onlyConn(ctx context.Context, conn dbconn.Conn) bool {
	if db.engine != SQLite || db.anchor != (rawConn{}) || db.path != "" {
		return false
	}
	file := ""
	rows, err := conn.QueryContext(ctx, "PRAGMA database_list", nil)
	if err != nil {
		return false
	}
	failed, err := dbconn.ReadAll(rows, func(row []column.Value) error {
		if name, _ := row[1].Driver().(string); name == "main" {
			file, _ = row[2].Driver().(string)
		}
		return nil
	})
	return failed == nil && err == nil && file == ""
}

// inTransaction reports whether a transaction is open on a connection, if that can be
// known. SQLite has no statement that begins or ends one and is not refused before.
func inTransaction(ctx context.Context, engine Engine, conn dbconn.Conn) (open, known bool) {
	switch engine {
	case Postgres:
		return pgconn.InTransaction(conn)
	case MySQL:
		rows, err := conn.QueryContext(ctx, "SELECT @@in_transaction", nil)
		if err != nil { // MySQL proper does not have it
			return false, false
		}
		failed, err := dbconn.ReadAll(rows, func(row []column.Value) (err error) {
			n, err := dbconn.Number(row[0].Driver())
			open = n == 1
			return err
		})
		return open, failed == nil && err == nil
	}
	return false, false
}
