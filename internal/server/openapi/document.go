// Package openapi describes the HTTP API in OpenAPI 3.1 and in Markdown, from the
// server's route table, the types of package api, and their comments. It is for
// the generator and the tests: no program that serves imports it, so that what it
// needs costs a running server nothing.
package openapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"cis/api"
	"cis/internal/server"
)

// builder makes the document.
type builder struct {
	*comments
	doc      *huma.OpenAPI
	registry huma.Registry
}

// JSON describes the API. apiDir is the folder of package api's source.
func JSON(apiDir string) ([]byte, error) {
	doc, err := build(apiDir)
	if err != nil {
		return nil, err
	}
	data, err := doc.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, data, "", " ")
	out.WriteByte('\n')
	return out.Bytes(), err
}

func build(apiDir string) (*huma.OpenAPI, error) {
	said, err := readComments(apiDir)
	if err != nil {
		return nil, err
	}
	b := &builder{comments: said, registry: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)}
	b.registry.RegisterTypeAlias(reflect.TypeFor[api.CPU](), reflect.TypeFor[cpuSchema]())
	b.registry.RegisterTypeAlias(reflect.TypeFor[api.Bytes](), reflect.TypeFor[bytesSchema]())
	b.registry.RegisterTypeAlias(reflect.TypeFor[api.BitRate](), reflect.TypeFor[bitRateSchema]())
	b.doc = &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "cis", Version: "v1", Description: "Container instances on your own machines.",
			License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}},
		Servers:    []*huma.Server{{URL: "/", Description: "on the unix socket, or over https with a bearer token"}},
		Components: &huma.Components{Schemas: b.registry, SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}},
		Security:   []map[string][]string{{"token": {}}, {}},
	}
	b.doc.Components.Parameters = map[string]*huma.Param{"Account": accountParam()}
	b.doc.Components.Responses = b.denials()
	routes := server.Routes()
	for _, r := range routes {
		if r.Body != nil {
			b.schema(r.Body)
		}
	}
	requests := map[string]bool{}
	for name := range b.registry.Map() {
		requests[name] = true
	}
	for _, r := range routes {
		b.doc.AddOperation(b.operation(r))
	}
	b.schema(api.StreamStatus{})
	b.schema(api.WindowSize{})
	for name, schema := range b.registry.Map() {
		b.finish(name, schema, requests[name])
	}
	return b.doc, nil
}

func (b *builder) schema(v any) *huma.Schema {
	return b.registry.Schema(reflect.TypeOf(v), true, "")
}

func (b *builder) operation(r server.Route) *huma.Operation {
	op := &huma.Operation{
		OperationID: r.Name, Method: r.Method, Path: strings.ReplaceAll(r.Path, "...}", "}"), Summary: r.Summary,
		Tags: []string{r.Tag}, Responses: map[string]*huma.Response{"default": b.problem()},
	}
	for part := range strings.SplitSeq(op.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			op.Parameters = append(op.Parameters, &huma.Param{Name: strings.TrimSuffix(name, "}"), In: "path", Required: true,
				Schema: &huma.Schema{Type: "string"}})
		}
	}
	for _, p := range r.Query {
		op.Parameters = append(op.Parameters, queryParam(p))
	}
	if r.Path != server.HealthPath { // which asks nobody who he is
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/Account"})
		for status := range b.doc.Components.Responses {
			op.Responses[status] = &huma.Response{Ref: "#/components/responses/" + status}
		}
	}
	switch {
	case r.Body != nil:
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: b.schema(r.Body)}}}
	case r.BodyType != "":
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{r.BodyType: {}}}
	}
	for _, reply := range r.Replies {
		b.reply(op, reply)
	}
	return op
}

// accountParam is the header that every operation but one takes.
func accountParam() *huma.Param {
	return &huma.Param{Name: "Cis-Account", In: "header", Schema: &huma.Schema{Type: "string"},
		Description: "account to act for, where that is not the caller's own, or *: all of them, to look; only for who runs the service"}
}

