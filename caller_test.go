package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// member is what the program of these tests keeps about an account.
type member struct{ Name, Password string }

// members is an Authenticator that loads a member.
type members struct{ bearer }

func (m members) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	caller, err := m.bearer.Authenticate(ctx, r)
	if caller.SignedIn() {
		caller.Account = &member{"Ann", "hunter2"}
	}
	return caller, err
}

// Operations get the account that the Authenticator has loaded, through every door.
func TestAccountReachesOperations(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, members{}, backend.LogicConfig{})
	name := func(ctx context.Context, _ backend.None) (string, error) {
		_, other := backend.AccountFrom[member](ctx)
		require.False(t, other, "of another type")
		m, ok := backend.AccountFrom[*member](ctx)
		require.Equal(t, backend.CallerFrom(ctx).SignedIn(), ok)
		if !ok {
			return "nobody", nil
		}
		return m.Name, nil
	}
	logic.Add(
		backend.Query("name", backend.Public, name, backend.Route("GET /name")),
		backend.Query("nested", backend.Public, func(ctx context.Context, in backend.None) (string, error) {
			return backend.Call[string](ctx, logic, "name", in)
		}, backend.Route("GET /nested")),
	)
	rest, toy := logic.REST(), toydoor.New(logic)
	for _, path := range []string{"/name", "/nested"} {
		for token, want := range map[string]string{"": "nobody", "Bearer 7": "Ann"} {
			for door, r := range map[http.Handler]*http.Request{
				rest: httptest.NewRequest("GET", path, nil), toy: httptest.NewRequest("POST", path, strings.NewReader("{}")),
			} {
				if token != "" {
					r.Header.Set("Authorization", token)
				}
				w := httptest.NewRecorder()
				door.ServeHTTP(w, r)
				require.Equal(t, `"`+want+`"`, strings.TrimSpace(w.Body.String()), "%s %T", path, door)
				ctx, err := logic.Authenticate(r)
				require.NoError(t, err)
				got, err := backend.Call[string](ctx, logic, path[1:], backend.None{})
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
	}
}

// Whatever prints a caller, or what contains one, leaves the account out.
func TestAccountsAreNotPrinted(t *testing.T) {
	t.Parallel()
	caller := backend.Caller{ID: "7", Roles: []string{"admin"}, Account: member{"Ann", "hunter2"}}
	event := backend.Event{Operation: "op", Caller: caller}
	for _, value := range []any{caller, &caller, event, &event, []backend.Caller{caller}, map[string]backend.Caller{"a": caller}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		fmt.Fprintln(&out, value)
		slog.New(slog.NewTextHandler(&out, nil)).Info("called", "caller", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("called", "caller", value)
		text, err := json.Marshal(value)
		require.NoError(t, err)
		out.Write(text)
		require.Contains(t, out.String(), "admin")
		for _, form := range []string{"Ann", "hunter2", "68756e746572", "104 117"} {
			require.NotContains(t, out.String(), form, "%T", value)
		}
	}
}

func TestAccountIDOf(t *testing.T) {
	t.Parallel()
	type number uint64
	require.Equal(t, backend.AccountID("ann"), backend.AccountIDOf("ann"))
	require.Equal(t, backend.AccountID("12"), backend.AccountIDOf(12))
	require.Equal(t, backend.AccountID("-12"), backend.AccountIDOf(int64(-12)))
	require.Equal(t, backend.AccountID("9007199254740993"), backend.AccountIDOf(backend.ID(9007199254740993)))
	require.Equal(t, backend.AccountID("18446744073709551615"), backend.AccountIDOf(number(18446744073709551615)))
	require.Empty(t, backend.AccountIDOf(""))
	require.Empty(t, backend.AccountIDOf(0), "no database gives it, but every struct begins with it")

	ctx := backend.WithCaller(t.Context(), backend.Caller{ID: "12"})
	require.NoError(t, backend.Owned(ctx, 12))
	require.NoError(t, backend.Owned(ctx, backend.AccountID("12")))
	require.Error(t, backend.Owned(ctx, int64(13)))
	require.Error(t, backend.Owned(t.Context(), 0), "nobody owns nothing")
	require.Error(t, backend.Owned(t.Context(), backend.AccountID("")))
}

// The id of a caller is an argument for a column of any type. The anonymous caller's
// finds nothing and owns nothing.
func TestAccountIDsInQueries(t *testing.T) {
	t.Parallel()
	type note struct {
		ID    int               `db:"id"`
		Owner backend.AccountID `db:"owner"`
	}
	const someID = "0b54e2f4-6a0c-4b6e-9c35-6c2f8f4f4a11"
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		columns := map[string]backend.AccountID{"BIGINT": "9007199254740993", "INTEGER": "12", "VARCHAR(40)": "ann", "TEXT": "12"}
		if db.Engine() == backend.Postgres {
			columns["UUID"] = someID
		}
		if db.Engine() == backend.SQLite {
			columns["INT"] = "9007199254740993"
		}
		for kind, id := range columns {
			tail := ""
			if kind == "INT" {
				tail = " STRICT"
			}
			exec := func(ctx context.Context, statement string, args ...any) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(statement, args...))
				return err
			}
			ctx := t.Context()
			require.NoError(t, exec(ctx, "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner "+kind+" NULL)"+tail))
			require.NoError(t, exec(ctx, "CREATE TABLE owned (owner "+kind+" NOT NULL)"+tail))
			for i, caller := range []backend.Caller{{ID: id}, {}} {
				ctx := backend.WithCaller(ctx, caller)
				require.NoError(t, exec(ctx, "INSERT INTO notes (id, owner) VALUES (?, ?)", i, backend.CallerFrom(ctx).ID), kind)
			}
			if kind == "TEXT" || kind == "VARCHAR(40)" {
				require.NoError(t, exec(ctx, "INSERT INTO notes (id, owner) VALUES (2, '')"))
			}
			for caller, want := range map[backend.AccountID]int{id: 1, "": 0} {
				for _, condition := range []backend.Fragment{
					backend.SQL("owner = ?", caller), backend.SQL("owner IN (?)", []backend.AccountID{caller}), backend.SQL("owner IN (?, ?)", caller, caller),
					backend.SQL("owner = ?", &caller), backend.SQL("owner = ?", backend.Some(caller)),
				} {
					found, err := backend.All[note](ctx, db, "SELECT id, owner FROM notes WHERE ?", condition)
					require.NoError(t, err, "%s %q", kind, caller)
					require.Len(t, found, want, "%s %q", kind, caller)
				}
			}
			rows, err := backend.All[note](ctx, db, "SELECT id, owner FROM notes WHERE id < 2 ORDER BY id")
			require.NoError(t, err)
			require.Equal(t, []note{{0, id}, {1, ""}}, rows, kind)
			nulls, err := backend.One[int](ctx, db, "SELECT COUNT(*) FROM notes WHERE owner IS NULL")
			require.NoError(t, err)
			require.Equal(t, 1, nulls, kind)

			if db.Engine() == backend.SQLite && strings.Contains(kind, "INT") {
				stored, err := backend.One[string](ctx, db, "SELECT typeof(owner) FROM notes WHERE id = 0")
				require.NoError(t, err)
				require.Equal(t, "integer", stored, kind)
			}
			err = exec(ctx, "INSERT INTO owned (owner) VALUES (?)", backend.CallerFrom(ctx).ID)
			require.Equal(t, backend.Invalid, backend.CodeOf(err), "%s: %v", kind, err)
			require.NoError(t, exec(ctx, "INSERT INTO owned (owner) VALUES (?)", id))
			require.NoError(t, exec(ctx, "DROP TABLE notes"))
			require.NoError(t, exec(ctx, "DROP TABLE owned"))
		}
	})
}
