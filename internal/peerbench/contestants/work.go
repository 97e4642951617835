// Package contestants has the servers that peerbench compares: this package, a floor
// written by hand on net/http, and other frameworks as their documentation shows them,
// idiomatic and tuned. Each is a process of its own that answers the same requests
// with the same bytes.
//
// This file has the work: the types, and the rows that the databases hold.
package contestants

import (
	"fmt"
	"strings"
	"time"
)

// Text is the answer of GET /plain.
const Text = "Hello, World"

// NewOrder is the body of POST /orders. The rules are the same in the terms of
// validator, gin and huma.
type NewOrder struct {
	Title    string   `json:"title" validate:"required,max=200" binding:"required,max=200" minLength:"1" maxLength:"200"`
	Text     string   `json:"text" validate:"max=10000" binding:"max=10000" maxLength:"10000"`
	Email    string   `json:"email" validate:"required,email" binding:"required,email" format:"email"`
	Quantity int      `json:"quantity" validate:"min=1,max=1000" binding:"min=1,max=1000" minimum:"1" maximum:"1000"`
	Price    float64  `json:"price" validate:"min=0" binding:"min=0" minimum:"0"`
	Kind     string   `json:"kind" validate:"oneof=book film game" binding:"oneof=book film game" enum:"book,film,game"`
	Tags     []string `json:"tags" validate:"max=10,dive,max=30" binding:"max=10,dive,max=30" maxItems:"10"`
	Gift     bool     `json:"gift"`
}

// Order is the answer of POST /orders.
type Order struct {
	ID int64 `json:"id"`
	NewOrder
}

// Accept returns the order as it would be stored.
func Accept(in NewOrder) Order { return Order{7, in} }

// Item is a row of seven columns.
type Item struct {
	ID      int64     `db:"id" json:"id"`
	Owner   int64     `db:"owner" json:"owner"`
	Title   string    `db:"title" json:"title"`
	Body    string    `db:"body" json:"body"`
	Price   float64   `db:"price" json:"price"`
	Active  bool      `db:"active" json:"active"`
	Created time.Time `db:"created" json:"created"`
}

// NewEntry is the body of POST /entries, which inserts a row.
type NewEntry struct {
	Owner int64   `json:"owner" validate:"min=1" binding:"min=1" minimum:"1"`
	Title string  `json:"title" validate:"required,max=200" binding:"required,max=200" minLength:"1" maxLength:"200"`
	Price float64 `json:"price" validate:"min=0" binding:"min=0" minimum:"0"`
}

// Inserted is the answer of POST /entries.
type Inserted struct {
	ID int64 `db:"id" json:"id"`
}

// World is a row that is looked up or updated.
type World struct {
	ID     int64 `db:"id" json:"id"`
	Number int64 `db:"number" json:"number"`
}

// Fortune is a row of the page GET /fortunes.
type Fortune struct {
	ID      int64  `db:"id" json:"id"`
	Message string `db:"message" json:"message"`
}

// Message is the answer of GET /json.
type Message struct {
	Message string `json:"message"`
}

// Received is the answer of POST /upload.
type Received struct {
	Size int64 `json:"size"`
}

// The numbers of rows.
const (
	Owners        = 20
	ItemsPerOwner = 50
	WorldRows     = 1000
)

// SeedItem returns the item that the database has for an id from 1 to
// Owners*ItemsPerOwner.
func SeedItem(id int64) Item {
	return Item{
		ID: id, Owner: (id-1)/ItemsPerOwner + 1,
		Title:   fmt.Sprintf("Item number %d", id),
		Body:    strings.Repeat(fmt.Sprintf("Some text about %d. ", id), 4),
		Price:   float64(id) * 1.25,
		Active:  id%3 == 0,
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(id) * time.Minute),
	}
}

// SeedWorld returns the world that the database has for an id from 1 to WorldRows.
func SeedWorld(id int64) World { return World{id, id*7919%10000 + 1} }

// NextNumber is what POST /updates makes of a number, here and in SQL.
const NextNumber = "number % 10000 + 1"

// LookupIDs returns the ids of n rows to look up, at most 50.
func LookupIDs(n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(1 + 19*i)
	}
	return ids
}

// SeedFortunes are the rows of the table fortunes.
var SeedFortunes = []Fortune{
	{1, "fortune: No such file or directory"},
	{2, "A computer scientist is someone who fixes things that aren't broken."},
	{3, "After enough decimal places, nobody gives a damn."},
	{4, "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1"},
	{5, "A computer program does what you tell it to do, not what you want it to do."},
	{6, "Emacs is a nice operating system, but I prefer UNIX."},
	{7, "Any program that runs right is obsolete."},
	{8, "A list is only as strong as its weakest link."},
	{9, "Feature: A bug with seniority."},
	{10, "Computers make very fast, very accurate mistakes."},
	{11, `<script>alert("This should not be displayed in a browser alert box.");</script>`},
	{12, "フレームワークのベンチマーク"},
}

// Schema makes the tables, with the types that suit each engine.
func Schema(postgres bool) string {
	types := strings.NewReplacer("KEY", "INTEGER PRIMARY KEY", "GENERATED", "INTEGER PRIMARY KEY", "REAL", "DOUBLE", "TIME", "TIMESTAMP")
	if postgres {
		types = strings.NewReplacer("KEY", "BIGINT PRIMARY KEY", "GENERATED", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "REAL", "DOUBLE PRECISION", "TIME", "TIMESTAMPTZ")
	}
	return types.Replace(`
CREATE TABLE items (id KEY, owner BIGINT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
	price REAL NOT NULL, active BOOLEAN NOT NULL, created TIME NOT NULL);
CREATE INDEX items_owner ON items (owner, id);
CREATE TABLE worlds (id KEY, number BIGINT NOT NULL);
CREATE TABLE fortunes (id KEY, message TEXT NOT NULL);
CREATE TABLE entries (id GENERATED, owner BIGINT NOT NULL, title TEXT NOT NULL, price REAL NOT NULL);
`)
}
