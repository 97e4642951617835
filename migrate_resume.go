package backend

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/migration"
)

// This file decides what becomes of a statement outside a transaction of which nobody
// knows whether it took effect, because the program was cut off while it ran.

// canResume reports whether the statement that was running certainly can run again. The
// migrator has the lock, which was on the connection of the statement, so the statement
// does not run any more.
func (m *migrator) canResume(ctx context.Context, s *step, row *migrationRow) (bool, error) {
	if row.Done >= len(s.up) || row.Checksum != migration.Checksum(s.up[:row.Done+1]) { // an older release wrote the row
		return false, nil
	}
	again, thing := migration.Resume(m.db.engine.dialect(), s.up, row.Done)
	switch again {
	case migration.AgainNever:
		return false, nil
	case migration.AgainAlways:
		return true, nil
	}
	there, known, err := m.isThere(ctx, thing)
	return err == nil && known && there == (again == migration.AgainThere), err
}

// isThere looks up a thing by its name. known is false if the engine has no such list, or
// the table of a column is gone.
func (m *migrator) isThere(ctx context.Context, thing migration.Thing) (there, known bool, err error) {
	if thing.Kind == "COLUMN" {
		there, known, err := m.isThere(ctx, migration.Thing{Kind: "TABLE", Schema: thing.Schema, Name: thing.Table})
		if !there || !known || err != nil {
			return false, false, err
		}
	}
	list := map[Engine]func(migration.Thing) Fragment{SQLite: listSQLite, Postgres: listPostgres, MySQL: listMySQL}[m.db.engine](thing)
	if list == (Fragment{}) {
		return false, false, nil
	}
	n := 0
	err = m.txMode(ctx, ReadOnly, func(ctx context.Context) error {
		n, err = One[int](ctx, m.db, "SELECT COUNT(*) FROM ?", list)
		return err
	})
	return n > 0, err == nil, err
}

func listSQLite(thing migration.Thing) Fragment {
	switch {
	case thing.Schema != "" && !strings.EqualFold(thing.Schema, "main"):
		return Fragment{}
	case thing.Kind == "COLUMN":
		return SQL("pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE", thing.Table, thing.Name)
	}
	return SQL("sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE", strings.ToLower(thing.Kind), thing.Name)
}

// listPostgres lists the things of all schemas, since it is the search_path that decides
// which one a name means.
func listPostgres(thing migration.Thing) Fragment {
	switch thing.Kind {
	case "TABLE", "VIEW", "INDEX", "SEQUENCE":
		return SQL("pg_catalog.pg_class WHERE relname = ?", thing.Name)
	case "COLUMN":
		return SQL("pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.relname = ? AND a.attname = ? AND NOT a.attisdropped", thing.Table, thing.Name)
	case "TRIGGER":
		return SQL("pg_catalog.pg_trigger WHERE tgname = ?", thing.Name)
	}
	return Fragment{}
}

func listMySQL(thing migration.Thing) Fragment {
	schema := SQL("DATABASE()")
	if thing.Schema != "" {
		schema = SQL("?", thing.Schema)
	}
	switch thing.Kind {
	case "TABLE", "VIEW", "SEQUENCE":
		return SQL("information_schema.tables WHERE table_schema = ? AND table_name = ?", schema, thing.Name)
	case "INDEX":
		return SQL("information_schema.statistics WHERE table_schema = ? AND table_name = ? AND index_name = ?", schema, thing.Table, thing.Name)
	case "COLUMN":
		return SQL("information_schema.columns WHERE table_schema = ? AND table_name = ? AND column_name = ?", schema, thing.Table, thing.Name)
	case "TRIGGER":
		return SQL("information_schema.triggers WHERE trigger_schema = ? AND trigger_name = ?", schema, thing.Name)
	case "FUNCTION", "PROCEDURE":
		return SQL("information_schema.routines WHERE routine_schema = ? AND routine_name = ? AND routine_type = ?", schema, thing.Name, thing.Kind)
	case "EVENT":
		return SQL("information_schema.events WHERE event_schema = ? AND event_name = ?", schema, thing.Name)
	}
	return Fragment{}
}

// cutOff returns the error for a statement of which nobody knows whether it took
// effect. It says how to continue.
func (m *migrator) cutOff(s *step, row *migrationRow) error {
	where := fmt.Sprintf("WHERE line = '%s' AND version = %d", m.line, s.version)
	return fmt.Errorf("the program was cut off while it ran statement %d of %d, which is\n%s\n"+
		"Look whether it took effect. If it did not, run\n"+
		"UPDATE backend_migrations SET state = '%s', checksum = '%[8]s' %[5]s\n"+
		"If it did, run\n"+
		"UPDATE backend_migrations SET state = '%[4]s', done = %[6]d, checksum = '%[7]s' %[5]s\n"+
		"Then start the program again",
		row.Done+1, len(s.up), s.up[row.Done], migrationStopped, where,
		row.Done+1, migration.Checksum(s.up[:row.Done+1]), migration.Checksum(s.up[:row.Done]))
}
