package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// fieldChecker walks JSON beside the Go type it is meant for, so that each
// mistake can be named by its path; encoding/json alone forgets list positions.
type fieldChecker struct {
	dec   *json.Decoder
	known map[reflect.Type]map[string]reflect.Type
}

// checkFields refuses what does not fit the type that v points to. The data is
// syntactically valid.
func checkFields(data []byte, v any) error {
	c := &fieldChecker{
		dec:   json.NewDecoder(bytes.NewReader(data)),
		known: map[reflect.Type]map[string]reflect.Type{},
	}
	return c.value("", reflect.TypeOf(v).Elem())
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (c *fieldChecker) value(path string, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		return c.value(path, t.Elem())
	}
	if isLeaf(t) {
		return c.leaf(path, t)
	}
	token, err := c.dec.Token()
	if err != nil {
		return Errorf(Invalid, "not valid JSON: %w", err)
	}
	wanted, name := json.Delim('{'), "an object"
	if t.Kind() == reflect.Slice {
		wanted, name = '[', "a list"
	}
	if token == nil { // null is the same as leaving the field out
		return nil
	}
	if token != wanted {
		return FieldError(path, "must be %s, not %s", name, tokenKind(token))
	}
	switch t.Kind() {
	case reflect.Slice:
		err = c.list(path, t.Elem())
	case reflect.Map:
		err = c.object(path, func(key string) (string, reflect.Type, error) {
			return fmt.Sprintf("%s[%s]", path, clip(key)), t.Elem(), nil
		})
	default:
		fields := c.fields(t)
		err = c.object(path, func(key string) (string, reflect.Type, error) {
			field := joinPath(path, clip(key))
			if ft, ok := fields[key]; ok {
				return field, ft, nil
			}
			return field, nil, unknownField(field, key, slices.Sorted(maps.Keys(fields)))
		})
	}
	if err != nil {
		return err
	}
	_, err = c.dec.Token() // the closing bracket
	return err
}

// isLeaf tells whether encoding/json reads the type in one piece.
func isLeaf(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return false
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	default:
		return true
	}
}

func (c *fieldChecker) list(path string, elem reflect.Type) error {
	for i := 0; c.dec.More(); i++ {
		if err := c.value(fmt.Sprintf("%s[%d]", path, i), elem); err != nil {
			return err
		}
	}
	return nil
}

// object reads the members; field gives the path and type of a key.
func (c *fieldChecker) object(path string, field func(string) (string, reflect.Type, error)) error {
	seen := map[string]bool{}
	for c.dec.More() {
		token, err := c.dec.Token()
		if err != nil {
			return Errorf(Invalid, "not valid JSON: %w", err)
		}
		key, _ := token.(string)
		name, t, err := field(key)
		if err != nil {
			return err
		}
		if seen[key] {
			return FieldError(name, "is given twice")
		}
		seen[key] = true
		if err := c.value(name, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *fieldChecker) leaf(path string, t reflect.Type) error {
	var raw json.RawMessage
	if err := c.dec.Decode(&raw); err != nil {
		return Errorf(Invalid, "not valid JSON: %w", err)
	}
	err := json.Unmarshal(raw, reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return FieldError(path, "%s", err.Error())
	}
	switch t.Kind() {
	case reflect.String:
		return FieldError(path, "must be a string, not %s", valueKind(raw)).WithNext("put %s in quotes", clip(string(raw)))
	case reflect.Bool:
		return FieldError(path, "must be true or false, not %s", clip(string(raw)))
	case reflect.Slice:
		return FieldError(path, "must be a string of base64")
	default:
		return FieldError(path, "must be a whole number of at most %d bits, not %s", t.Bits(), clip(string(raw)))
	}
}

// fields lists the members of a struct with those of embedded structs.
func (c *fieldChecker) fields(t reflect.Type) map[string]reflect.Type {
	if fields, ok := c.known[t]; ok {
		return fields
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		fields[name] = f.Type
	}
	c.known[t] = fields
	return fields
}

func unknownField(path, name string, known []string) error {
	err := FieldError(path, "there is no field %q here", clip(name))
	if near := Nearest(name, known); near != "" {
		return err.WithNext("did you mean %q?", near)
	}
	return err.WithNext("known here: %s", strings.Join(known, ", "))
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func tokenKind(token json.Token) string {
	switch token := token.(type) {
	case json.Delim:
		return valueKind([]byte(token.String()))
	case string:
		return "a string"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}

func valueKind(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "true or false"
	case '"':
		return "a string"
	default:
		return "a number"
	}
}

// clip keeps messages short whatever the input.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:61], "") + "..."
}
