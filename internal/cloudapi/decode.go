package cloudapi

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// decode puts parameters into the request that v points to. It is strict: what is not
// known, not of the right type or missing is refused by its path. null is as good as
// nothing.
func decode(root *node, v any) error {
	// A form has no objects without members.
	return decodeStruct(root, reflect.ValueOf(v).Elem(), "")
}

func decodeValue(n *node, v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(n, v.Elem(), path)
	case reflect.Struct:
		return decodeStruct(n, v, path)
	case reflect.Slice:
		return decodeSlice(n, v, path)
	}
	return decodeLeaf(n, v, path)
}

func decodeStruct(n *node, v reflect.Value, path string) error {
	if n.kind != object {
		return wrongType(path, "an object", n)
	}
	for _, name := range n.names {
		at := join(path, name)
		field, ok := v.Type().FieldByName(name)
		if !ok {
			return unknown(at, name, v.Type())
		}
		member := n.members[name]
		if member.kind == null {
			continue
		}
		target := v.FieldByIndex(field.Index)
		if err := decodeValue(member, target, at); err != nil {
			return err
		}
		if why, refused := field.Tag.Lookup("refuse"); refused && asks(target, strings.Split(field.Tag.Get("but"), "|")) {
			return cloud.Refused(at, "%s", why)
		}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if member := n.members[field.Name]; field.Tag.Get("cloud") == "required" && (member == nil || member.kind == null) {
			return cloud.Errorf(cloud.MissingParameter, "%s: is required", join(path, field.Name))
		}
	}
	return nil
}

// asks tells whether a value asks for something: it is neither zero nor one of those that
// do not.
func asks(v reflect.Value, but []string) bool {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() > 0
	case reflect.Struct:
		return !v.IsZero()
	case reflect.String:
		return v.String() != "" && !slices.ContainsFunc(but, func(s string) bool { return strings.EqualFold(s, v.String()) })
	}
	return !v.IsZero()
}

func decodeSlice(n *node, v reflect.Value, path string) (err error) {
	if n.kind == object && isForm(n) {
		if n, err = n.numbered(path); err != nil {
			return err
		}
	}
	if n.kind != list {
		return wrongType(path, "a list", n)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		at := join(path, strconv.Itoa(i))
		if item.kind == null {
			return wrongType(at, "a value", item)
		}
		if err := decodeValue(item, v.Index(i), at); err != nil {
			return err
		}
	}
	return nil
}

// isForm tells an object of a form, which may be a list, from one of JSON.
func isForm(n *node) bool {
	for n.kind == object && len(n.names) > 0 {
		n = n.members[n.names[0]]
	}
	return n.kind == text
}

// loose are the types of numbers that may come as strings, too.
var loose = reflect.TypeFor[cloud.Number]()

func decodeLeaf(n *node, v reflect.Value, path string) error {
	is := func(k kind) bool { return n.kind == k || n.kind == text || n.kind == str && v.Type() == loose }
	switch v.Kind() {
	case reflect.String:
		if is(str) {
			v.SetString(n.value)
			return nil
		}
		return wrongType(path, "a string", n)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(n.value))
		if is(boolean) && err == nil && len(n.value) > 1 {
			v.SetBool(b)
			return nil
		}
		return wrongType(path, "true or false", n)
	case reflect.Int64:
		if i, err := strconv.ParseInt(n.value, 10, 64); is(number) && err == nil {
			v.SetInt(i)
			return nil
		}
		return wrongType(path, "a whole number", n)
	case reflect.Uint64:
		if i, err := strconv.ParseUint(n.value, 10, 64); is(number) && err == nil {
			v.SetUint(i)
			return nil
		}
		return wrongType(path, "a whole number that is not negative", n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.value, 64)
		if is(number) && err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			v.SetFloat(f)
			return nil
		}
		return wrongType(path, "a number", n)
	}
	panic("cloudapi: a parameter is of type " + v.Type().String())
}

func wrongType(path, want string, n *node) error {
	got := kindNames[n.kind]
	if n.kind == number || n.kind == text {
		got = strconv.Quote(clip(n.value))
	}
	return cloud.Errorf(cloud.InvalidParameter, "%s: must be %s, not %s", path, want, got)
}

func unknown(path, name string, t reflect.Type) error {
	var known []string
	for i := range t.NumField() {
		known = append(known, t.Field(i).Name)
	}
	hint := "this has no parameters"
	if near := api.Nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	} else if len(known) > 0 {
		hint = "known here: " + strings.Join(known, ", ")
	}
	return cloud.Errorf(cloud.UnknownParameter, "%s: there is no such parameter; %s", path, hint)
}
