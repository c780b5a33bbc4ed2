package gvisor

import (
	"os"
	"path"
	"path/filepath"

	"cis/internal/agent/runsc"
	"cis/internal/erofs"
)

// writePauseImage makes the EROFS image with cis-pause as /pause and the
// directories on which gVisor mounts its own file systems. It replaces an older one
// in one step: running sandboxes keep theirs open.
func writePauseImage(path, program string) error {
	out, err := os.CreateTemp(filepath.Dir(path), "pause-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if err := fillPauseImage(out, program); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

func fillPauseImage(out *os.File, program string) error {
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	w := erofs.NewWriter(out)
	root := erofs.NewDir(0o755)
	for _, dir := range []string{"dev", path.Base(runsc.FilesDir), "proc", "sys", "tmp"} {
		root.Entries[dir] = erofs.NewDir(0o755)
	}
	pause := &erofs.Inode{Mode: erofs.TypeRegular | 0o755}
	root.Entries["pause"] = pause
	if err := w.WriteData(pause, in, info.Size()); err != nil {
		return err
	}
	_, err = w.Finish(root)
	return err
}
