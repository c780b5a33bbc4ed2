package stage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Build runs scripts of the project that bring programs into bin/, such as "build" or
// "packages up", one after the other. Tests of several packages may ask for it at once.
func Build(scripts ...string) error {
	root, err := ModuleRoot()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(root, "bin", "build.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	for _, script := range scripts {
		words := strings.Fields(script)
		cmd := exec.Command(filepath.Join(root, "scripts", words[0]), words[1:]...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("scripts/%s: %w", script, err)
		}
	}
	return nil
}
