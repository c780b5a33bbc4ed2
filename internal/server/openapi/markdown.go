package openapi

import (
	"bytes"
	_ "embed" // for the beginning of the reference
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"cis/internal/server"
)

//go:embed intro.md
var intro string

// Markdown describes the API for people. apiDir is the folder of package api's source.
func Markdown(apiDir string) ([]byte, error) {
	doc, err := build(apiDir)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(intro)
	tag := ""
	for _, route := range server.Routes() {
		if route.Tag != tag {
			tag = route.Tag
			fmt.Fprintf(&out, "\n## %s\n", strings.ToUpper(tag[:1])+tag[1:])
		}
		path := doc.Paths[strings.ReplaceAll(route.Path, "...}", "}")]
		for _, op := range operations(path) {
			if op.OperationID == route.Name {
				writeOperation(&out, route.Path, op)
			}
		}
	}
	out.WriteString("\n## Types\n")
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		writeType(&out, name, schemas[name])
	}
	return out.Bytes(), nil
}

func writeOperation(out *bytes.Buffer, path string, op *huma.Operation) {
	fmt.Fprintf(out, "\n### `%s %s`\n\n%s.\n", op.Method, path, op.Summary)
	first := true
	for _, p := range op.Parameters {
		if p.In != "query" {
			continue
		}
		if first {
			out.WriteString("\n| parameter | type | |\n|---|---|---|\n")
			first = false
		}
		doc := p.Description
		if p.Required {
			doc = "**required**; " + doc
		}
		if values := choices(p.Schema); len(values) > 0 {
			doc += " (" + words(values) + ")"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", p.Name, typeText(p.Schema), cell(doc))
	}
	if op.RequestBody != nil {
		fmt.Fprintf(out, "\nBody: %s\n", contentText(op.RequestBody.Content))
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if resp := op.Responses[status]; status != "default" && resp.Ref == "" {
			gives := fmt.Sprintf("Gives %s: %s. %s", statusText(status), resp.Description, contentText(resp.Content))
			fmt.Fprintf(out, "\n%s\n", strings.TrimSpace(gives))
		}
	}
}

func contentText(content map[string]*huma.MediaType) string {
	var parts []string
	for _, media := range slices.Sorted(maps.Keys(content)) {
		text := "`" + media + "`"
		if schema := content[media].Schema; schema != nil {
			text += " of " + typeText(schema)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " or ")
}

func writeType(out *bytes.Buffer, name string, schema *huma.Schema) {
	fmt.Fprintf(out, "\n### %s\n\n%s\n\n| field | type | |\n|---|---|---|\n", name, schema.Description)
	for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
		property := schema.Properties[field]
		doc := property.Description
		if len(property.Enum) > 0 {
			doc = strings.TrimSpace(doc + " One of " + words(property.Enum) + ".")
		}
		if slices.Contains(schema.Required, field) {
			field += "*"
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", field, typeText(property), cell(doc))
	}
}

// typeText names a schema; a type of our own is a link.
func typeText(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case s.Type == "array":
		return "list of " + typeText(s.Items)
	case s.Type == "object":
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			return "map of " + typeText(values)
		}
		return "object"
	case len(s.OneOf) > 0:
		return "amount, such as `" + fmt.Sprint(s.Examples[0]) + "`"
	case s.Format == "date-time":
		return "time"
	case s.ContentEncoding != "":
		return s.ContentEncoding
	default:
		return s.Type
	}
}

// choices are the values that a parameter, or each of a repeated one, may have.
func choices(s *huma.Schema) []any {
	if s.Items != nil {
		return s.Items.Enum
	}
	return s.Enum
}

func words(values []any) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("`%v`", v)
	}
	return strings.Join(quoted, ", ")
}

// cell keeps a text inside its table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
