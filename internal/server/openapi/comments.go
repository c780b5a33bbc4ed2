package openapi

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// comments is what the source of package api says of its types.
type comments struct {
	// types by name, fields by "Type.Field".
	types, fields map[string]string
	// enums lists the values of the constants of each string type.
	enums map[string][]string
}

// readComments parses the Go files of a folder.
func readComments(dir string) (*comments, error) {
	c := &comments{types: map[string]string{}, fields: map[string]string{}, enums: map[string][]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("read the comments of %s: %w", name, err)
		}
		for _, decl := range file.Decls {
			if group, ok := decl.(*ast.GenDecl); ok {
				c.group(group)
			}
		}
	}
	return c, nil
}

func (c *comments) group(group *ast.GenDecl) {
	for _, spec := range group.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = group.Doc
			}
			c.types[spec.Name.Name] = text(doc)
			if s, ok := spec.Type.(*ast.StructType); ok {
				c.structFields(spec.Name.Name, s)
			}
		case *ast.ValueSpec:
			c.constant(group.Tok, spec)
		}
	}
}

func (c *comments) structFields(typeName string, s *ast.StructType) {
	for _, field := range s.Fields.List {
		doc := text(field.Doc)
		if doc == "" {
			doc = text(field.Comment)
		}
		for _, name := range field.Names {
			c.fields[typeName+"."+name.Name] = doc
		}
	}
}

func (c *comments) constant(tok token.Token, spec *ast.ValueSpec) {
	typeName, ok := spec.Type.(*ast.Ident)
	if tok != token.CONST || !ok {
		return
	}
	for _, value := range spec.Values {
		if lit, ok := value.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				c.enums[typeName.Name] = append(c.enums[typeName.Name], s)
			}
		}
	}
}

// text is a comment on one line.
func text(doc *ast.CommentGroup) string {
	return strings.Join(strings.Fields(doc.Text()), " ")
}
