package dburl_test

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/dburl"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]dburl.Source{
		"sqlite:notes.db":                     {Engine: dburl.SQLite, Name: "sqlite:notes.db", DSN: "file:notes.db?mode=rw&", File: "notes.db"},
		"sqlite:///var/a b%.db":               {Engine: dburl.SQLite, Name: "sqlite:/var/a b%.db", DSN: "file:/var/a%20b%25.db?mode=rw&", File: "/var/a b%.db"},
		"postgres://u:secret@host/name?x=y":   {Engine: dburl.Postgres, Name: "postgres://u@host/name", DSN: "postgres://u:secret@host/name?x=y"},
		"postgresql:///name?host=/run":        {Engine: dburl.Postgres, Name: "postgresql:///name", DSN: "postgresql:///name?host=/run"},
		"postgres://u:a%2Fb%40@[::1]:1/n%20m": {Engine: dburl.Postgres, Name: "postgres://u@[::1]:1/n%20m", DSN: "postgres://u:a%2Fb%40@[::1]:1/n%20m"},
		"postgres://u:secret@a:1,b:2/n":       {Engine: dburl.Postgres, Name: "postgres://u@a:1,b:2/n", DSN: "postgres://u:secret@a:1,b:2/n"},
	} {
		got, err := dburl.Parse(url)
		require.NoError(t, err, url)
		require.Equal(t, want, *got, url)
	}
	one, err := dburl.Parse("sqlite::memory:")
	require.NoError(t, err)
	two, err := dburl.Parse("sqlite::memory:")
	require.NoError(t, err)
	require.True(t, one.Memory)
	require.Empty(t, one.File)
	require.NotEqual(t, one.DSN, two.DSN, "two databases in memory are two")
}

// The driver itself reads what was written for it.
func TestParseMySQL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]struct{ user, password, net, addr, name, tls string }{
		"mysql://u:secret@host/name":                {"u", "secret", "tcp", "host:3306", "name", "true"},
		"mariadb://u@host:1/name?tls=skip-verify":   {"u", "", "tcp", "host:1", "name", "skip-verify"},
		"mysql://u:p%40%2F%3A@127.0.0.1/a%2Fb":      {"u", "p@/:", "tcp", "127.0.0.1:3306", "a/b", ""},
		"mysql://localhost":                         {"", "", "tcp", "localhost:3306", "", ""},
		"mysql://[::1]/n":                           {"", "", "tcp", "[::1]:3306", "n", ""},
		"mysql://u@/n?socket=/run/mysqld/mysqld.so": {"u", "", "unix", "/run/mysqld/mysqld.so", "n", ""},
	} {
		got, err := dburl.Parse(url)
		require.NoError(t, err, url)
		require.Equal(t, dburl.MySQL, got.Engine)
		require.NotContains(t, got.Name, "secret")
		config, err := mysql.ParseDSN(got.DSN)
		require.NoError(t, err, got.DSN)
		require.Equal(t, []string{want.user, want.password, want.net, want.addr, want.name, want.tls},
			[]string{config.User, config.Passwd, config.Net, config.Addr, config.DBName, config.TLSConfig}, url)
		require.True(t, config.ParseTime && config.ClientFoundRows && !config.MultiStatements && !config.InterpolateParams, got.DSN)
		require.Equal(t, "UTC", config.Loc.String())
		require.Equal(t, "'+00:00'", config.Params["time_zone"])
	}
}

// No error shows the password, whatever is wrong with the URL.
func TestParseErrors(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"notes.db":                      "no scheme",
		"oracle://u:hunter2@h/x":        `"oracle" is not supported`,
		"sqlite:":                       "names no file",
		"sqlite://":                     "names no file",
		"sqlite:a.db?mode=ro":           "no parameters",
		"sqlite:a#b":                    "no parameters",
		"mysql:u:hunter2@h/x":           "must begin with mysql://",
		"postgres://u:a/hunter2@h/x":    "percent-encoded",
		"postgres://u:hunter2 @h/x":     "percent-encoded",
		"postgres://u:hunter2@h:x/x":    "percent-encoded",
		"postgres://u:hunter2@h/x?a;b":  "parameters cannot be read",
		"mysql://u:hunter2:1/x":         "more than one colon",
		"mysql://u%3Aa:hunter2@h/x":     "in the user's name",
		"mysql://u:hunter2@h/x?loc=UTC": "loc cannot be set",
	} {
		_, err := dburl.Parse(url)
		require.ErrorContains(t, err, want, url)
		require.NotContains(t, err.Error(), "hunter2", url)
	}
}

