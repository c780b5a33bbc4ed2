package api

import (
	"path"
	"strings"
)

// What the rules allow, for messages.
const (
	dnsLabelRule     = "must be 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"
	dnsSubdomainRule = "must be at most 253 lower-case letters, digits, '-' and '.', each part with a letter or digit at both ends"
	labelKeyRule     = "must be a name of 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, after an optional DNS prefix and '/'"
	labelValueRule   = "must be at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
	envNameRule      = "must be printable ASCII without '='"
	cleanPathRule    = "must be an absolute path without '.', '..', doubled or trailing slashes"
)

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isAlnum(c byte) bool { return isLower(c) || isUpper(c) || isDigit(c) }

// each tells whether every byte of s is allowed.
func each(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

// isDNSLabel follows RFC 1123, in lower case.
func isDNSLabel(s string) bool {
	return len(s) >= 1 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		each(s, func(c byte) bool { return isLower(c) || isDigit(c) || c == '-' })
}

// isDNSSubdomain is DNS labels joined by dots, 253 characters at most.
func isDNSSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isDNSLabel(label) {
			return false
		}
	}
	return true
}

// isQualifiedName is the name part of a label key, and a label value that is not empty.
func isQualifiedName(s string) bool {
	return len(s) >= 1 && len(s) <= 63 && isAlnum(s[0]) && isAlnum(s[len(s)-1]) &&
		each(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' })
}

func isLabelKey(s string) bool {
	if prefix, name, ok := strings.Cut(s, "/"); ok {
		return isDNSSubdomain(prefix) && isQualifiedName(name)
	}
	return isQualifiedName(s)
}

func isLabelValue(s string) bool { return s == "" || isQualifiedName(s) }

func isEnvName(s string) bool {
	return s != "" && each(s, func(c byte) bool { return ' ' <= c && c <= '~' && c != '=' })
}

// isCleanPath is an absolute path in its shortest form.
func isCleanPath(s string) bool {
	return path.IsAbs(s) && path.Clean(s) == s && !strings.ContainsRune(s, 0)
}

// isSecretKey follows Kubernetes: it becomes a file name.
func isSecretKey(s string) bool {
	return len(s) >= 1 && len(s) <= 253 && s != "." && !strings.HasPrefix(s, "..") &&
		each(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' })
}

// isPortName follows RFC 6335: a service name has a letter and single hyphens inside.
func isPortName(s string) bool {
	return len(s) >= 1 && len(s) <= 15 && isDNSLabel(s) && !strings.Contains(s, "--") &&
		strings.Trim(s, "0123456789-") != ""
}

// isHeaderName is a token of RFC 9110.
func isHeaderName(s string) bool {
	return s != "" && each(s, func(c byte) bool {
		return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	})
}

// looksLikeID tells whether a name could be taken for (the beginning of) an
// instance ID, which a ref may also be.
func looksLikeID(s string) bool {
	hex, ok := strings.CutPrefix(s, "i-")
	return ok && len(hex) <= 12 && each(hex, func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' })
}

// isUser is a name or number, optionally with :group.
func isUser(s string) bool {
	user, group, hasGroup := strings.Cut(s, ":")
	return isUserName(user) && (!hasGroup || isUserName(group))
}

func isUserName(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '-' &&
		each(s, func(c byte) bool { return isAlnum(c) || strings.IndexByte("-_.$@+", c) >= 0 })
}