// denials are the problems of callers, by status.
func (b *builder) denials() map[string]*huma.Response {
	all := map[string]*huma.Response{}
	for status, why := range map[string]string{
		"401": "no token, or one that is not known, disabled or expired",
		"403": "the caller's role, or account, is not enough",
		"429": "the key does this too often",
	} {
		all[status] = b.problem()
		all[status].Description = why
	}
	return all
}

func queryParam(p server.Param) *huma.Param {
	schema := &huma.Schema{Type: p.Type}
	for _, v := range p.Values {
		schema.Enum = append(schema.Enum, v)
	}
	if p.Repeated {
		schema = &huma.Schema{Type: "array", Items: schema}
	}
	return &huma.Param{Name: p.Name, In: "query", Description: p.Doc, Required: p.Required, Schema: schema}
}

// reply adds one; replies of the same status differ in their media type.
func (b *builder) reply(op *huma.Operation, reply server.Reply) {
	status := strconv.Itoa(reply.Status)
	resp := op.Responses[status]
	if resp == nil {
		resp = &huma.Response{Description: reply.Doc}
		op.Responses[status] = resp
	} else {
		resp.Description += "; " + reply.Doc
	}
	if reply.Type == "" {
		return
	}
	media := &huma.MediaType{}
	if reply.Body != nil {
		media.Schema = b.schema(reply.Body)
	}
	if resp.Content == nil {
		resp.Content = map[string]*huma.MediaType{}
	}
	resp.Content[reply.Type] = media
}

func (b *builder) problem() *huma.Response {
	return &huma.Response{Description: "a problem, see RFC 9457",
		Content: map[string]*huma.MediaType{"application/problem+json": {Schema: b.schema(api.Problem{})}}}
}

// finish puts the comments and enumerations of a type into its schema.
func (b *builder) finish(name string, schema *huma.Schema, request bool) {
	t := b.registry.TypeFromRef("#/components/schemas/" + name)
	goName, _, _ := strings.Cut(t.Name(), "[")
	schema.Description = b.types[goName]
	if !request {
		schema.AdditionalProperties = nil // replies may grow
	}
	for _, f := range reflect.VisibleFields(t) {
		jsonName, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		property := schema.Properties[jsonName]
		if property == nil || f.Anonymous {
			continue
		}
		property.Nullable = false
		property.Description = b.fields[owner(t, f)+"."+f.Name]
		for _, value := range b.enums[f.Type.Name()] {
			property.Enum = append(property.Enum, value)
		}
	}
}

// owner is the struct that declares a field, which may be embedded in t.
func owner(t reflect.Type, f reflect.StructField) string {
	for _, i := range f.Index[:len(f.Index)-1] {
		t = t.Field(i).Type
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

// cpuSchema, bytesSchema and bitRateSchema stand for the amounts, which may be text or numbers.
type (
	cpuSchema     struct{}
	bytesSchema   struct{}
	bitRateSchema struct{}
)

func (cpuSchema) Schema(huma.Registry) *huma.Schema {
	return amount(`^[0-9.]+m?$`, "0.5", 0.5, "500m")
}

func (bytesSchema) Schema(huma.Registry) *huma.Schema {
	return amount(`^[0-9.]+([KMGT]i|[kMGT])?$`, "256Mi", 268435456, "1G")
}

func (bitRateSchema) Schema(huma.Registry) *huma.Schema {
	return amount(`^[0-9.]+[kMG]?$`, "100M", 100000000, "1.5G")
}

func amount(pattern string, examples ...any) *huma.Schema {
	return &huma.Schema{Examples: examples, OneOf: []*huma.Schema{{Type: "string", Pattern: pattern}, {Type: "number", Minimum: new(0.0)}}}
}

// operations of a path, in the order in which the reference shows them.
func operations(item *huma.PathItem) []*huma.Operation {
	var all []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}

// statusText is a status with its phrase.
func statusText(status string) string {
	code, err := strconv.Atoi(status)
	if err != nil {
		return status
	}
	return status + " " + http.StatusText(code)
}
