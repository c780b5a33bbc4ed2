package cloudapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cis/internal/cloudapi/cloud"
)

// Bounds of parameters, whatever the action.
const (
	maxDepth = 16
	maxNodes = 1 << 16
	maxItems = 1024
)

// kind of a value of a parameter.
type kind int

const (
	null kind = iota
	object
	list
	text // of a form: of whatever type is wanted
	str
	number
	boolean
)

var kindNames = map[kind]string{null: "null", object: "an object", list: "a list", text: "a value", str: "a string", number: "a number", boolean: "true or false"}

// node is a value of a parameter as it was sent, in JSON or in a form.
type node struct {
	kind kind
	// value of a text, string, number or boolean.
	value string
	// members of an object, in their order; their names.
	names   []string
	members map[string]*node
	items   []*node
}

func (n *node) add(name string, member *node) {
	if n.members == nil {
		n.members = map[string]*node{}
	}
	n.names = append(n.names, name)
	n.members[name] = member
}

// parseJSON reads the body of a request; an empty one has no parameters.
func parseJSON(body []byte) (*node, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return &node{kind: object}, nil
	}
	if !utf8.Valid(body) {
		return nil, cloud.Errorf(cloud.InvalidParameter, "the body is not valid UTF-8")
	}
	p := jsonParser{dec: json.NewDecoder(bytes.NewReader(body))}
	p.dec.UseNumber()
	root, err := p.value("", 0)
	if err == nil {
		if _, more := p.dec.Token(); !errors.Is(more, io.EOF) {
			err = notJSON()
		}
	}
	if err != nil {
		return nil, err
	}
	if root.kind != object {
		return nil, cloud.Errorf(cloud.InvalidParameter, "the body must be a JSON object, not %s", kindNames[root.kind])
	}
	return root, nil
}

func notJSON() error { return cloud.Errorf(cloud.InvalidParameter, "the body is not valid JSON") }

type jsonParser struct {
	dec   *json.Decoder
	nodes int
}

func (p *jsonParser) value(path string, depth int) (*node, error) {
	token, err := p.dec.Token()
	if err != nil {
		return nil, notJSON()
	}
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		return nil, tooMuch(path)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return p.object(path, depth)
		}
		return p.list(path, depth)
	case string:
		return &node{kind: str, value: t}, nil
	case json.Number:
		return &node{kind: number, value: t.String()}, nil
	case bool:
		return &node{kind: boolean, value: strconv.FormatBool(t)}, nil
	}
	return &node{kind: null}, nil
}

func (p *jsonParser) object(path string, depth int) (*node, error) {
	n := &node{kind: object}
	for p.dec.More() {
		token, err := p.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, notJSON()
		}
		at := join(path, name)
		if n.members[name] != nil {
			return nil, cloud.Errorf(cloud.InvalidParameter, "%s: is given twice", at)
		}
		member, err := p.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		n.add(name, member)
	}
	return n, p.end()
}

func (p *jsonParser) list(path string, depth int) (*node, error) {
	n := &node{kind: list}
	for p.dec.More() {
		at := join(path, strconv.Itoa(len(n.items)))
		if len(n.items) == maxItems {
			return nil, tooMuch(path)
		}
		item, err := p.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	return n, p.end()
}

// end reads the closing bracket.
func (p *jsonParser) end() error {
	if _, err := p.dec.Token(); err != nil {
		return notJSON()
	}
	return nil
}

func tooMuch(path string) error {
	return cloud.Errorf(cloud.RequestSizeLimitExceeded, "%s: there are too many values, or they are too deep: at most %d in all, %d in a list, %d levels",
		clip(path), maxNodes, maxItems, maxDepth)
}

// tree makes values of a form's parameters, whose names are paths such as
// Containers.0.Name.
func (f form) tree() (*node, error) {
	if len(f) > maxNodes {
		return nil, tooMuch("")
	}
	root := &node{kind: object}
	for _, path := range slices.Sorted(maps.Keys(f)) {
		if !utf8.ValidString(path + f[path]) {
			return nil, cloud.Errorf(cloud.InvalidParameter, "%s: is not valid UTF-8", strings.ToValidUTF8(clip(path), "?"))
		}
		parts := strings.Split(path, ".")
		if len(parts) > maxDepth {
			return nil, tooMuch(path)
		}
		at := root
		for i, part := range parts {
			next := at.members[part]
			last := i == len(parts)-1
			switch {
			case next == nil && last:
				next = &node{kind: text, value: f[path]}
				at.add(part, next)
			case next == nil:
				next = &node{kind: object}
				at.add(part, next)
			case last || next.kind == text:
				return nil, cloud.Errorf(cloud.InvalidParameter, "%s: is given as a value and as more than that", clip(path))
			}
			at = next
		}
	}
	return root, nil
}

// numbered makes a list of an object whose names are 0, 1, 2 and so on.
func (n *node) numbered(path string) (*node, error) {
	if len(n.members) > maxItems {
		return nil, tooMuch(path)
	}
	out := &node{kind: list}
	for i := range len(n.members) {
		item := n.members[strconv.Itoa(i)]
		if item == nil {
			return nil, cloud.Errorf(cloud.InvalidParameter, "%s: is a list: its items are %s, %s and so on", clip(path), join(path, "0"), join(path, "1"))
		}
		out.items = append(out.items, item)
	}
	return out, nil
}

func join(path, name string) string {
	name = clip(name)
	if path == "" {
		return name
	}
	return path + "." + name
}
