package sqltext

import "strings"

// This file finds out whether a text changes the session of its connection, so that the
// next statement on the connection would run under other settings, or with locks and
// tables of somebody else.

// Session is what a text does to the session that runs it.
type Session uint8

const (
	// SessionKept is a text that leaves the session as it was, or restores it at the end
	// of its transaction, as SET LOCAL does.
	SessionKept Session = iota
	// SessionUnknown is a text that may do anything, such as CALL.
	SessionUnknown
	// SessionChanged is a text that changes the session, such as SET or LISTEN.
	SessionChanged
)

// Session reports what the query does to its session, judged by its keywords and by the
// names of the engines' own functions. What a function of the schema does is not known.
func (q *Query) Session() Session { return q.session }

// keeping has the first words of statements that leave the session as it was, unless
// something in them says otherwise.
var keeping = map[string]bool{
	"SELECT": true, "INSERT": true, "UPDATE": true, "DELETE": true, "REPLACE": true, "MERGE": true, "WITH": true, "VALUES": true, "TABLE": true,
	"CREATE": true, "ALTER": true, "DROP": true, "TRUNCATE": true, "RENAME": true, "COMMENT": true, "GRANT": true, "REVOKE": true, "REASSIGN": true, "SECURITY": true, "IMPORT": true,
	"EXPLAIN": true, "SHOW": true, "DESCRIBE": true, "DESC": true, "ANALYZE": true, "VACUUM": true, "REINDEX": true, "CLUSTER": true, "REFRESH": true, "CHECKPOINT": true,
	"OPTIMIZE": true, "CHECK": true, "REPAIR": true, "CHECKSUM": true, "NOTIFY": true, "COPY": true, "KILL": true, "PURGE": true, "PRAGMA": true,
	"BEGIN": true, "START": true, "COMMIT": true, "ROLLBACK": true, "END": true, "ABORT": true, "SAVEPOINT": true, "RELEASE": true,
}

// keepingPostgres has those that end with the transaction on PostgreSQL only.
var keepingPostgres = map[string]bool{"LOCK": true, "DECLARE": true, "FETCH": true, "MOVE": true, "CLOSE": true}

// changingWords has the first words of statements that change the session.
var changingWords = map[string]bool{
	"SET": true, "RESET": true, "DISCARD": true, "USE": true, "ATTACH": true, "DETACH": true, "LOAD": true, "PREPARE": true, "DEALLOCATE": true,
	"LISTEN": true, "UNLISTEN": true, "LOCK": true, "UNLOCK": true, "FLUSH": true, "HANDLER": true, "DECLARE": true,
}

// startsSession returns what the first word of a statement says about the session.
func startsSession(dialect Dialect, word string) Session {
	switch {
	case keeping[word], dialect == Postgres && keepingPostgres[word]:
		return SessionKept
	case changingWords[word]:
		return SessionChanged
	}
	return SessionUnknown
}

// changing has the functions of each engine that change the session.
var changing = map[Dialect]map[string]bool{
	Postgres: {
		"pg_advisory_lock": true, "pg_advisory_lock_shared": true, "pg_try_advisory_lock": true, "pg_try_advisory_lock_shared": true,
		"setseed": true, "set_limit": true, "dblink_connect": true, "dblink_connect_u": true, "pg_replication_origin_session_setup": true,
	},
	SQLite: {"load_extension": true},
	MySQL:  {"get_lock": true},
}

// keepingPragmas has the PRAGMAs that take an argument and change no setting of the
// connection: they read, or what they change is in the file.
var keepingPragmas = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true, "index_xinfo": true, "foreign_key_list": true, "foreign_key_check": true,
	"integrity_check": true, "quick_check": true, "wal_checkpoint": true, "optimize": true, "incremental_vacuum": true, "user_version": true, "application_id": true,
}

// sessionWord reads a word that is not a name after a dot. It is called before the word is
// pushed, and after the statement has noted it.
func (s *scanner) sessionWord(word string) {
	st, last := &s.statement, s.recent[0].word
	if st.words == 1 {
		st.session = startsSession(s.dialect, word)
		return
	}
	if st.first == "SET STATEMENT" && last == "FOR" {
		st.session = startsSession(s.dialect, word)
		return
	}
	switch word {
	case "STATEMENT": // MariaDB's SET STATEMENT … FOR … holds for one statement
		if st.first == "SET" && last == "SET" && s.dialect == MySQL {
			st.first, st.session = "SET STATEMENT", SessionKept
		}
	case "LOCAL", "TRANSACTION", "CONSTRAINTS":
		if st.first == "SET" && last == "SET" && s.dialect == Postgres {
			st.session = SessionKept
		}
	case "TEMP", "TEMPORARY":
		into := last == "INTO" && s.recent[1].word != "INSERT" && s.recent[1].word != "MERGE" && s.recent[1].word != "REPLACE"
		if into || st.first == "CREATE" && (last == "CREATE" || last == "REPLACE" || last == "GLOBAL" || last == "LOCAL") {
			st.session = SessionChanged
		}
	case "HOLD":
		if st.first == "DECLARE" && last == "WITH" {
			st.session = SessionChanged
		}
	}
}

// sessionChar reads a character that is no part of a word. It is called before the
// character is pushed.
func (s *scanner) sessionChar(c byte) {
	st := &s.statement
	switch {
	case c == '(' && changing[s.dialect][s.lastName()] && !st.routine():
		st.session = SessionChanged
	case c == '.' && st.first == "CREATE" && s.depth == 0 && s.temporary(s.lastName()):
		st.session = SessionChanged
	case (c == '=' || c == '(') && st.first == "PRAGMA" && !keepingPragmas[s.lastName()]:
		st.session = SessionChanged
	case s.dialect == MySQL && !st.routine() && (c == '@' && s.recent[0].word == "INTO" || c == '=' && s.recent[0].char == ':'):
		st.session = SessionChanged // a variable of the session
	}
}

// temporary reports whether a schema has the temporary tables of the session.
func (s *scanner) temporary(schema string) bool {
	return s.dialect == Postgres && schema == "pg_temp" || s.dialect == SQLite && schema == "temp"
}

// setsConfig reads the end of the arguments of PostgreSQL's set_config. The setting ends
// with the transaction if the last argument is TRUE.
func (s *scanner) setsConfig() {
	local := s.recent[0].word == "TRUE" && s.recent[1].char == ','
	if !local && !s.statement.routine() {
		s.statement.session = SessionChanged
	}
}

// lastName returns the last token as a name: without quotes, in lower case.
func (s *scanner) lastName() string {
	last := s.recent[0]
	if last.char != 0 || last.slot || last.end <= last.start {
		return ""
	}
	return strings.ToLower(strings.Trim(s.src[last.start:last.end], "\"`[]"))
}
