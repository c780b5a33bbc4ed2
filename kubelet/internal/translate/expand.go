package translate

import (
	"slices"
	"strings"

	"cis/api"
)

// A template is a text that may have the pod's address in it, which cis gives out later:
// addressRef stands for that, and $$ for each dollar sign.
type template string

const addressRef template = "$(" + api.FieldAddress + ")"

// literal is a text as it is.
func literal(s string) template { return template(strings.ReplaceAll(s, "$", "$$")) }

// late tells whether the address is in it.
func (t template) late() bool {
	return strings.Contains(strings.ReplaceAll(string(t), "$$", ""), string(addressRef))
}

// plain is the text of a template that has no address in it.
func (t template) plain() string { return strings.ReplaceAll(string(t), "$$", "$") }

// expandAll replaces references to variables in each word.
func expandAll(words []string, lookup func(string) (template, bool)) (out []template) {
	for _, word := range words {
		out = append(out, expand(word, lookup))
	}
	return out
}

// expand replaces $(NAME) by the variable's value. $$ is a dollar sign; a name that is
// not known stays as it is written.
func expand(s string, lookup func(string) (template, bool)) template {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(string(literal(s)))
			return template(b.String())
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		switch s[0] {
		case '$':
			b.WriteString("$$")
			s = s[1:]
		case '(':
			end := strings.IndexByte(s, ')')
			if end < 0 {
				b.WriteString("$$(")
				s = s[1:]
				continue
			}
			if value, ok := lookup(s[1:end]); ok {
				b.WriteString(string(value))
			} else {
				b.WriteString(string(literal("$" + s[:end+1])))
			}
			s = s[end+1:]
		default:
			b.WriteString("$$")
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
}

// texts are those of a container, all in one form: that of templates only if the address is in
// one of them.
type texts struct{ expand bool }

func textsOf(command, args []template, env *environment) texts {
	late := slices.ContainsFunc(env.vars, func(v variable) bool { return v.value != addressRef && v.value.late() })
	return texts{late || slices.ContainsFunc(command, template.late) || slices.ContainsFunc(args, template.late)}
}

func (x texts) text(t template) string {
	if x.expand {
		return string(t)
	}
	return t.plain()
}

func (x texts) words(all []template) (out []string) {
	for _, t := range all {
		out = append(out, x.text(t))
	}
	return out
}

func (x texts) env(vars []variable) (out []api.EnvVar) {
	for _, v := range vars {
		if v.value == addressRef {
			out = append(out, api.EnvVar{Name: v.name, ValueFrom: &api.EnvVarSource{FieldRef: &api.FieldRef{FieldPath: api.FieldAddress}}})
			continue
		}
		out = append(out, api.EnvVar{Name: v.name, Value: x.text(v.value)})
	}
	return out
}
