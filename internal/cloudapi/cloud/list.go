package cloud

import (
	"fmt"
	"slices"
	"strings"
)

// Window is the part of a list that is asked for.
type Window struct{ Offset, Limit int }

// NewWindow checks a part of a list; without a limit it is the default one.
func NewWindow(offset, limit *uint64, usual, most uint64) (Window, error) {
	w := Window{Limit: int(usual)}
	if offset != nil {
		if *offset > 1<<31 {
			return w, Bad("Offset", "must be at most %d, not %d", 1<<31, *offset)
		}
		w.Offset = int(*offset)
	}
	if limit != nil {
		if *limit < 1 || *limit > most {
			return w, Bad("Limit", "must be 1 to %d, not %d", most, *limit)
		}
		w.Limit = int(*limit)
	}
	return w, nil
}

// Cut is the part of a list that is there whole.
func Cut[T any](all []T, w Window) []T {
	from := min(w.Offset, len(all))
	return all[from:min(from+w.Limit, len(all))]
}

// Filter asks for those whose property has one of the values. Several filters must all
// hold.
type Filter struct {
	Name   string
	Values []string
}

// Property tells whether a thing has a value.
type Property[T any] func(thing T, value string) bool

// Match checks filters against the properties that a list knows, and returns who
// passes. field is the name of the values' parameter.
func Match[T any](filters []Filter, field string, known map[string]Property[T]) (func(T) bool, error) {
	for i, f := range filters {
		path := fmt.Sprintf("Filters.%d", i)
		if known[f.Name] == nil {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			return nil, Bad(path+".Name", "must be one of %s, not %q", strings.Join(names, ", "), clip(f.Name))
		}
		if len(f.Values) == 0 || len(f.Values) > 100 {
			return nil, Bad(path+"."+field, "must have 1 to 100 values, not %d", len(f.Values))
		}
	}
	return func(thing T) bool {
		for _, f := range filters {
			if !slices.ContainsFunc(f.Values, func(v string) bool { return known[f.Name](thing, v) }) {
				return false
			}
		}
		return true
	}, nil
}

// Keep are those of a list that pass.
func Keep[T any](all []T, pass func(T) bool) (kept []T) {
	for _, one := range all {
		if pass(one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// Number is a whole number that clients send as a number or as a string.
type Number uint64
