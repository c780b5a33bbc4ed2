package translate

import "strings"

// expandAll replaces references to variables in each word.
func expandAll(words []string, lookup func(string) (string, bool)) (out []string) {
	for _, word := range words {
		out = append(out, expand(word, lookup))
	}
	return out
}

// expand replaces $(NAME) by the variable's value. $$ is a dollar sign; a name that is
// not known stays as it is written.
func expand(s string, lookup func(string) (string, bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		switch s[0] {
		case '$':
			b.WriteByte('$')
			s = s[1:]
		case '(':
			end := strings.IndexByte(s, ')')
			if end < 0 {
				b.WriteString("$(")
				s = s[1:]
				continue
			}
			if value, ok := lookup(s[1:end]); ok {
				b.WriteString(value)
			} else {
				b.WriteString("$" + s[:end+1])
			}
			s = s[end+1:]
		default:
			b.WriteByte('$')
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
}
