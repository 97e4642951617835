package main

import (
	"cmp"
	"context"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// commentOperations are the operations of comments.
func (a *App) commentOperations() []backend.Definition {
	tag := backend.Tags("comments")
	return []backend.Definition{
		backend.Query("comments", backend.Public, a.Comments, backend.Route("GET /articles/{slug}/comments"), tag),
		backend.Mutation("createComment", backend.SignedIn, a.CreateComment, backend.Route("POST /articles/{slug}/comments"), tag, backend.IgnoreUnknown()),
		backend.Mutation("deleteComment", backend.SignedIn, a.DeleteComment, backend.Route("DELETE /articles/{slug}/comments/{id}"), tag),
	}
}

// Comment is a comment on an article. Nobody can change one.
type Comment struct {
	ID        int64   `db:"id" json:"id"`
	CreatedAt Time    `db:"created_at" json:"createdAt" format:"date-time" example:"2026-01-02T15:04:05.000Z"`
	UpdatedAt Time    `db:"updated_at" json:"updatedAt" format:"date-time" example:"2026-01-02T15:04:05.000Z"`
	Body      string  `db:"body" json:"body" example:"It takes a Jacobian"`
	Author    Profile `db:"author" json:"author"`
}

// CommentOutput is one comment.
type CommentOutput struct {
	Comment Comment `json:"comment"`
}

// CommentsOutput are all comments on an article.
type CommentsOutput struct {
	Comments []Comment `json:"comments"`
}

// Comments returns all comments on an article, the oldest first.
func (a *App) Comments(ctx context.Context, in Slug) (out CommentsOutput, err error) {
	article, err := a.findArticle(ctx, in.Slug)
	if err == nil {
		out.Comments, err = backend.All[Comment](ctx, a.db, "?", selectComments(ctx, backend.SQL("c.article_id = ?", article.ID)))
	}
	return out, err
}

// selectComments is a query of the comments for which a condition holds.
func selectComments(ctx context.Context, where backend.Fragment) backend.Fragment {
	return backend.SQL(`SELECT c.id, c.created_at, c.created_at AS updated_at, c.body,
		u.username AS "author.username", u.bio AS "author.bio", u.image AS "author.image", ? AS "author.following"
		FROM comments c JOIN users u ON u.id = c.author_id WHERE ? ORDER BY c.id`, following(ctx), where)
}

// CreateComment is a new comment.
type CreateComment struct {
	Slug    string `json:"slug"`
	Comment struct {
		Body string `json:"body" validate:"required,max=10000"`
	} `json:"comment"`
}

// CreateComment stores a new comment of the caller.
func (a *App) CreateComment(ctx context.Context, in CreateComment) (CommentOutput, error) {
	id, err := backend.One[int64](ctx, a.db, `INSERT INTO comments (article_id, author_id, body, created_at)
		SELECT a.id, ?, ?, ? FROM articles a WHERE a.slug = ? RETURNING id`, backend.CallerFrom(ctx).ID, in.Comment.Body, time.Now(), in.Slug)
	if err != nil {
		return CommentOutput{}, missing("article", err)
	}
	comment, err := backend.One[Comment](ctx, a.db, "?", selectComments(ctx, backend.SQL("c.id = ?", id)))
	return CommentOutput{comment}, err
}

// CommentID names a comment on an article.
type CommentID struct {
	Slug string `json:"slug"`
	ID   int64  `json:"id"`
}

// DeleteComment deletes a comment of the caller.
func (a *App) DeleteComment(ctx context.Context, in CommentID) (backend.None, error) {
	article, err := a.findArticle(ctx, in.Slug)
	if err != nil {
		return backend.None{}, err
	}
	comment, err := backend.One[authored](ctx, a.db, "SELECT id, author_id FROM comments WHERE id = ? AND article_id = ?", in.ID, article.ID)
	if err := cmp.Or(missing("comment", err), own(ctx, "comment", comment.AuthorID)); err != nil {
		return backend.None{}, err
	}
	_, err = a.db.Exec(ctx, "DELETE FROM comments WHERE id = ?", comment.ID)
	return backend.None{}, err
}
