package backend

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file names the fields of an input whose values violate a UNIQUE or NOT NULL constraint
// or a foreign key of the database.

// violation is the error of an operation with the fields of its input.
type violation struct {
	error        // as the function has returned it
	named *Error // what is in error, with the fields
}

func (v *violation) Unwrap() []error { return []error{v.named, v.error} }

// namesFields returns the error of the operation's function with the fields of the input
// whose columns were violated. It returns err itself if there are none. The fields that
// the error of a call within this one has are those of another input, and are left out.
func (r *registered) namesFields(ctx context.Context, err error) error {
	known, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	failed, ok := known.cause.(*DBError)
	if !ok || known.Message != dbCodes[failed.kind].Message {
		return err // the program has explained it
	}
	fields := r.violated(failed.kind, failed.violatedColumns(ctx))
	if len(fields)+len(known.Fields) == 0 {
		return err
	}
	named := *known
	named.Fields = fields
	return &violation{err, &named}
}

// violated returns the errors of the fields that are one of the columns.
func (r *registered) violated(kind dberr.Kind, columns []string) (fields []FieldError) {
	for _, column := range columns {
		if pointer := r.fieldOf(column); pointer != "" {
			fields = append(fields, FieldError{Pointer: pointer, Rule: "unique", Message: "is already taken"})
		}
	}
	for i := range fields {
		switch {
		case kind == dberr.NotNull:
			fields[i].Rule, fields[i].Message = "notnull", "must not be null"
		case kind == dberr.ForeignKey:
			fields[i].Rule, fields[i].Message = "exists", "refers to something that does not exist"
		case len(fields) > 1:
			fields[i].Message = "is already taken together with the other fields"
		}
	}
	return fields
}

// fieldOf returns the pointer to the field of the input that is a column, or "". A field
// with the column's own name comes before one with the same name in another spelling, and a
// field of the input before one of a struct in it, if only one of these has it.
func (r *registered) fieldOf(column string) string {
	if pointer := fieldOf(r.inPlan, "", column); pointer != "" {
		return pointer
	}
	var within []string
	for _, field := range r.inPlan.Fields {
		if pointer := fieldOf(field.Type.Base(), httpin.Pointer(field.Name), column); pointer != "" {
			within = append(within, pointer)
		}
	}
	if len(within) != 1 {
		return ""
	}
	return within[0]
}

func fieldOf(in *plan.Type, at, column string) string {
	var alike []string
	for _, field := range in.Fields {
		name, _, _ := strings.Cut(in.Go.FieldByIndex(field.Index).Tag.Get("db"), ",")
		switch pointer := at + httpin.Pointer(field.Name); {
		case strings.EqualFold(cmp.Or(name, field.Name), column):
			return pointer
		case name == "" && spelledAlike(field.Name, column):
			alike = append(alike, pointer)
		}
	}
	if len(alike) != 1 {
		return ""
	}
	return alike[0]
}

// spelledAlike reports whether two names differ in case and underscores only.
func spelledAlike(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", ""), strings.ReplaceAll(b, "_", ""))
}

// violatedColumns returns the columns whose values are there already, are null, or refer to
// something that is missing. It returns nil if they are not known.
func (e *DBError) violatedColumns(ctx context.Context) []string {
	switch {
	case e.kind == dberr.NotNull && e.Column != "":
		return []string{e.Column}
	case e.kind == dberr.ForeignKey && !e.missing, e.kind != dberr.ForeignKey && e.kind != dberr.Unique:
		return nil
	case e.kind == dberr.Unique && e.Engine == MySQL:
		return e.columnsOfIndex(ctx)
	}
	return e.columns
}

// columnsOfIndex asks MySQL for the columns of the index that was violated: the error has
// only its name. The name alone tells nothing, since an index without a name in CREATE
// TABLE has the name of the first of its columns. The index belongs to a table that the
// query names. If several of them have an index of this name, its columns must be the
// same in all.
func (e *DBError) columnsOfIndex(ctx context.Context) []string {
	type part struct {
		Table  string  `db:"in_table"`
		Column *string `db:"in_column"`
	}
	parts, err := All[part](ctx, e.db, "SELECT table_name AS in_table, column_name AS in_column FROM information_schema.statistics"+
		" WHERE table_schema = DATABASE() AND non_unique = 0 AND index_name = ? ORDER BY table_name, seq_in_index", e.Constraint)
	if err != nil {
		return nil
	}
	words, byTable := sqltext.Lead(sqltext.MySQL, e.Query, len(e.Query)), map[string][]string{}
	for _, p := range parts {
		switch {
		case !slices.ContainsFunc(words, func(word sqltext.Token) bool { return strings.EqualFold(word.Text, p.Table) }):
		case p.Column == nil: // an expression
			return nil
		default:
			byTable[p.Table] = append(byTable[p.Table], *p.Column)
		}
	}
	var columns []string
	for _, of := range byTable {
		if columns != nil && !slices.Equal(columns, of) {
			return nil
		}
		columns = of
	}
	return columns
}
