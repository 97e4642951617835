package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/seed-215b9b7c/backend"
)

// articleOperations are the operations of articles and their tags.
func (a *App) articleOperations() []backend.Definition {
	tag, once, ok := backend.Tags("articles"), backend.Tx(backend.Serializable), backend.Status(http.StatusOK)
	return []backend.Definition{
		backend.Query("articles", backend.Public, a.Articles, backend.Route("GET /articles"), tag, backend.Doc("List articles, the newest first")),
		backend.Query("feed", backend.SignedIn, a.Feed, backend.Route("GET /articles/feed"), tag, backend.Doc("List articles of followed authors")),
		backend.Query("article", backend.Public, a.Article, backend.Route("GET /articles/{slug}"), tag),
		backend.Mutation("createArticle", backend.SignedIn, a.CreateArticle, backend.Route("POST /articles"), tag, backend.IgnoreUnknown()),
		backend.Mutation("updateArticle", backend.SignedIn, a.UpdateArticle, backend.Route("PUT /articles/{slug}"), tag, backend.IgnoreUnknown()),
		backend.Mutation("deleteArticle", backend.SignedIn, a.DeleteArticle, backend.Route("DELETE /articles/{slug}"), tag),
		backend.Mutation("favorite", backend.SignedIn, a.Favorite, backend.Route("POST /articles/{slug}/favorite"), tag, once, ok),
		backend.Mutation("unfavorite", backend.SignedIn, a.Unfavorite, backend.Route("DELETE /articles/{slug}/favorite"), tag),
		backend.Query("tags", backend.Public, a.Tags, backend.Route("GET /tags"), tag, backend.Doc("List the most used tags")),
	}
}

// Time is a time as the specification shows it: in UTC, with milliseconds.
type Time time.Time

// MarshalText returns a text such as 2026-01-02T15:04:05.000Z.
func (t Time) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}

// Summary is an article in a list.
type Summary struct {
	Slug           string   `db:"slug" json:"slug" example:"how-to-train-your-dragon-x2a4k7qz"`
	Title          string   `db:"title" json:"title" example:"How to train your dragon"`
	Description    string   `db:"description" json:"description"`
	TagList        []string `db:"tag_list" json:"tagList"`
	CreatedAt      Time     `db:"created_at" json:"createdAt" format:"date-time" example:"2026-01-02T15:04:05.000Z"`
	UpdatedAt      Time     `db:"updated_at" json:"updatedAt" format:"date-time" example:"2026-01-02T15:04:05.000Z"`
	Favorited      bool     `db:"favorited" json:"favorited" doc:"whether it is a favorite of the caller"`
	FavoritesCount int      `db:"favorites_count" json:"favoritesCount"`
	Author         Profile  `db:"author" json:"author"`
}

// Article is a whole article.
type Article struct {
	Summary
	Body string `db:"body" json:"body"`
}

// ArticleOutput is one article.
type ArticleOutput struct {
	Article Article `json:"article"`
}

// ArticlesOutput is a page of articles, and how many articles all pages have.
type ArticlesOutput struct {
	Articles      []Summary `json:"articles"`
	ArticlesCount int       `json:"articlesCount"`
}

// summary has the columns of a Summary. Its parameters are the caller's ID, and following.
const summary = `a.slug, a.title, a.description, a.tag_list, a.created_at, a.updated_at,
	EXISTS (SELECT 1 FROM favorites f WHERE f.article_id = a.id AND f.user_id = ?) AS favorited,
	(SELECT COUNT(*) FROM favorites f WHERE f.article_id = a.id) AS favorites_count,
	u.username AS "author.username", u.bio AS "author.bio", u.image AS "author.image", ? AS "author.following"`

// Page says which part of a list to return.
type Page struct {
	Limit  int `json:"limit" default:"20" validate:"min=1,max=100"`
	Offset int `json:"offset" default:"0" validate:"min=0"`
}

// ListArticles says which articles to list.
type ListArticles struct {
	Tag       string `json:"tag,omitempty"`
	Author    string `json:"author,omitempty" doc:"the name of the author"`
	Favorited string `json:"favorited,omitempty" doc:"the name of somebody whose favorites to list"`
	Page
}

