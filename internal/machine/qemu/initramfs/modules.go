package initramfs

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// module is a file for the guest to load.
type module struct {
	// name begins with its number in the order in which they are loaded.
	name string
	data []byte
}

// readModules reads modules below a directory, and all that they depend on, in the order in
// which they can be loaded.
func readModules(dir string, names []string) (modules []module, err error) {
	all, err := modulesIn(dir)
	if err != nil {
		return nil, err
	}
	order, err := loadOrder(all, names)
	if err != nil {
		return nil, err
	}
	for i, path := range order {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		modules = append(modules, module{fmt.Sprintf("%02d-%s", i, filepath.Base(path)), unsigned(data)})
	}
	return modules, nil
}

// modulesIn finds the modules below a directory by name. Hyphens in file names are
// underscores in names.
func modulesIn(dir string) (map[string]string, error) {
	paths := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(d.Name(), ".ko"); ok && err == nil {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return paths, err
}

// loadOrder lists the paths of the modules with all that they depend on, each after
// what it needs.
func loadOrder(all map[string]string, names []string) (order []string, err error) {
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if seen[name] {
			return nil
		}
		seen[name] = true
		path := all[name]
		if path == "" {
			return fmt.Errorf("there is no kernel module %s", name)
		}
		needs, err := dependsOn(path)
		if err != nil {
			return fmt.Errorf("kernel module %s: %w", name, err)
		}
		for _, need := range needs {
			if err := visit(need); err != nil {
				return err
			}
		}
		order = append(order, path)
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// signatureMark ends a module that is signed. Before it is the kernel's struct
// module_signature, of which the last four bytes are the signature's length, and before
// that the signature.
const (
	signatureMark = "~Module signature appended~\n"
	signatureInfo = 12
)

// unsigned is a module without its signature. The kernel takes it either way, and to
// look at signatures is a tenth of a boot where the processor is emulated.
func unsigned(module []byte) []byte {
	rest, ok := bytes.CutSuffix(module, []byte(signatureMark))
	if !ok || len(rest) < signatureInfo {
		return module
	}
	size := int64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	if size > int64(len(rest)-signatureInfo) {
		return module
	}
	return rest[:int64(len(rest)-signatureInfo)-size]
}

// dependsOn reads the modules that a module names as its needs.
func dependsOn(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return nil, err
	}
	for _, entry := range strings.Split(string(data), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
