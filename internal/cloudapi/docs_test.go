package cloudapi_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"cis/internal/cloudapi/cloud"
)

var update = flag.Bool("update", false, "write the tables of docs/cloud-api.md anew")

const (
	docsFile = "../../docs/cloud-api.md"
	begin    = "<!-- made from the request types: go test ./internal/cloudapi -update -->\n"
)

// TestDocs holds the tables of docs/cloud-api.md, which end it, to the types.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	head, tables, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatalf("%s has no line %q", docsFile, begin)
	}
	var want bytes.Buffer
	for _, p := range newLab().Products() {
		document(t, &want, p)
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(head+begin+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tables != want.String() {
		t.Errorf("the tables of %s are not those of the types: go test ./internal/cloudapi -update", docsFile)
	}
}

// document writes what a product does: its actions, then the objects in them.
func document(t *testing.T, w *bytes.Buffer, p cloud.Product) {
	fmt.Fprintf(w, "\n## %s %s\n", p.Name, p.Version)
	var objects []reflect.Type
	seen, sent := map[reflect.Type]bool{}, map[reflect.Type]bool{}
	for _, a := range p.Actions {
		fmt.Fprintf(w, "\n### %s\nFor %ss.", a.Name, a.Role)
		request, response := reflect.TypeOf(a.Request), reflect.TypeOf(a.Response)
		if response.NumField() == 0 {
			fmt.Fprint(w, " Answers with nothing but the RequestId.")
		}
		if request.NumField() == 0 {
			fmt.Fprint(w, " Has no parameters.")
		}
		fmt.Fprintln(w)
		table(t, w, "parameter", request)
		table(t, w, "answer", response)
		explained(t, sent, request)
		for _, of := range []reflect.Type{request, response} {
			for i := range of.NumField() {
				objects = collect(objects, seen, of.Field(i).Type)
			}
		}
	}
	fmt.Fprintf(w, "\n### Objects of %s\n", p.Name)
	for _, o := range objects {
		table(t, w, o.Name(), o)
	}
}

// explained makes sure that it is said what becomes of every parameter; what is in a
// refused one is refused with it.
func explained(t *testing.T, seen map[reflect.Type]bool, of reflect.Type) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || seen[of] {
		return
	}
	seen[of] = true
	for i := range of.NumField() {
		f := of.Field(i)
		if meaning(f) == "" {
			t.Errorf("%s says nothing of %s: give it a doc tag", of, f.Name)
		}
		if f.Tag.Get("refuse") == "" {
			explained(t, seen, f.Type)
		}
	}
}

// collect adds the objects in a type, each before those in it.
func collect(all []reflect.Type, seen map[reflect.Type]bool, in reflect.Type) []reflect.Type {
	for in.Kind() == reflect.Pointer || in.Kind() == reflect.Slice {
		in = in.Elem()
	}
	if in.Kind() != reflect.Struct || seen[in] {
		return all
	}
	seen[in] = true
	all = append(all, in)
	for i := range in.NumField() {
		all = collect(all, seen, in.Field(i).Type)
	}
	return all
}

func table(t *testing.T, w *bytes.Buffer, title string, of reflect.Type) {
	if of.NumField() == 0 {
		return
	}
	fmt.Fprintf(w, "\n| %s | type | |\n|---|---|---|\n", title)
	for i := range of.NumField() {
		f := of.Field(i)
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", f.Name, typeName(t, f.Type), meaning(f))
	}
}

func typeName(t *testing.T, of reflect.Type) string {
	switch of.Kind() {
	case reflect.Pointer:
		return typeName(t, of.Elem())
	case reflect.Slice:
		return "list of " + typeName(t, of.Elem())
	case reflect.Struct:
		return of.Name()
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	}
	t.Fatalf("a field is of type %s", of)
	return ""
}

// meaning is what is made of a field.
func meaning(f reflect.StructField) string {
	var parts []string
	if f.Tag.Get("cloud") == "required" {
		parts = append(parts, "required")
	}
	if doc := f.Tag.Get("doc"); doc != "" {
		parts = append(parts, doc)
	}
	if why := f.Tag.Get("refuse"); why != "" {
		refused := "**refused** in a request: " + why
		if but := f.Tag.Get("but"); but != "" {
			refused = fmt.Sprintf("**refused** in a request unless it is %s: %s", strings.ReplaceAll(but, "|", " or "), why)
		}
		parts = append(parts, refused)
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), "|", "\\|")
}
