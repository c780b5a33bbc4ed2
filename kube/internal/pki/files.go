package pki

import (
	"errors"
	"io/fs"
	"os"
)

// readFile is nil where there is no file.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
