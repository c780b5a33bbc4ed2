package qemu

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"cis/api"
	"cis/internal/cgroup"
)

// size is what a sandbox was promised last.
type size struct {
	CPU    api.CPU   `json:"cpu"`
	Memory api.Bytes `json:"memory"`
}

func (m *Machine) sizeFile(id string) string { return filepath.Join(m.dir(id), "size.json") }

// saveSize writes it aside and renames it: a crash leaves the old one or the new one.
func (m *Machine) saveSize(id string, s size) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	file := m.sizeFile(id)
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (m *Machine) sizeOf(id string) (s size, err error) {
	data, err := os.ReadFile(m.sizeFile(id))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	return s, err
}

// startBoost is how long after Equip a VM has the cpu of all the processors it sees,
// so that a small share does not slow down what an instance begins with.
const startBoost = time.Second

// confine holds a sandbox to its cpu, at once or when its boost is over. One that is
// not equipped yet is left alone.
func (m *Machine) confine(id string) error {
	info, err := os.Stat(m.equippedFile(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if left := startBoost - time.Since(info.ModTime()); left > 0 {
		time.AfterFunc(left, func() {
			if err := m.confine(id); err != nil {
				m.conf.Log.Error("a VM has more cpu than it should", "sandbox", id, "error", err)
			}
		})
		return nil
	}
	s, err := m.sizeOf(id)
	if err == nil {
		err = m.cgroups.Set(m.group(id), cgroup.Limits{CPU: s.CPU})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended
	}
	return err
}
