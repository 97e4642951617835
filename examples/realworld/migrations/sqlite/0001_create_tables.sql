-- +goose Up
CREATE TABLE users (
	id            INTEGER PRIMARY KEY,
	username      VARCHAR(50)  NOT NULL UNIQUE,
	email         VARCHAR(200) NOT NULL UNIQUE,
	password_hash VARCHAR(200) NOT NULL,
	bio           TEXT,
	image         TEXT,
	updated_at    TIMESTAMP NOT NULL
);
CREATE TABLE follows (
	follower_id BIGINT NOT NULL,
	followed_id BIGINT NOT NULL,
	PRIMARY KEY (follower_id, followed_id),
	FOREIGN KEY (follower_id) REFERENCES users (id) ON DELETE CASCADE,
	FOREIGN KEY (followed_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE TABLE articles (
	id          INTEGER PRIMARY KEY,
	author_id   BIGINT       NOT NULL,
	slug        VARCHAR(250) NOT NULL UNIQUE,
	title       VARCHAR(200) NOT NULL,
	description TEXT NOT NULL,
	body        TEXT NOT NULL,
	tag_list    JSON NOT NULL,
	created_at  TIMESTAMP NOT NULL,
	updated_at  TIMESTAMP NOT NULL,
	FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX articles_by_age ON articles (created_at, id);
CREATE INDEX articles_by_author ON articles (author_id, created_at, id);
CREATE TABLE article_tags (
	article_id BIGINT      NOT NULL,
	tag        VARCHAR(50) NOT NULL,
	PRIMARY KEY (tag, article_id),
	FOREIGN KEY (article_id) REFERENCES articles (id) ON DELETE CASCADE
);
CREATE INDEX article_tags_by_article ON article_tags (article_id);
CREATE TABLE favorites (
	user_id    BIGINT NOT NULL,
	article_id BIGINT NOT NULL,
	PRIMARY KEY (user_id, article_id),
	FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
	FOREIGN KEY (article_id) REFERENCES articles (id) ON DELETE CASCADE
);
CREATE INDEX favorites_by_article ON favorites (article_id);
CREATE TABLE comments (
	id         INTEGER PRIMARY KEY,
	article_id BIGINT    NOT NULL,
	author_id  BIGINT    NOT NULL,
	body       TEXT NOT NULL,
	created_at TIMESTAMP NOT NULL,
	FOREIGN KEY (article_id) REFERENCES articles (id) ON DELETE CASCADE,
	FOREIGN KEY (author_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX comments_by_article ON comments (article_id);

-- +goose Down
DROP TABLE comments;
DROP TABLE favorites;
DROP TABLE article_tags;
DROP TABLE articles;
DROP TABLE follows;
DROP TABLE users;
