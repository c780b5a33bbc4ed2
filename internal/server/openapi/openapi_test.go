package openapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cis/docs"
	"cis/internal/server"
	"cis/internal/server/openapi"
)

const apiDir = "../../../api"

func TestReferenceIsCurrent(t *testing.T) {
	for file, describe := range map[string]func(string) ([]byte, error){"openapi.json": openapi.JSON, "api.md": openapi.Markdown} {
		want, err := describe(apiDir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../../docs/" + file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what the code says (%v): run go generate ./docs", file, err)
		}
	}
}

// document is what the tests read of an OpenAPI document.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Ref                   string `json:"$ref"`
		Name, In, Description string
		Required              bool
		Schema                *schema
	}
	Responses map[string]any
}

type schema struct {
	Description string
	Type        string
	Properties  map[string]schema
	OneOf       []schema
	Enum        []string
	Required    []string
}

func parsed(t *testing.T) (doc document, generic any) {
	t.Helper()
	if err := json.Unmarshal(docs.OpenAPI, &generic); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(docs.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, generic
}

func TestEveryRouteIsDescribed(t *testing.T) {
	doc, generic := parsed(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the version is %q", doc.OpenAPI)
	}
	described := 0
	for _, item := range doc.Paths {
		described += len(item)
	}
	routes := server.Routes()
	if described != len(routes) {
		t.Errorf("%d operations describe %d routes", described, len(routes))
	}
	ids := map[string]bool{}
	for _, r := range routes {
		path := strings.ReplaceAll(r.Path, "...}", "}")
		op, ok := doc.Paths[path][strings.ToLower(r.Method)]
		if !ok || op.OperationID != r.Name || ids[r.Name] {
			t.Errorf("%s %s is described as %+v", r.Method, path, op)
		}
		ids[r.Name] = true
		names := map[string]bool{}
		for _, p := range op.Parameters {
			if names[p.In+" "+p.Name+p.Ref] = true; p.Ref != "" {
				continue
			}
			if p.Schema == nil || p.In == "query" && p.Description == "" {
				t.Errorf("%s: the parameter %s has no schema or no description", r.Name, p.Name)
			}
			if p.In == "path" && (!p.Required || !strings.Contains(path, "{"+p.Name+"}")) {
				t.Errorf("%s: the path parameter %s is wrong", r.Name, p.Name)
			}
		}
		for _, p := range r.Query {
			if !names["query "+p.Name] {
				t.Errorf("%s: the parameter %s is missing", r.Name, p.Name)
			}
		}
		// What asks who the caller is takes the account's header and may say no.
		asks := r.Path != server.HealthPath
		for ref, described := range map[string]bool{"parameters/Account": names[" #/components/parameters/Account"],
			"responses/401": op.Responses["401"] != nil, "responses/403": op.Responses["403"] != nil, "responses/429": op.Responses["429"] != nil} {
			if described != asks {
				t.Errorf("%s: %s is described: %v", r.Name, ref, described)
			}
		}
		delete(names, " #/components/parameters/Account")
		if len(op.Responses) < 2 || strings.Count(path, "{") != len(names)-len(r.Query) {
			t.Errorf("%s: %d responses, parameters %v", r.Name, len(op.Responses), names)
		}
	}
	for ref := range refs(generic) {
		at := generic
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			members, _ := at.(map[string]any)
			at = members[name]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	}
}

// refs collects every $ref of a document.
func refs(v any) map[string]bool {
	found := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				found[ref] = true
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	walk(v)
	return found
}

func TestSchemas(t *testing.T) {
	doc, _ := parsed(t)
	create, ok := doc.Components.Schemas["CreateInstance"]
	if !ok {
		t.Fatal("there is no CreateInstance")
	}
	if !reflect.DeepEqual(create.Required, []string{"containers"}) {
		t.Errorf("a create requires %q", create.Required)
	}
	for _, field := range []string{"cpu", "memory", "ephemeralStorage"} {
		p := create.Properties[field]
		if len(p.OneOf) != 2 || p.OneOf[0].Type != "string" || p.OneOf[1].Type != "number" || p.Description == "" {
			t.Errorf("%s is %+v", field, p)
		}
	}
	if p := create.Properties["restartPolicy"]; !slices.Equal(p.Enum, []string{"Never", "OnFailure", "Always"}) {
		t.Errorf("restartPolicy is %+v", p)
	}
	if p := doc.Components.Schemas["Probe"].Properties["periodSeconds"]; p.Description != "default 10" {
		t.Errorf("periodSeconds is %+v", p)
	}
	if p := doc.Components.Schemas["Event"].Properties["firstSeen"]; p.Type != "string" {
		t.Errorf("firstSeen is %+v", p)
	}
	for name, s := range doc.Components.Schemas {
		if s.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
}
