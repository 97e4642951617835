// Package clienttest is an API that has every kind of type and option, for
// clients that other people's tools generate from its description.
package clienttest

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/clienttest/stock"
)

// Colour is a named string with a few values.
type Colour string

// Count is a named number.
type Count uint16

// Size has a name that a type of package stock has, too.
type Size struct {
	Label string `json:"label"`
}

// Stamps are embedded.
type Stamps struct {
	CreatedAt time.Time  `json:"createdAt" doc:"When it was created."`
	UpdatedAt *time.Time `json:"updatedAt"`
}

// Pair is generic.
type Pair[A, B any] struct {
	First  A `json:"first"`
	Second B `json:"second"`
}

// Part is recursive.
type Part struct {
	Name  string `json:"name" validate:"required,max=40"`
	Parts []Part `json:"parts,omitempty" validate:"max=20,dive"`
	Spare *Part  `json:"spare,omitempty"`
}

// Basics are the basic kinds.
type Basics struct {
	Bool    bool    `json:"bool"`
	Int     int     `json:"int"`
	Int8    int8    `json:"int8"`
	Int16   int16   `json:"int16"`
	Int32   int32   `json:"int32"`
	Int64   int64   `json:"int64"`
	Uint    uint    `json:"uint"`
	Uint8   uint8   `json:"uint8"`
	Uint16  uint16  `json:"uint16"`
	Uint32  uint32  `json:"uint32"`
	Uint64  uint64  `json:"uint64"`
	Float32 float32 `json:"float32"`
	Float64 float64 `json:"float64"`
	String  string  `json:"string"`
	Quoted  int64   `json:"quoted,string"`
}

// Details are everything else.
type Details struct {
	Basics  Basics                 `json:"basics"`
	Colour  Colour                 `json:"colour" validate:"oneof=red green blue" doc:"What it looks like." example:"red"`
	Count   Count                  `json:"count" validate:"min=1,max=500" example:"3"`
	Grade   int                    `json:"grade" validate:"oneof=1 2 3"`
	Note    *string                `json:"note"`
	Label   *Size                  `json:"label"`
	Box     stock.Size             `json:"box"`
	Tags    []string               `json:"tags" validate:"max=5,unique,dive,min=1,max=10"`
	Lists   [][]int32              `json:"lists,omitempty"`
	Fixed   [3]int32               `json:"fixed"`
	Attrs   map[string]string      `json:"attrs,omitempty"`
	Sizes   map[string]*stock.Size `json:"sizes,omitempty" validate:"max=20,dive"`
	Root    Part                   `json:"root"`
	Wait    time.Duration          `json:"wait"`
	Data    []byte                 `json:"data"`
	Address netip.Addr             `json:"address"`
	Extra   json.RawMessage        `json:"extra,omitempty"`
	Owner   backend.ID             `json:"owner"`
	Email   string                 `json:"email,omitempty" validate:"omitempty,email"`
	Range   Pair[int32, int32]     `json:"range"`
	Samples []Pair[string, Size]   `json:"samples,omitempty"`
	Inline  struct {
		On bool `json:"on"`
	} `json:"inline"`
}

// Thing is what the API is about.
type Thing struct {
	ID      backend.ID `json:"id"`
	Name    string     `json:"name"`
	Version int        `json:"version"`
	Stamps
	Details
}

// Summary is a Thing in a list.
type Summary struct {
	ID   backend.ID `json:"id"`
	Name string     `json:"name"`
	Note *string    `json:"note"`
}

// NewThing is the input that creates one.
type NewThing struct {
	Name string `json:"name" validate:"required,min=1,max=20" doc:"How it is called." example:"Lamp"`
	Details
}

// ThingID names one.
type ThingID struct {
	ID backend.ID `json:"id" doc:"Which thing."`
}

// ListInput has parameters of every place and kind.
type ListInput struct {
	Search  string              `json:"search,omitempty" validate:"max=20" doc:"A part of the name."`
	Limit   int                 `json:"limit,omitempty" validate:"min=0,max=50"`
	Colours []Colour            `json:"colours,omitempty" validate:"max=20,dive,oneof=red green blue"`
	IDs     []backend.ID        `json:"ids,omitempty"`
	Since   *time.Time          `json:"since"`
	Exact   bool                `json:"exact,omitempty"`
	Source  *netip.Addr         `json:"source"`
	Lang    string              `json:"lang,omitempty" in:"header=Accept-Language"`
	Tenant  string              `json:"tenant,omitempty" in:"header=X-Tenant"`
	Theme   backend.Opt[string] `json:"theme,omitzero" in:"cookie=theme"`
	After   backend.Cursor      `json:"after,omitempty"`
}

// PatchThing changes some fields.
type PatchThing struct {
	ID   backend.ID              `json:"id"`
	Name backend.Opt[string]     `json:"name,omitzero" validate:"omitempty,max=20"`
	Note backend.Opt[string]     `json:"note,omitzero"`
	Tags backend.Opt[[]string]   `json:"tags,omitzero"`
	Box  backend.Opt[stock.Size] `json:"box,omitzero"`
}

// PutAttrs replaces the attributes: the body is one field.
type PutAttrs struct {
	ID    backend.ID        `json:"id"`
	Attrs map[string]string `json:"attrs" in:"body"`
}

// File is below a path of any depth.
type File struct {
	ID   backend.ID `json:"id"`
	Path string     `json:"path"`
}

// Maker is what a relation returns.
type Maker struct {
	Name string `json:"name"`
}
