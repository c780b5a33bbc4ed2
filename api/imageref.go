package api

import (
	"errors"
	"strings"
)

// checkImageRef checks the syntax of an image reference:
// [host[:port]/]path[:tag][@digest], at most 255 characters before the tag.
// The grammar is that of the distribution specification's names.
func checkImageRef(ref string) error {
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest && !isDigest(digest) {
		return errors.New("the part after '@' must be a digest such as sha256: and 64 hexadecimal digits")
	}
	name, tag := splitTag(rest)
	if strings.HasSuffix(rest, ":") || tag != "" && !isTag(tag) {
		return errors.New("the tag must be 1 to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'")
	}
	host, path := splitHost(name)
	switch {
	case name == "":
		return errors.New("must be an image reference such as docker.io/library/nginx:1.27")
	case len(name) > 255:
		return errors.New("the name must have at most 255 characters before the tag")
	case host != "" && !isRegistryHost(host):
		return errors.New("the registry must be a host name or address, optionally with a port")
	}
	for part := range strings.SplitSeq(path, "/") {
		if !isNamePart(part) {
			return errors.New("each part of the name must be lower-case letters and digits, " +
				"separated by '.', '_', '__' or '-', such as docker.io/library/nginx:1.27")
		}
	}
	return nil
}

// hasLatestTag tells whether a reference asks for the tag latest, said or unsaid.
func hasLatestTag(ref string) bool {
	if strings.Contains(ref, "@") {
		return false
	}
	_, tag := splitTag(ref)
	return tag == "" || tag == "latest"
}

// splitTag cuts at the last colon that is not part of the host.
func splitTag(ref string) (name, tag string) {
	i := strings.LastIndexByte(ref, ':')
	if i < 0 || strings.Contains(ref[i:], "/") {
		return ref, ""
	}
	return ref[:i], ref[i+1:]
}

// splitHost takes the first part for a registry if it could be one: with a dot
// or a port, or localhost.
func splitHost(name string) (host, path string) {
	first, rest, ok := strings.Cut(name, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", name
}

func isRegistryHost(s string) bool {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		if port == "" || len(port) > 5 || !each(port, isDigit) {
			return false
		}
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		return ok && v6 != "" && each(v6, func(c byte) bool { return isHex(c) || c == ':' })
	}
	return isDNSSubdomain(strings.ToLower(host))
}

func isNamePart(s string) bool {
	if s == "" || !each(s, func(c byte) bool {
		return isLower(c) || isDigit(c) || c == '.' || c == '_' || c == '-'
	}) {
		return false
	}
	// Between runs of letters and digits: one dot, one or two underscores, or hyphens.
	for s != "" {
		word := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz0123456789")
		if len(word) == len(s) {
			return false
		}
		if word == "" {
			return true
		}
		s = strings.TrimLeft(word, "._-")
		separator := word[:len(word)-len(s)]
		if s == "" || separator != "." && separator != "_" && separator != "__" && strings.Trim(separator, "-") != "" {
			return false
		}
	}
	return true
}

func isTag(s string) bool {
	return len(s) >= 1 && len(s) <= 128 && s[0] != '.' && s[0] != '-' &&
		each(s, func(c byte) bool { return isAlnum(c) || c == '_' || c == '.' || c == '-' })
}

// isDigest knows the two algorithms that the OCI image specification registers
// for use: sha256 and sha512.
func isDigest(s string) bool {
	algorithm, hex, _ := strings.Cut(s, ":")
	length := map[string]int{"sha256": 64, "sha512": 128}[algorithm]
	return length > 0 && len(hex) == length && each(hex, isHex)
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' }
