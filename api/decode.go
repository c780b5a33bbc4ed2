package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"
)

// MaxRequest is the most bytes that a request body or spec may have.
const MaxRequest = 2 << 20

// Decode reads one JSON object, or one YAML document, into v, a pointer to one
// of the request types. It is strict: unknown and repeated fields, values of the
// wrong type, and anything after the value are refused as *Error with the path of
// the field. Text that begins with "{" is taken as JSON.
func Decode(data []byte, v any) error {
	if len(data) > MaxRequest {
		return Errorf(Invalid, "the text has %d bytes; at most %d are allowed", len(data), MaxRequest)
	}
	if !utf8.Valid(data) {
		return Errorf(Invalid, "the text is not valid UTF-8")
	}
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return Errorf(Invalid, "the text is empty; it must be a JSON object or a YAML document")
	}
	if trimmed[0] != '{' {
		converted, err := yamlToJSON(trimmed)
		if err != nil {
			return Errorf(Invalid, "not valid YAML: %w", err)
		}
		data = converted
	}
	if err := checkSyntax(data); err != nil {
		return err
	}
	if err := checkFields(data, v); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return Errorf(Invalid, "not what is wanted here: %w", err)
	}
	return nil
}

// checkSyntax makes sure that data is exactly one JSON value.
func checkSyntax(data []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:min(int(syntax.Offset), len(data))]
		line := 1 + bytes.Count(before, []byte("\n"))
		return Errorf(Invalid, "not valid JSON at line %d, column %d: %w",
			line, len(before)-bytes.LastIndexByte(before, '\n')-1, err)
	}
	if err != nil {
		return Errorf(Invalid, "not valid JSON: %w", err)
	}
	return nil
}

// yamlToJSON reads exactly one YAML document.
func yamlToJSON(data []byte) ([]byte, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.SetStrict(true)
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document; give them one at a time")
	}
	plain, err := plainValue(doc)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(plain)
	if err == nil && len(out) > 2*MaxRequest {
		// Aliases can make much of little.
		return nil, fmt.Errorf("the document expands to %d bytes; at most %d are allowed", len(out), 2*MaxRequest)
	}
	return out, err
}

// plainValue turns YAML's maps, which may have keys of any type, into JSON's.
func plainValue(v any) (any, error) {
	switch v := v.(type) {
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			name, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("the key %v must be a string: put it in quotes", key)
			}
			plain, err := plainValue(value)
			if err != nil {
				return nil, err
			}
			out[name] = plain
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			plain, err := plainValue(value)
			if err != nil {
				return nil, err
			}
			out[i] = plain
		}
		return out, nil
	default:
		return v, nil
	}
}
