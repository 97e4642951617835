package sqltext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each of these is one statement, whatever semicolons it has. It is split from what
// stands before and after it, on one line and on several.
func TestSplitLeavesBodies(t *testing.T) {
	t.Parallel()
	for dialect, statements := range map[Dialect][]string{
		SQLite: {
			"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END",
			"CREATE TEMP TRIGGER IF NOT EXISTS t AFTER INSERT ON a BEGIN UPDATE a SET b = CASE WHEN c THEN 1 ELSE 2 END; SELECT CASE 1 WHEN 1 THEN 2 END; END",
			"create temporary trigger main.t instead of delete on v begin select ';'; /* ; */ select 1 -- ;\n; end",
		},
		Postgres: {
			"CREATE RULE r AS ON INSERT TO a DO ALSO (DELETE FROM b; DELETE FROM c)",
			"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
			"CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO a VALUES (1); DELETE FROM a; END",
			"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT 2; $$",
			"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END;'",
			"CREATE TRIGGER t AFTER INSERT ON a EXECUTE FUNCTION f()",
		},
		MySQL: {
			"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.n = 1; SET NEW.m = 2; END",
			"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.n = IF(NEW.n > 1, 1, 2)",
			"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF NEW.n < 0 THEN SET NEW.n = 0; ELSEIF (NEW.n) THEN SET NEW.n = IF(1, 2, 3); END IF",
			"CREATE TRIGGER IF NOT EXISTS t BEFORE INSERT ON a FOR EACH ROW FOLLOWS u CASE NEW.n WHEN 1 THEN SET NEW.n = 2; ELSE SET NEW.n = CASE WHEN 1 THEN IF(1, 2, 3) END; END CASE",
			"CREATE DEFINER = `root`@`localhost` PROCEDURE p(IN n INT, OUT m VARCHAR(10)) DETERMINISTIC SQL SECURITY INVOKER COMMENT 'x;' BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; l: LOOP IF n THEN LEAVE l; END IF; END LOOP l; WHILE n DO SET n = n - 1; END WHILE; REPEAT SET n = REPEAT('a', 1); UNTIL 1 END REPEAT; DROP TABLE IF EXISTS x; END",
			"CREATE FUNCTION f() RETURNS INT RETURN IF(1, 2, 3)",
			"CREATE FUNCTION f() RETURNS INT IF 1 THEN RETURN 1; ELSE IF 2 THEN RETURN 2; END IF; END IF",
			"CREATE PROCEDURE p() WHILE 0 DO SELECT 1; END WHILE",
			"CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; SELECT 2; END",
			"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DROP TABLE IF EXISTS x",
			"BEGIN NOT ATOMIC SELECT 1; IF 1 THEN SELECT 2; END IF; END",
			"IF (SELECT 1) THEN SELECT 1; ELSE SELECT 2; END IF",
			"FOR i IN 1..3 DO INSERT INTO a VALUES (i); END FOR",
			"/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET NEW.n = 1; END */",
			"CREATE TABLE x (event INT, n INT AS (IF(event, CASE WHEN 1 THEN 2 END, 3)))",
		},
	} {
		for _, statement := range statements {
			for _, text := range []string{statement, strings.ReplaceAll(statement, "; ", ";\n")} {
				got, err := Split(dialect, "SELECT 1; "+text+"; SELECT 2;"+text)
				require.NoError(t, err)
				require.Equal(t, []string{"SELECT 1", text, "SELECT 2", text}, got)
			}
		}
	}
}

// What is not understood is split at the ends of lines.
func TestSplitABodyWithoutAnEnd(t *testing.T) {
	t.Parallel()
	got, err := Split(SQLite, "CREATE TRIGGER t BEGIN SELECT 1; SELECT 2; -- end\nSELECT 3;\n")
	require.NoError(t, err)
	require.Equal(t, []string{"CREATE TRIGGER t BEGIN SELECT 1; SELECT 2", "-- end\nSELECT 3"}, got)
}
