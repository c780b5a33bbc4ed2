package server

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"cis/api"
)

// Tokens are the bearer tokens that prove a caller, as SHA-256 sums: whoever
// reads the file has no token yet.
type Tokens struct{ entries []tokenEntry }

type tokenEntry struct {
	name string
	sum  [sha256.Size]byte
}

// LoadTokens reads a file of tokens; see ParseTokens.
func LoadTokens(path string) (*Tokens, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	defer f.Close()
	tokens, err := ParseTokens(f)
	if err != nil {
		return nil, fmt.Errorf("load tokens from %s: %w", path, err)
	}
	return tokens, nil
}

// ParseTokens reads one token a line, as a name, a colon and the SHA-256 sum of
// the token in hexadecimal. Empty lines and those that begin with # are left out.
func ParseTokens(r io.Reader) (*Tokens, error) {
	t := &Tokens{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, sum, ok := strings.Cut(line, ":")
		e := tokenEntry{name: name}
		size, err := hex.Decode(e.sum[:], []byte(sum[:min(len(sum), 2*sha256.Size)]))
		if !ok || name == "" || err != nil || len(sum) != 2*sha256.Size || size != sha256.Size {
			return nil, fmt.Errorf("line %d: must be a name, a colon and 64 hexadecimal digits: the SHA-256 sum of the token", n)
		}
		t.entries = append(t.entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(t.entries) == 0 {
		return nil, fmt.Errorf("there is no token")
	}
	return t, nil
}

// Authenticate checks the Authorization header and returns the token's name.
func (t *Tokens) Authenticate(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", api.Errorf(api.Unauthenticated, "the request has no bearer token").
			WithNext("send the header Authorization: Bearer TOKEN")
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := ""
	for _, e := range t.entries { // all of them, so that time tells nothing
		if subtle.ConstantTimeCompare(sum[:], e.sum[:]) == 1 {
			found = e.name
		}
	}
	if found == "" {
		return "", api.Errorf(api.Unauthenticated, "the bearer token is not known here").
			WithNext("ask the operator of this server for one")
	}
	return found, nil
}