// Articles returns the newest articles.
func (a *App) Articles(ctx context.Context, in ListArticles) (ArticlesOutput, error) {
	where := backend.JoinSQL(" AND ",
		backend.SQL("TRUE"),
		backend.SQLIf(in.Tag != "", "a.id IN (SELECT article_id FROM article_tags WHERE tag = ?)", in.Tag),
		backend.SQLIf(in.Author != "", "u.username = ?", in.Author),
		backend.SQLIf(in.Favorited != "",
			"a.id IN (SELECT f.article_id FROM favorites f JOIN users fan ON fan.id = f.user_id WHERE fan.username = ?)", in.Favorited))
	return a.list(ctx, where, in.Page)
}

// Feed returns the newest articles of those whom the caller follows.
func (a *App) Feed(ctx context.Context, in Page) (ArticlesOutput, error) {
	return a.list(ctx, following(ctx), in)
}

func (a *App) list(ctx context.Context, where backend.Fragment, page Page) (out ArticlesOutput, err error) {
	out.Articles, err = backend.All[Summary](ctx, a.db, "SELECT "+summary+` FROM articles a JOIN users u ON u.id = a.author_id
		WHERE ? ORDER BY a.created_at DESC, a.id DESC LIMIT ? OFFSET ?`,
		backend.CallerFrom(ctx).ID, following(ctx), where, page.Limit, page.Offset)
	if err == nil {
		out.ArticlesCount, err = backend.One[int](ctx, a.db, "SELECT COUNT(*) FROM articles a JOIN users u ON u.id = a.author_id WHERE ?", where)
	}
	return out, err
}

// Slug names an article.
type Slug struct {
	Slug string `json:"slug"`
}

// Article returns an article.
func (a *App) Article(ctx context.Context, in Slug) (ArticleOutput, error) {
	return a.one(ctx, backend.SQL("a.slug = ?", in.Slug))
}

func (a *App) one(ctx context.Context, where backend.Fragment) (ArticleOutput, error) {
	article, err := backend.One[Article](ctx, a.db, "SELECT "+summary+", a.body FROM articles a JOIN users u ON u.id = a.author_id WHERE ?",
		backend.CallerFrom(ctx).ID, following(ctx), where)
	return ArticleOutput{article}, missing("article", err)
}

// CreateArticle is a new article.
type CreateArticle struct {
	Article struct {
		Title       string   `json:"title" validate:"required,max=200" example:"How to train your dragon"`
		Description string   `json:"description" validate:"required,max=1000"`
		Body        string   `json:"body" validate:"required,max=100000"`
		TagList     []string `json:"tagList,omitempty" validate:"max=20,unique,dive,min=1,max=50"`
	} `json:"article"`
}

