package translate

import (
	"fmt"
	"strings"
)

// Refusal names the fields that cis cannot honour.
type Refusal struct{ Fields []FieldProblem }

// FieldProblem is one field, by its path in the pod, and why.
type FieldProblem struct{ Field, Why string }

func (r *Refusal) Error() string {
	parts := make([]string, len(r.Fields))
	for i, p := range r.Fields {
		parts[i] = p.Field + ": " + p.Why
	}
	return strings.Join(parts, "; ")
}

// Missing is something that the pod names and that does not exist, or has not what is
// asked for. It may come later.
type Missing struct {
	// Volume it is for; empty: a container's environment.
	Volume  string
	Message string
}

func (m *Missing) Error() string { return m.Message }

// problems collects them, so that a user sees all at once.
type problems struct {
	fields  []FieldProblem
	missing *Missing
	// failure is what a kubelet tries again and again.
	failure error
}

func (p *problems) refuse(field, format string, args ...any) {
	p.fields = append(p.fields, FieldProblem{field, fmt.Sprintf(format, args...)})
}

func (p *problems) lacks(volume, format string, args ...any) {
	if p.missing == nil {
		p.missing = &Missing{Volume: volume, Message: fmt.Sprintf(format, args...)}
	}
}

func (p *problems) fails(format string, args ...any) { p.failure = fmt.Errorf(format, args...) }

func (p *problems) err() error {
	switch {
	case len(p.fields) > 0:
		return &Refusal{p.fields}
	case p.missing != nil:
		return p.missing
	}
	return p.failure
}
