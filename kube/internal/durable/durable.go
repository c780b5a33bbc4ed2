// Package durable writes small files so that a crash leaves the old one or the new one,
// never a half.
package durable

import (
	"os"
	"path/filepath"
)

// unfinished are the names of files that are being written.
const unfinished = ".new-*"

// WriteFile puts a file in place whole and durably, for its owner only.
func WriteFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Sweep removes what a crash left of files that were being written in a directory. Only
// who alone writes there may call it.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, unfinished))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