// CreateArticle stores a new article of the caller.
func (a *App) CreateArticle(ctx context.Context, in CreateArticle) (ArticleOutput, error) {
	tags, now := append([]string{}, in.Article.TagList...), time.Now()
	id, err := backend.One[int64](ctx, a.db, `INSERT INTO articles (author_id, slug, title, description, body, tag_list, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		backend.CallerFrom(ctx).ID, newSlug(in.Article.Title), in.Article.Title, in.Article.Description, in.Article.Body, tags, now, now)
	if err != nil {
		return ArticleOutput{}, err
	}
	if err := a.storeTags(ctx, id, tags); err != nil {
		return ArticleOutput{}, err
	}
	return a.one(ctx, backend.SQL("a.id = ?", id))
}

// newSlug returns a name for the path of an article: the words of its title, and random
// letters, so that several articles may have one title.
func newSlug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	return strings.Join(append(words, strings.ToLower(rand.Text()[:8])), "-")
}

// storeTags replaces the tags by which an article is found. The list of the article itself
// keeps their order.
func (a *App) storeTags(ctx context.Context, id int64, tags []string) error {
	if _, err := a.db.Exec(ctx, "DELETE FROM article_tags WHERE article_id = ?", id); err != nil || len(tags) == 0 {
		return err
	}
	var rows []backend.Fragment
	for _, tag := range tags {
		rows = append(rows, backend.SQL("(?, ?)", id, tag))
	}
	_, err := a.db.Exec(ctx, "INSERT INTO article_tags (article_id, tag) VALUES ?", backend.JoinSQL(", ", rows...))
	return err
}

// UpdateArticle has the changes of an article. The database refuses a tag list that is null.
type UpdateArticle struct {
	Slug    string `json:"slug"`
	Article struct {
		Title       backend.Opt[string]   `json:"title,omitzero" validate:"omitempty,notempty,max=200"`
		Description backend.Opt[string]   `json:"description,omitzero" validate:"omitempty,notempty,max=1000"`
		Body        backend.Opt[string]   `json:"body,omitzero" validate:"omitempty,notempty,max=100000"`
		TagList     backend.Opt[[]string] `json:"tagList,omitzero" validate:"omitempty,max=20,unique,dive,min=1,max=50"`
	} `json:"article"`
}

// UpdateArticle changes an article of the caller. A new title makes a new slug.
func (a *App) UpdateArticle(ctx context.Context, in UpdateArticle) (ArticleOutput, error) {
	id, err := a.ownArticle(ctx, in.Slug)
	if err != nil {
		return ArticleOutput{}, err
	}
	article := in.Article
	changes := backend.JoinSQL(", ",
		backend.SQL("updated_at = ?", time.Now()),
		backend.SQLIf(article.Title.Present, "slug = CASE WHEN title = ? THEN slug ELSE ? END, title = ?",
			article.Title, newSlug(article.Title.V), article.Title),
		backend.SQLIf(article.Description.Present, "description = ?", article.Description),
		backend.SQLIf(article.Body.Present, "body = ?", article.Body),
		backend.SQLIf(article.TagList.Present, "tag_list = ?", article.TagList))
	if _, err := a.db.Exec(ctx, "UPDATE articles SET ? WHERE id = ?", changes, id); err != nil {
		return ArticleOutput{}, err
	}
	if article.TagList.Present {
		if err := a.storeTags(ctx, id, article.TagList.V); err != nil {
			return ArticleOutput{}, err
		}
	}
	return a.one(ctx, backend.SQL("a.id = ?", id))
}

// DeleteArticle deletes an article of the caller.
func (a *App) DeleteArticle(ctx context.Context, in Slug) (backend.None, error) {
	id, err := a.ownArticle(ctx, in.Slug)
	if err == nil {
		_, err = a.db.Exec(ctx, "DELETE FROM articles WHERE id = ?", id)
	}
	return backend.None{}, err
}

// authored is the id of a row, and of the account that wrote it.
type authored struct {
	ID       int64             `db:"id"`
	AuthorID backend.AccountID `db:"author_id"`
}

// findArticle returns the id of an article, and of its author.
func (a *App) findArticle(ctx context.Context, slug string) (authored, error) {
	found, err := backend.One[authored](ctx, a.db, "SELECT id, author_id FROM articles WHERE slug = ?", slug)
	return found, missing("article", err)
}

// ownArticle returns the id of an article of the caller.
func (a *App) ownArticle(ctx context.Context, slug string) (int64, error) {
	found, err := a.findArticle(ctx, slug)
	return found.ID, cmp.Or(err, own(ctx, "article", found.AuthorID))
}

// Favorite makes an article a favorite of the caller, once.
func (a *App) Favorite(ctx context.Context, in Slug) (ArticleOutput, error) {
	if _, err := a.db.Exec(ctx, `INSERT INTO favorites (user_id, article_id)
		SELECT ?, a.id FROM articles a WHERE a.slug = ? AND NOT EXISTS (SELECT 1 FROM favorites f WHERE f.user_id = ? AND f.article_id = a.id)`,
		backend.CallerFrom(ctx).ID, in.Slug, backend.CallerFrom(ctx).ID); err != nil {
		return ArticleOutput{}, err
	}
	return a.Article(ctx, in)
}

// Unfavorite ends what Favorite began.
func (a *App) Unfavorite(ctx context.Context, in Slug) (ArticleOutput, error) {
	if _, err := a.db.Exec(ctx, "DELETE FROM favorites WHERE user_id = ? AND article_id IN (SELECT id FROM articles WHERE slug = ?)",
		backend.CallerFrom(ctx).ID, in.Slug); err != nil {
		return ArticleOutput{}, err
	}
	return a.Article(ctx, in)
}

// TagsOutput has tags.
type TagsOutput struct {
	Tags []string `json:"tags"`
}

// Tags returns the tags that most articles have.
func (a *App) Tags(ctx context.Context, _ backend.None) (TagsOutput, error) {
	tags, err := backend.All[string](ctx, a.db, "SELECT tag FROM article_tags GROUP BY tag ORDER BY COUNT(*) DESC, tag LIMIT 100")
	return TagsOutput{tags}, err
}
