package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cis/internal/agent/guest"
)

// equipment is what a sandbox was given by Equip: names by use.
type equipment map[guest.DiskUse]map[string]bool

// missing adds a file to a list unless the sandbox has it, which it then counts as having.
func (e equipment) missing(list []diskFile, f diskFile) []diskFile {
	if e[f.use][f.name] {
		return list
	}
	if e[f.use] == nil {
		e[f.use] = map[string]bool{}
	}
	e[f.use][f.name] = true
	return append(list, f)
}

// equippedFile is there since the sandbox was equipped, and says with what.
func (m *Machine) equippedFile(id string) string { return filepath.Join(m.dir(id), "equipped") }

func (m *Machine) equipment(id string) (equipment, error) {
	has := equipment{}
	data, err := os.ReadFile(m.equippedFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return has, nil
	}
	if err == nil && len(data) > 0 { // an older cisd wrote nothing
		err = json.Unmarshal(data, &has)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the sandbox has: %w", err)
	}
	return has, nil
}

// saveEquipment writes it aside and renames it: a crash leaves the old one or the new one.
func (m *Machine) saveEquipment(id string, has equipment) error {
	data, err := json.Marshal(has)
	if err != nil {
		return err
	}
	file := m.equippedFile(id)
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
