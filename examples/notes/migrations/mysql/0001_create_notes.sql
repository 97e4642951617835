-- +goose Up
CREATE TABLE notes (
	id         VARCHAR(26)  PRIMARY KEY,
	title      VARCHAR(200) NOT NULL,
	text       TEXT         NOT NULL,
	created_at DATETIME(6) NOT NULL,
	updated_at DATETIME(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4;
CREATE INDEX notes_by_age ON notes (created_at, id);

-- +goose Down
DROP TABLE notes;
