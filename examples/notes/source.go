package main

import (
	"embed"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"strings"
)

// This file cuts the code of an operation out of the program's own source for the page, so
// that the page shows the code that runs.

//go:embed main.go notes.go
var sources embed.FS

// excerpt is a part of the program's source.
type excerpt struct {
	Title string
	Code  []piece
}

// piece is text of one colour. Its kind is keyword, string, comment or "".
type piece struct{ Kind, Text string }

// operationSource returns the source of the operation createNote.
func operationSource() []excerpt {
	return []excerpt{
		{"The input, with its rules", cut("notes.go", func(n ast.Node) bool {
			declaration, ok := n.(*ast.GenDecl)
			return ok && declaration.Tok == token.TYPE && declaration.Specs[0].(*ast.TypeSpec).Name.Name == "CreateNote"
		})},
		{"The function", cut("notes.go", func(n ast.Node) bool {
			function, ok := n.(*ast.FuncDecl)
			return ok && function.Name.Name == "CreateNote"
		})},
		{"Its registration: access, route, options", cut("main.go", func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return false
			}
			name, ok := call.Args[0].(*ast.BasicLit)
			return ok && name.Value == `"createNote"`
		})},
	}
}

// cut returns the source of the first wanted node of a file.
func cut(file string, wanted func(ast.Node) bool) (code []piece) {
	content, err := sources.ReadFile(file)
	if err != nil {
		panic(err)
	}
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.SkipObjectResolution)
	if err != nil {
		panic(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if code == nil && n != nil && wanted(n) {
			code = colour(dedent(text[:files.Position(n.End()).Offset], files.Position(n.Pos()).Offset))
		}
		return code == nil
	})
	return code
}

// dedent returns text from start on, without the indentation of its first line.
func dedent(text string, start int) string {
	indent := text[strings.LastIndex(text[:start], "\n"):start] // begins with the line break
	return strings.ReplaceAll(text[start:], indent, "\n")
}

// colour divides Go code into pieces.
func colour(code string) (pieces []piece) {
	var tokens scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(code))
	tokens.Init(file, []byte(code), nil, scanner.ScanComments)
	done := 0
	for {
		pos, tok, text := tokens.Scan()
		if tok == token.EOF {
			return append(pieces, piece{"", code[done:]})
		}
		if kind := kindOf(tok); kind != "" {
			start := file.Offset(pos)
			pieces = append(pieces, piece{"", code[done:start]}, piece{kind, text})
			done = start + len(text)
		}
	}
}

func kindOf(tok token.Token) string {
	switch {
	case tok.IsKeyword():
		return "keyword"
	case tok == token.STRING:
		return "string"
	case tok == token.COMMENT:
		return "comment"
	}
	return ""
}
