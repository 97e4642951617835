// Package backend is for people who build backends: server, database,
// application logic, APIs, middleware and security, in one flat package that a
// program imports and wires together. No code is generated, no state is global, and
// every part works alone with net/http, chi or database/sql.
//
// You register application logic once, as plain typed functions with access rules.
// An adapter for a protocol, such as REST, is called a door. All doors share the same
// access rules, limits, validation and transactions.
//
// A complete program:
//
//	package main
//
//	import (
//		"context"
//		"log"
//
//		"github.com/seed-215b9b7c/backend"
//		_ "github.com/seed-215b9b7c/backend/sqlite"
//	)
//
//	type Note struct {
//		ID    backend.ID `db:"id" json:"id"`
//		Title string     `db:"title" json:"title"`
//	}
//
//	type NoteID struct {
//		ID backend.ID `json:"id"`
//	}
//
//	type CreateNote struct {
//		Title string `json:"title" validate:"required,max=200"`
//	}
//
//	// App is the application: plain functions, of which every API is a door.
//	type App struct{ db *backend.DB }
//
//	func (a *App) Note(ctx context.Context, in NoteID) (Note, error) {
//		return backend.One[Note](ctx, a.db, "SELECT * FROM notes WHERE id = ?", in.ID)
//	}
//
//	func (a *App) CreateNote(ctx context.Context, in CreateNote) (Note, error) {
//		return backend.One[Note](ctx, a.db, "INSERT INTO notes (title) VALUES (?) RETURNING *", in.Title)
//	}
//
//	func main() {
//		ctx := context.Background()
//		db, err := backend.Open(ctx, "sqlite:notes.db") // or postgres://…, or mysql://… with its driver imported
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer db.Close()
//		if _, err := db.Exec(ctx, "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL)"); err != nil {
//			log.Fatal(err)
//		}
//
//		app := &App{db}
//		logic := backend.NewLogic(db, nil, backend.LogicConfig{}) // nil: nobody signs in
//		logic.Add(
//			backend.Query("note", backend.Public, app.Note, backend.Route("GET /notes/{id}")),
//			backend.Mutation("createNote", backend.Public, app.CreateNote, backend.Route("POST /notes")),
//		)
//
//		r := backend.NewRouter()
//		r.Use(backend.Stack(backend.StackConfig{}))
//		rest := logic.REST()
//		r.Mount("/api", rest)
//		r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes"}))
//		if err := backend.Serve(ctx, r, backend.ServerConfig{}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # Parts
//
//   - [Serve] serves any http.Handler with secure limits, and stops without cutting a
//     request off. [Health] has the handlers for load balancers and supervisors.
//   - [Router] routes as http.ServeMux does, without its conflicts.
//   - [Static] serves files, with the hash of their content in their names.
//   - [Stack] is the default middleware in its order. Each of its steps is a
//     [Middleware] of its own, such as [Recover], [AccessLog] and [CrossOrigin].
//   - [Query] and [Mutation] make operations of functions, and [Relation] adds fields
//     to what they return. A [Logic] has all operations. [Logic.REST] serves them,
//     [RESTDoor.OpenAPI] describes them, and [Call] calls them from inside the
//     program. [Access] rules say who may call; an [Authenticator] finds out who
//     calls, and as a [SecurityDescriber] names the schemes of that. [Logic.Door] is for protocols that this package does not know.
//   - [Error] is the error type that clients see. [WriteError] and [Handler] write it.
//   - [PasswordHasher] hashes passwords.
//   - [Sessions] keep values for browsers, each under a [SessionKey], and are an
//     [Authenticator] of the accounts that they have signed in.
//   - [Open] opens PostgreSQL, SQLite, MySQL or MariaDB. [One], [Maybe], [All], [Each]
//     and [DB.Exec] run SQL, which cannot be made from input. [DB.Tx] and [AfterCommit]
//     are for transactions, and [DB.Migrate] migrates the schema.
//
// # Routing
//
// A pattern of a [Router] is [METHOD ]/PATH, where segments of the path are literals or
// wildcards:
//
//   - {name} matches one segment that is not empty.
//   - {name...}, at the end, matches the rest of the path, which may be empty.
//   - A slash at the end also matches the rest of the path, without a name. Such a
//     pattern is a subtree.
//   - {$}, at the end, matches the end of a path that ends in a slash.
//
// A segment that is a wildcard for other routers, such as :id, *path and <id>, is an error,
// unless its first character is percent-encoded.
//
// Literals may be percent-encoded; they match any encoding in requests. GET also
// serves HEAD. A pattern without a method serves all methods except TRACE and CONNECT,
// which need patterns that name them. Patterns with a host are not supported.
//
// If several patterns match a request, the first segment in which they differ decides:
// a literal comes before {name}, and {name} before {name...} and subtrees. Between
// patterns of the same path, one with the method comes before one without. For example,
// /a/{x}/c and not /{y}/b/c serves the path /a/b/c. The order of registration does not
// matter. Two patterns conflict only if they match the same requests; registering the
// second panics. [http.ServeMux] refuses more sets of patterns. For those that it
// accepts, it chooses the same pattern.
//
// The router itself responds with
//
//   - 400 to a path that does not begin with a slash, has an empty segment (//)
//     before its last, a . or .. segment, a backslash or a NUL, percent-encoded or
//     not. Programs read such paths differently, so the router neither cleans nor
//     redirects them. The rule also holds for the part that {name...} matches. An
//     encoded slash (%2F) is part of its wildcard's value, and does not hide a .. .
//   - 307 to the path with a slash appended, if a subtree or {$} matches that and no
//     pattern matches the path itself. The location is on the same origin. Other paths
//     that differ in the slash at the end, such as /notes/ for the pattern /notes, are
//     redirected or served if [Router.TrailingSlash] says so.
//   - 204 with Allow to OPTIONS, unless a pattern has that method. OPTIONS * lists
//     the methods of all patterns. A preflight request ([CORS]) passes the middleware
//     of the pattern that it asks for.
//   - 405 with Allow if patterns match the path but not the method, and 404 if none
//     matches the path; see [Router.MethodNotAllowed] and [Router.NotFound].
//   - 501 to CONNECT without a path, and to a method that is not in RFC 9110,
//     RFC 5789 or any pattern, unless a pattern without a method matches (RFC 9110,
//     section 9.1).
//
// Allow has the methods of all patterns that match the path, with HEAD for GET, and
// OPTIONS. For a pattern without a method it has the methods of RFC 9110 that the
// pattern serves, and PATCH. [WriteError] writes the errors.
//
// # Queries and arguments
//
// [One], [Maybe], [All], [Each] and [DB.Exec] run SQL of the database's engine. The
// SQL is a constant string: a variable does not compile. Build other SQL from
// Fragments, see below. A ? stands for each argument, on every engine. A ? in a string or
// a comment is not a parameter. Neither is an operator of PostgreSQL's JSON types; write
// ?? for an operator that is taken for a parameter. On MySQL, the parameters in a comment
// that every server executes count, as in /*! … */, and those in a comment that depends on
// the version of the server are an error. Arguments are stored as follows:
//
//   - A slice in IN (?) stands for its values. IN matches nothing if there are none,
//     and NOT IN matches everything. The ? must be alone in its parentheses.
//   - A slice or map after a comparison, in another list such as IN (?, ?) or ANY(?), or
//     as a condition is an error. To compare with JSON, pass it as a [json.RawMessage].
//   - A [time.Time] is converted to UTC and truncated to microseconds. So is a type made
//     from it, as in type Deadline time.Time, and a struct that only embeds it.
//   - A [time.Duration] is its number of nanoseconds, for a BIGINT. PostgreSQL's INTERVAL
//     takes text, such as '90 seconds'. A number for it is an error, but with
//     DBConfig.Pooler the server takes it as seconds.
//   - A nil pointer, slice or map is NULL. Any other pointer is what it points to.
//   - A driver.Valuer or an encoding.TextMarshaler converts itself. An [AccountID], such as
//     the ID of the caller, is its text, also for a column of integers or UUIDs; the
//     anonymous caller's is NULL.
//   - []byte, and an array of bytes such as a hash, are stored as they are.
//   - Any other struct, map, slice or array is stored as JSON, for a JSON column.
//     Use pq.Array for PostgreSQL's own arrays. A value whose JSON does not contain it,
//     such as an error, a bytes.Buffer or any struct without exported fields, is an
//     error.
//   - JSON that is only a number, such as 12, must be an int64, or the digits of a
//     float64. Other numbers are an [Invalid] error, since SQLite and MySQL would store
//     another one. Numbers within an array or an object may have any digits. This is
//     checked for a [json.RawMessage] and a json.Marshaler, but not for a string.
//   - An integer column is compared with any number, and with text, as numbers are: 12.0,
//     "12" and "012" are equal to 12. A number that the column cannot hold, a fraction, and
//     text that is no number are equal to none, so that a key from a path finds nothing. To
//     store one is an [Invalid] error, except on SQLite, which stores anything. MySQL would
//     take the number that text begins with, or 0, so it is asked another question for a
//     column on the left of =, <>, IN and NOT IN, as in id = ?. Elsewhere, as in ? = id, it
//     takes that number, and a DELETE or UPDATE with such text may be Invalid. On
//     PostgreSQL, text of a wrong form for another type, such as UUID, is Invalid.
//   - A number that is compared with a text column is its decimal text, except on MySQL,
//     where name = 0 is true for every text that is no number. Pass a string.
//   - Text that is not valid UTF-8 or contains a NUL byte is an [Invalid] error. So
//     are NaN, times outside of the years 1 to 9999 in UTC, and integers larger than
//     the largest int64: not every engine can store them.
//
// [DB.Batch] runs several statements together, on PostgreSQL in one round trip: those of one
// page, for example, or many updates.
//
// A query inside [DB.Tx] that uses its context is part of the transaction. A query
// ends with the deadline of its context, or after DBConfig.Timeout if it has none.
//
// A query runs again on another connection if its connection is lost before the first
// row, up to three times, if it is outside of a transaction and certainly only reads: one
// SELECT, VALUES or WITH, without FOR UPDATE and INTO, whose functions are common ones of
// the engine, such as count and lower. A function of the schema may have an effect, so
// the error is [Unavailable] then.
//
// # Sessions of the database
//
// Statements do not change the session that other statements run in. A connection is
// closed after a statement that may have changed its session, or after the transaction
// of that statement:
//
//   - SET, RESET, USE, ATTACH, LISTEN, PREPARE, LOCK TABLES, and a PRAGMA that changes a
//     setting,
//   - PostgreSQL's set_config and session-level advisory locks, and MySQL's GET_LOCK and
//     variables such as @a,
//   - what creates a temporary table or view,
//   - statements that may do any of these, such as CALL, DO and EXECUTE.
//
// So a setting, a lock or a temporary table lasts for one text or one [DB.Tx]. To read a
// temporary table, or a database that ATTACH has added to SQLite, create or attach it and
// read it within one DB.Tx: queries outside of it have other connections. In a
// transaction, use what ends with it and keeps the connection: on PostgreSQL SET LOCAL,
// set_config with the constant TRUE, and pg_advisory_xact_lock. With DBConfig.Pooler,
// statements that change the session are an error. A function or trigger of the schema
// that changes the session is not noticed.
//
// A statement that begins or ends a transaction is an error. If a procedure leaves a
// transaction open, it is rolled back, and the statement that called it fails. If it ends
// the transaction of DB.Tx, as MySQL's LOCK TABLES does as well, DB.Tx fails.
//
// # Fragments
//
// A [Fragment] is a piece of SQL with its arguments. If it is an argument of a query,
// or of another Fragment, its text replaces the ?, and its own arguments follow. The
// engine prepares each distinct text once.
//
//   - A Fragment is a condition, a list of columns or orders, the rows of VALUES, or
//     a subquery in IN (?). Parameters are found in each text separately. On
//     PostgreSQL a ? after a name or a value is an operator: write
//     "FROM notes WHERE ?" and not "FROM notes ?".
//   - Next to AND, OR or NOT, a Fragment is put in parentheses: "a = ? AND ?" with
//     SQL("b OR c") becomes a = ? AND (b OR c). Elsewhere its text is inserted as it
//     is.
//   - A Fragment is a sequence of whole words and operators. A space separates it
//     from the text around it, and a comment in it ends with it.
//   - A slice in IN (?) works in Fragments, too.
//   - The query "?" runs a whole Fragment, so helpers can return queries.
//   - A *Fragment is what it points to. A nil *Fragment, an empty Fragment, a
//     []Fragment, a Fragment within a list or a struct, and a Fragment with too few or
//     too many arguments are errors.
//   - [JoinSQL] leaves out what [SQLIf] does not want.
//   - Fragments nest up to 100 levels deep.
//
// # Rows and Go types
//
// A row becomes a struct, or a scalar if the query has one column:
//
//   - A column belongs to the field whose db tag has its name. A field without a tag
//     has its own name in lower case, with or without underscores.
//   - The fields of an embedded struct count as fields of the struct.
//   - A column named "author.name" belongs to the field name of the struct field
//     author. If that field is a pointer, it is nil when all its columns are NULL.
//   - A column without a field is ignored. A tagged field without a column is an
//     error.
//   - NULL needs a pointer, an sql.Null, a slice or a map.
//   - An sql.Scanner converts itself, and text an encoding.TextUnmarshaler.
//   - Any other struct, map or slice is read from JSON.
//   - PostgreSQL's TIME, which has no day, is read as text such as 10:30:00. Into a
//     [time.Time] it is an error.
//   - Times are in UTC. A type made from [time.Time], or a struct that only embeds it,
//     is read as a time.
//
// Columns of these types give back what was stored, on every engine:
//
//	                PostgreSQL        SQLite      MySQL, MariaDB
//	int64, ID       BIGINT            BIGINT      BIGINT
//	float64         DOUBLE PRECISION  DOUBLE      DOUBLE
//	bool            BOOLEAN           BOOLEAN     BOOLEAN
//	string          TEXT              TEXT        TEXT, VARCHAR(n)
//	a day, a string CHAR(10)          CHAR(10)    CHAR(10)
//	a decimal       NUMERIC           TEXT        DECIMAL(p, s)
//	time.Time       TIMESTAMPTZ       TIMESTAMP   DATETIME(6)
//	[]byte          BYTEA             BLOB        BLOB, VARBINARY(n)
//	stored as JSON  JSONB             JSON        JSON
//
// A decimal is a string such as "12.50", or a type that converts itself to one. SQLite stores
// text that is a number, in a column of any type but those of text, as an int64 or a float64
// with 15 digits: of 12345678901234567890.12 in a column of the type DECIMAL, NUMERIC or JSON
// the last digits are lost, and of 12.50 the zero. As TEXT it keeps all digits, and compares
// and sorts as text. [DB.Migrate] logs a warning about a DECIMAL or NUMERIC that is declared
// with more digits than it holds, 15, or 18 without a fraction. A [json.Number] that is
// neither an int64 nor has the digits of a float64 is an [Invalid] error on SQLite.
//
// A key that the engine generates is BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY on
// PostgreSQL, INTEGER PRIMARY KEY on SQLite, and BIGINT AUTO_INCREMENT PRIMARY KEY on
// MySQL. A DATE is read as a time; on SQLite it keeps the time of day.
//
// SQLite stores times as text, and compares the text. A time in an argument has the form
// of SQLite's CURRENT_TIMESTAMP and datetime('now'), 2026-01-02 03:04:05, and a fraction
// of a second without zeros at its end. So times of both kinds compare and sort.
// [DB.Migrate] refuses a column of a type TIMESTAMP, DATETIME or DATE whose default, or
// one of whose first and last rows, has another form, and says what to write: a program
// would not find the rows by the times that it has read.
//
// # Migrations
//
// The files of [DB.Migrate] have the format of goose. The name of a file is a number,
// an underscore and a name, such as 0001_create_notes.sql. The line "-- +goose Up"
// precedes the statements to run, and "-- +goose Down" those that undo them. A
// semicolon ends a statement, unless it is in the body of a trigger, rule, function,
// procedure or event. "-- +goose StatementBegin" and "-- +goose StatementEnd" around a
// text make it one statement. Environment variables (ENVSUB) are not replaced.
//
// If the file system has folders named sqlite, postgres or mysql, only the folder of
// the database's engine is read. Otherwise the files of the file system are read, or
// those of the one folder in it.
//
//   - A file runs once. Processes that start at the same time wait for each other.
//   - Files run in the order of their versions. A new file runs even if a file with a
//     higher version has already run, since branches are merged in any order.
//   - A file runs in one transaction. "-- +goose NO TRANSACTION" runs it without one,
//     for statements such as CREATE INDEX CONCURRENTLY. On MySQL, which commits each
//     change of a table, every statement runs by itself.
//   - A file with NO TRANSACTION may have transactions of its own, from BEGIN to COMMIT.
//     Each of them takes effect as a whole. On MySQL this holds for those that change
//     only rows. A file that runs in a transaction may not begin or end one.
//   - SQLite ignores PRAGMA foreign_keys within a transaction. A file that switches
//     foreign keys off, as for rebuilding a table, runs without them. Before it
//     commits, every row that refers to no row is an error, as it is at a statement
//     PRAGMA foreign_key_check. Afterwards foreign keys are as before. Statements that
//     update or delete rows must stand between the two PRAGMAs, or in another file.
//   - SQLite deletes the rows of a table before it drops the table. A DROP TABLE that
//     would so delete or change rows of other tables (ON DELETE CASCADE, SET NULL or
//     SET DEFAULT) is an error, unless the next statements drop these tables as well.
//   - What a file, or a migration in Go, sets for its session, such as FOREIGN_KEY_CHECKS
//     on MySQL or search_path on PostgreSQL, applies to that migration only. A file for
//     MySQL cannot have USE, since the migrations are recorded in the current database.
//   - A file that stopped halfway outside a transaction continues there the next
//     time. If the program was killed while a statement ran, the statement runs again if
//     that is safe: what it creates is not there, or it has no more effect a second time,
//     as CREATE TABLE IF NOT EXISTS. If nobody knows whether it took effect, the error
//     says what to check and which statement to run.
//   - A file that was changed after it had run is an error, and nothing runs. So is a
//     file that has run and is missing, unless its version is newer than all files:
//     an older program may start on a newer database.
//   - The tables of this package, whose names begin with backend_, are migrated too.
//
// # Inputs
//
// The input of an operation is a struct. Its fields have the names of their json
// tags. The value of a field comes from the request:
//
//   - A field that the route names comes from the path.
//   - Any other field of a query comes from the query string.
//   - Any other field of a mutation comes from the JSON body.
//   - The tags in:"header=Name", in:"cookie=name", in:"query" and in:"body" choose
//     another source. A field with in:"body" is the whole body.
//   - A door that has no paths, headers and cookies takes all fields from one
//     object.
//
// A field may be required or optional:
//
//   - A field is required, unless its json tag has omitempty or omitzero, it has the
//     tag default, or it is a pointer or an [Opt]. Zero, false and "" are values like
//     any others.
//   - Pointers and Opts may be null, other fields may not.
//   - The tag default is the value of a boolean, number, string or time that the client
//     leaves out: default:"20". Defaults are not set within a field that is itself left
//     out, and [Call] sets no defaults.
//
// Tags and a method limit the values of fields:
//
//   - The tag validate has the rules of github.com/go-playground/validator. If it has
//     rules for the elements of a list or a map, it must also bound their number:
//     validate:"max=10,dive,max=30". The rules of a pointer or an Opt begin with
//     omitempty, which skips them if the field is absent or null, or with required or
//     notempty. A value that was sent is checked, even if it is zero. Rules that compare
//     two fields are for numbers and times; eqfield and nefield are for strings, too.
//   - The rule required refuses a field that is absent (the message is "is missing") or
//     null. Of a field that is no pointer and no Opt it also refuses "", 0 and false.
//   - The rule notempty, which validator does not have, is for strings, lists and maps,
//     and pointers and Opts of these: the field is sent, and is neither null nor empty.
//     After omitempty, an Opt, a list and a map may be absent, but if they were sent,
//     they are neither null nor empty: validate:"omitempty,notempty". A plain string
//     does not tell absent from empty: take an Opt.
//   - The rule notnull, which validator does not have either, is for an Opt that may be
//     absent, but not null: validate:"omitempty,notnull,min=0".
//   - A method Validate(ctx) error of the input checks what tags cannot express. It is
//     called only if the rules of all tags hold. Methods Validate of types within the
//     input are not called. To tell the client what is wrong, it returns an [*Error],
//     such as that of [InvalidField], or several joined by [errors.Join]. Any other
//     error is [Internal], and only logged.
//
// The tags doc and example are for documentation. For a string, a time, []byte (as
// base64) and an [ID], an example is the string itself: example:"Milk". For other
// types it is JSON. The example must satisfy the field's rules. The tag format names the
// format of a string, or of a type with MarshalText: format:"date-time". It is a note for
// clients, and checks nothing.
//
// # Types
//
// Fields of inputs and outputs may be of these types:
//
//   - booleans, numbers, strings, and types made of them;
//   - an [ID], and other types with MarshalText and UnmarshalText, as strings.
//     UnmarshalText may return an *Error for the client, such as
//     Errorf(Invalid, "must be an amount such as 12.50");
//   - [time.Time], as a string by RFC 3339, in the years 1 to 9999 in UTC. A day is a
//     string with the rule validate:"datetime=2006-01-02";
//   - [time.Duration], as a whole number of nanoseconds;
//   - []byte, as base64; in paths, query strings, headers and cookies as base64url
//     without padding;
//   - slices, arrays, maps with string keys, structs, pointers to these, and types
//     that refer to themselves. The fields of an embedded struct are fields of the
//     outer struct; a pointer to a struct cannot be embedded;
//   - [json.RawMessage], for any JSON.
//
// A type of an input must not have its own UnmarshalJSON. Fields from paths, query
// strings, headers and cookies are scalars or slices of scalars. In a query string, a
// slice is a parameter that is given several times, ?tag=a&tag=b. In a header, commas
// separate the elements.
//
// # REST requests
//
// A [RESTDoor] accepts requests by these rules:
//
//   - A parameter, or a member of the body, that belongs to no field is [Invalid], unless
//     the operation has the option [IgnoreUnknown]. So is a parameter that is given
//     several times for a field that is not a slice.
//   - A body is application/json, and for PATCH also application/merge-patch+json,
//     whose meaning Opt fields have (RFC 7396). Parameters such as charset have no
//     meaning (RFC 8259). Other types, and compressed bodies, are [Unsupported], and
//     the response says in Accept, Accept-Patch or Accept-Encoding what to send.
//   - An operation with the option [Form] takes forms as well:
//     application/x-www-form-urlencoded and multipart/form-data, with files as fields of the
//     type [Upload].
//   - A request without a body is [Malformed] if any field comes from the body, unless
//     the operation has the option [OptionalBody]. If no field does, as with None, the
//     body is absent or {}.
//   - A body that is not JSON, has a name twice in one object, or has data after the
//     object is Malformed.
//   - Fields that are unknown, missing, of another type, or against a rule are Invalid.
//     One response lists them all, each with a JSON pointer. The pointer of a parameter,
//     header or cookie is a slash and its name.
//   - The parameter include=author,comments.author asks for fields that [Relation] has
//     registered, for all values of their parents' types in the output, and for fields
//     of their children. It may be given more than once, and with every method. Relations
//     with [Always] need not be asked for.
//   - If-Match on a mutation makes the mutation's transaction [Serializable]. The GET of
//     the same path is called first in it, by the same caller and with the same headers.
//     If If-Match does not list its ETag, the mutation is [PreconditionFailed]. If the
//     GET fails, the mutation fails with its error, such as [NotFound]. The GET counts
//     as a call of its own operation. [RequireIfMatch] refuses requests without
//     If-Match. A GET whose own ETag If-Match does not list is PreconditionFailed, too.
//     With If-None-Match: * a mutation runs only if that GET finds nothing.
//   - If-Match needs a strong ETag (RFC 9110, section 13.1.1). A proxy that compresses
//     responses changes it: nginx makes it weak, W/"…", and Apache appends -gzip, and the
//     mutation is PreconditionFailed. Let [Compress], which is part of [Stack], compress,
//     and disable compression in the proxy for the door: gzip off in nginx, SetEnv no-gzip
//     in Apache.
//   - Idempotency-Key is the key of operations with [Idempotent]. Others ignore it.
//
// # REST responses
//
// A RESTDoor responds as follows:
//
//   - The status is 200, and the body is the output as JSON, as encoding/json writes it, but
//     a nil slice is [] and a nil map is {}, as encoding/json/v2 writes them. A list that may
//     be null is a pointer. A POST has 201, with a Location if there is a GET for what was
//     created: for POST /tasks, a GET /tasks/{id}, where the output has a field id. None has
//     204. The option [Status] changes this.
//   - The response to a GET has an ETag. It is made from the content, or from the
//     output's method ETag() string, which returns the value without quotes, unless
//     that is empty. The
//     response to a request with If-None-Match that lists the ETag is 304. With include,
//     the ETag is a weak one of the content, which no If-Match matches. With relations
//     that are [Always] loaded, it is made from the content and the method. A PATCH, and a
//     POST with a Location, that return what the GET returns also have its ETag, unless
//     include was given. A response compressed by [Compress] has another ETag, which
//     stands for the same version.
//   - A [File] is sent as it is, with its media type and name. A query answers Range and
//     If-Range with 206 if the Body of the file is an [io.Seeker]. A [Redirect] has no body.
//   - A function can say more about the response to its call, which takes effect if the
//     call succeeds: [SetHeader], [AddHeader], [SetCookie], and [SetStatus] with one of
//     the statuses that the option Status lists.
//   - Cache-Control is no-store for a caller who is signed in, and no-cache (revalidate
//     each time) for the queries of an anonymous caller. [MaxAge] changes this. A
//     response that may be stored has Vary with the headers that it depends on: those
//     that are input, Authorization and Cookie.
//   - Errors are written by [WriteError].
//
// # Serving
//
// The context of a request has the values of the ctx given to [Serve]. It ends with
// the request, or when the request is cut off, and not with ctx.
//
// A server that stops keeps idle connections for a second, so that a client that sends
// another request is told to leave, and closes them then. A client may send a request at
// that very moment (RFC 9112, section 9.5), and no server can prevent that. Clients may
// repeat requests that are safe to repeat. If DrainDelay is longer than the pauses
// between a client's requests, that client leaves its connection before the server
// closes it.
//
// On Linux no client that has connected is reset by the end of the listener: the system
// begins no further handshakes, and those that have begun are served. This holds for
// ServerConfig.Addr, and for a ServerConfig.Listener of type *[net.TCPListener] that this
// user has opened. Elsewhere connections are accepted for a quarter of a second at most,
// and those that are queued then are reset.
//
// Event streams, long polls and WebSockets end with the server if [UntilStop] is around
// their handlers.
//
// Serve closes an HTTP/1 connection after a request with a chunked body, and after every
// HTTP/1.0 request. A proxy may have seen another end of such a request, and so another
// request could be smuggled in behind it. The length of a request that has both
// Transfer-Encoding and Content-Length is that of Transfer-Encoding (RFC 9112, sections
// 6.1 and 6.3).
//
// Several calls of Serve may run in one program, for several addresses. A signal stops
// all of them.
//
// Several limits bound the time of a request, and the earliest counts:
// StackConfig.Timeout (10 seconds for the handler), [Deadline] (10 seconds for a call),
// and DBConfig.Timeout (30 seconds for a statement or a transaction whose context has no
// deadline). The first two do not count the time in which the handler waits for the
// request body.
//
// The client has limits of its own, which count time without progress and not the whole
// time: StackConfig.Timeout and a second for sending the body (ServerConfig.ReadTimeout
// without a Stack), and ServerConfig.WriteTimeout (60 seconds) for taking the response.
// Each 1024 bytes give one second back. A transfer may take long, but not at less than
// 1 KiB per second.
//
// # Overload
//
// Requests that could not be served in time are refused, the newest first, before they
// have cost anything: with [Unavailable], 503 and Retry-After. Each resource has a queue of
// its own, so that requests for one that is busy do not hold up others.
//
//   - Running requests: [ConcurrencyLimit], which is part of [Stack].
//   - Connections to a database, and the one connection to SQLite that writes. A request
//     waits at most a second for its first connection, or as long as one use of a
//     connection takes if that is longer. Once it has had one, and outside of requests,
//     it waits until its context ends.
//
// A burst may fill a queue. If requests waited for a tenth of the longest wait or more for
// as long as the longest wait, further ones are refused until they wait for less than that.
//
// A request counts as running while it works, and not while it waits for a client that
// sends the request body or reads the response slowly. When the body has come it waits
// before all requests that have not run yet.
//
// Streams do not count as running: responses of the type text/event-stream, those that the
// handler has flushed, and WebSockets and other hijacked connections. Beyond their own
// limit a stream is answered 503. If its header was sent before, it counts as running.
//
// Requests that compute slow each other and all else in the process down. So four requests
// for each processor run at once at first. While others wait, twice as many do after 2
// milliseconds, up to the limit, if goroutines do not wait long for a processor. If they
// wait for more than 12 milliseconds, fewer requests run at once, but at least two for each
// processor, and refusals are spread over up to 3 seconds. They do not become fewer because
// of other goroutines of the program that compute.
//
// A client is an IPv4 address, or the first 64 bits of an IPv6 address, see [TrustProxies]
// for servers behind a proxy. It has at most three quarters of the running requests, of
// the queue and of the streams, so that one client cannot keep others out.
//
// The inputs of requests take a bounded amount of memory: LogicConfig.InputMemory for
// all together, and for each 1 MiB and 10 times the length of its body.
//
// The package backendtest helps the tests of programs that use this one.
package backend
