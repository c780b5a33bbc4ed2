package initramfs

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are where Debian keeps shared libraries.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"}

// libraries lists the shared libraries that a program needs, with its interpreter,
// by the paths under which it looks for them. A static program needs none.
func libraries(program string) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	var visit func(path string) error
	visit = func(path string) error {
		interpreter, needs, err := linkedTo(path)
		if err != nil {
			return fmt.Errorf("shared libraries of %s: %w", path, err)
		}
		if interpreter != "" && !seen[interpreter] {
			seen[interpreter] = true
			all = append(all, interpreter)
		}
		for _, need := range needs {
			if seen[need] {
				continue
			}
			seen[need] = true
			found, err := library(need)
			if err != nil {
				return err
			}
			all = append(all, found)
			if err := visit(found); err != nil {
				return err
			}
		}
		return nil
	}
	return all, visit(program)
}

func linkedTo(path string) (interpreter string, needs []string, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			data, err := io.ReadAll(p.Open())
			if err != nil {
				return "", nil, err
			}
			interpreter = strings.TrimRight(string(data), "\x00")
		}
	}
	needs, err = file.ImportedLibraries()
	return interpreter, needs, err
}

func library(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no shared library %s in %v", name, libraryDirs)
}