// FuzzParse checks that no error and no name shows the password, whatever follows
// its first characters, and that MySQL's driver reads what was written for it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"@host/name", "/b?c@host:1/name?x=y", "%41@/n?socket=/x", "#x@h", " @h", "@[::1/x", "@h/x?tls=%", "", ":1/", "@h:1/a%2Fb?loc=x", "%zz@h", "\x7f@h", "@h@h/", "@h/x?tls=a;b", ",:", ",h:1", ",[::1]:1/n",
	} {
		f.Add(uint8(0), seed)
		f.Add(uint8(1), seed)
	}
	f.Fuzz(func(t *testing.T, scheme uint8, rest string) {
		url := []string{"postgres", "mysql", "postgresql", "mariadb"}[scheme%4] + "://user:hunter2" + rest
		if strings.Contains(rest, "hunter2") {
			return
		}
		source, err := dburl.Parse(url)
		if err != nil {
			require.NotContains(t, err.Error(), "hunter2", url)
			return
		}
		require.NotContains(t, source.Name, "hunter2", url)
		if source.Engine == dburl.MySQL {
			if config, err := mysql.ParseDSN(source.DSN); err == nil { // it checks addresses and TLS itself
				require.Equal(t, "user", config.User, url)
				require.True(t, strings.HasPrefix(config.Passwd, "hunter2"), url)
			}
		}
	})
}

// What hosting providers and other programs write into URLs is understood, or refused
// by its name with what to write.
func TestParametersOfOtherPrograms(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:secret@h/n?sslmode=require&channel_binding=prefer": "postgres://u:secret@h/n?sslmode=require",
		"postgres://u@h/n?gssencmode=Disable&a=b":                        "postgres://u@h/n?a=b",
		"postgres://u@h/n?keepalives=1&pgbouncer=false":                  "postgres://u@h/n",
		"postgres://u@h/n?sslmode=verify-full&connect_timeout=3":         "postgres://u@h/n?sslmode=verify-full&connect_timeout=3",
	} {
		got, err := dburl.Parse(url)
		require.NoError(t, err, url)
		require.Equal(t, want, got.DSN)
	}
	for mode, tls := range map[string]string{"DISABLED": "false", "preferred": "preferred", "REQUIRED": "skip-verify", "VERIFY_CA": "true", "VERIFY_IDENTITY": "true"} {
		got, err := dburl.Parse("mysql://u@h/n?ssl-mode=" + mode)
		require.NoError(t, err, mode)
		config, err := mysql.ParseDSN(got.DSN)
		require.NoError(t, err)
		require.Equal(t, tls, config.TLSConfig, mode)
		require.NotContains(t, config.Params, "ssl-mode")
	}
	for url, wants := range map[string][]string{
		"postgres://u:secret@h/n?channel_binding=require":               {"remove the parameter channel_binding: "},
		"postgres://u:secret@h/n?gssencmode=require":                    {"remove the parameter gssencmode: "},
		"postgres://u:secret@h/n?keepalives_idle=30&keepalives=0":       {"remove the parameter keepalives: ", "remove the parameter keepalives_idle: "},
		"postgres://u:secret@h/n?pgbouncer=true&connection_limit=1":     {"remove the parameter connection_limit: set DBConfig.MaxConns", "remove the parameter pgbouncer: set DBConfig.Pooler"},
		"postgres://u:secret@h/n?currentSchema=a":                       {"remove the parameter currentSchema: write search_path"},
		"mysql://u:secret@h/n?ssl-mode=secret":                          {"the parameter ssl-mode must be DISABLED"},
		"mysql://u:secret@h/n?ssl-mode=REQUIRED&tls=true":               {"remove the parameter ssl-mode: tls is there, too"},
		"mysql://u:secret@h/n?useSSL=true&serverTimezone=Europe/Berlin": {"remove the parameter serverTimezone: ", "remove the parameter useSSL: write tls=true"},
	} {
		_, err := dburl.Parse(url)
		for _, want := range wants {
			require.ErrorContains(t, err, want, url)
		}
		require.NotContains(t, err.Error(), "secret")
	}
}
