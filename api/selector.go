package api

import (
	"slices"
	"strings"
)

// Selector chooses by labels: every requirement must hold. The zero Selector
// chooses everything.
type Selector struct{ requirements []requirement }

// requirement on one label. Without values it is about the key's presence.
type requirement struct {
	key    string
	values []string
	// negated turns it round. A missing key fulfils a negated requirement.
	negated bool
}

const selectorRule = "must be requirements such as app=web, tier!=cache, ready, !old, zone in (a,b), zone notin (c), separated by commas"

// ParseSelector reads a label selector in the Kubernetes syntax: k=v, k==v,
// k!=v, k, !k, k in (a,b), k notin (a,b), separated by commas.
func ParseSelector(text string) (Selector, error) {
	var s Selector
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	if len(text) > 4096 {
		return s, FieldError("selector", "must have at most 4096 bytes")
	}
	for part := range splitOutside(text) {
		r, ok := parseRequirement(strings.TrimSpace(part))
		if !ok {
			return Selector{}, FieldError("selector", "%q cannot be read", clip(strings.TrimSpace(part))).WithNext(selectorRule)
		}
		s.requirements = append(s.requirements, r)
	}
	return s, nil
}

// splitOutside cuts at the commas that are not in brackets.
func splitOutside(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		depth, start := 0, 0
		for i := range len(text) {
			switch text[i] {
			case '(':
				depth++
			case ')':
				depth--
			case ',':
				if depth > 0 {
					continue
				}
				if !yield(text[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(text[start:])
	}
}

func parseRequirement(part string) (requirement, bool) {
	if key, ok := strings.CutPrefix(part, "!"); ok {
		return checkedRequirement(key, nil, true)
	}
	if key, set, ok := strings.Cut(part, "("); ok {
		set, ok = strings.CutSuffix(set, ")")
		words := strings.Fields(key)
		if !ok || len(words) != 2 || words[1] != "in" && words[1] != "notin" {
			return requirement{}, false
		}
		return checkedRequirement(words[0], strings.Split(set, ","), words[1] == "notin")
	}
	if key, value, ok := strings.Cut(part, "!="); ok {
		return checkedRequirement(key, []string{value}, true)
	}
	if key, value, ok := strings.Cut(part, "="); ok {
		return checkedRequirement(key, []string{strings.TrimPrefix(value, "=")}, false)
	}
	return checkedRequirement(part, nil, false)
}

func checkedRequirement(key string, values []string, negated bool) (requirement, bool) {
	r := requirement{key: strings.TrimSpace(key), negated: negated}
	for _, value := range values {
		value = strings.TrimSpace(value)
		if !isLabelValue(value) {
			return r, false
		}
		r.values = append(r.values, value)
	}
	return r, isLabelKey(r.key)
}

// Matches tells whether labels fulfil every requirement.
func (s Selector) Matches(labels map[string]string) bool {
	for _, r := range s.requirements {
		value, ok := labels[r.key]
		if ok && r.values != nil {
			ok = slices.Contains(r.values, value)
		}
		if ok == r.negated {
			return false
		}
	}
	return true
}

// Empty tells whether the selector chooses everything.
func (s Selector) Empty() bool { return len(s.requirements) == 0 }

// String gives the selector in the syntax of ParseSelector.
func (s Selector) String() string {
	parts := make([]string, len(s.requirements))
	for i, r := range s.requirements {
		parts[i] = r.String()
	}
	return strings.Join(parts, ",")
}

func (r requirement) String() string {
	switch {
	case r.values == nil && r.negated:
		return "!" + r.key
	case r.values == nil:
		return r.key
	case len(r.values) == 1 && r.negated:
		return r.key + "!=" + r.values[0]
	case len(r.values) == 1:
		return r.key + "=" + r.values[0]
	case r.negated:
		return r.key + " notin (" + strings.Join(r.values, ",") + ")"
	default:
		return r.key + " in (" + strings.Join(r.values, ",") + ")"
	}
}
