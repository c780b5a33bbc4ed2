package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Sealer seals secrets with AES-256-GCM, so that who reads the record has none of them.
type Sealer struct{ aead cipher.AEAD }

const sealingKeySize = 32

// OpenSealer reads the sealing key at path; where there is no file, it makes one (mode 0600).
func OpenSealer(path string) (*Sealer, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the sealing key: %w", err)
	}
	if len(key) != sealingKeySize {
		return nil, fmt.Errorf("open the sealing key: %s has %d bytes, not %d", path, len(key), sealingKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Sealer{aead}, err
}

// makeKey writes a new key, whole and on disk before it has its name: what is sealed with
// it must never outlive it.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, sealingKeySize)
	rand.Read(key)
	f, err := os.CreateTemp(filepath.Dir(path), ".sealing-key.*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err = f.Write(key); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Link(f.Name(), path) // fails if somebody was faster
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return key, dir.Sync()
}

// Seal encrypts a secret for the key with an ID.
func (s *Sealer) Seal(id, secret string) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, []byte(secret), []byte(id))
}

// Open decrypts what Seal made for that ID.
func (s *Sealer) Open(id string, sealed []byte) (string, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return "", fmt.Errorf("open the secret of key %s: it is cut off", id)
	}
	secret, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(id))
	if err != nil {
		return "", fmt.Errorf("open the secret of key %s: it was sealed with another sealing key, or changed", id)
	}
	return string(secret), nil
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Random makes a prefix and n random letters and digits: 5.95 bits each.
func Random(prefix string, n int) string {
	out := []byte(prefix)
	var b [64]byte
	for len(out) < len(prefix)+n {
		rand.Read(b[:])
		for _, c := range b {
			// The rest of a byte's range would come up more often than the others.
			if int(c) < 256/len(alphabet)*len(alphabet) && len(out) < len(prefix)+n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// Sum is what is kept of a bearer token.
func Sum(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
