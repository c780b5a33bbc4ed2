package runsc

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	erofs "github.com/erofs/go-erofs"
	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/rootfs"
)

// upperLayer makes the tar that gVisor unpacks into a container's writable layer
// before the start: /etc/hosts, /etc/hostname and /etc/resolv.conf of the
// instance, in place of the image's, and a /tmp where the image has none. A
// directory that it passes through keeps the image's owner and mode, and where
// /etc is a symlink the files land behind it. Mount points and a working
// directory that the image lacks are made here too, for on a read-only root gVisor
// cannot. No secret goes in here.
func upperLayer(image *os.File, w *agentpb.Workload, c *agentpb.Container) (*os.File, error) {
	root, err := erofs.Open(image)
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", image.Name(), err)
	}
	var content bytes.Buffer
	layer := upperWriter{image: root.(fs.ReadLinkFS), tar: tar.NewWriter(&content), made: map[string]bool{}}
	if err := layer.write(w, c); err != nil {
		return nil, fmt.Errorf("write the upper layer: %w", err)
	}
	return memoryFile("upper", content.Bytes())
}

// memoryFile is a file without a name or a place on disk.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := file.WriteAt(content, 0); err != nil {
		file.Close()
		return nil, fmt.Errorf("make a memory file: %w", err)
	}
	return file, nil
}

// upperWriter writes names as gVisor's tmpfs expects them: every directory named
// with "./" before and "/" after it, parents first.
type upperWriter struct {
	image fs.ReadLinkFS
	tar   *tar.Writer
	made  map[string]bool
}

func (u *upperWriter) write(w *agentpb.Workload, c *agentpb.Container) error {
	if err := u.directory(".", 0o755); err != nil {
		return err
	}
	if err := u.ensure("tmp", 0o1777); err != nil {
		return err
	}
	for _, dir := range rootfs.Dirs(c) {
		if err := u.ensure(dir, 0o755); err != nil {
			return err
		}
	}
	etc, err := rootfs.Resolve(u.image, "etc")
	if err != nil {
		return err
	}
	if err := u.directory(etc, 0o755); err != nil {
		return err
	}
	for _, file := range rootfs.Etc(w) {
		if err := u.file(path.Join(etc, file.Name), file.Content); err != nil {
			return err
		}
	}
	return u.tar.Close()
}

// ensure makes a directory unless the image has something there.
func (u *upperWriter) ensure(name string, mode int64) error {
	at, err := rootfs.Resolve(u.image, name)
	if err != nil {
		return err
	}
	if _, err := u.image.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return u.directory(at, mode)
}

// directory writes a directory and those above it, as the image has them.
func (u *upperWriter) directory(name string, mode int64) error {
	if u.made[name] {
		return nil
	}
	if name != "." {
		if err := u.directory(path.Dir(name), 0o755); err != nil {
			return err
		}
	}
	u.made[name] = true
	header := &tar.Header{Typeflag: tar.TypeDir, Name: entryName(name) + "/", Mode: mode}
	if info, err := u.image.Lstat(name); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("/%s of the image is not a directory", name)
		}
		header.ModTime = info.ModTime()
		if stat, ok := info.Sys().(*erofs.Stat); ok {
			header.Uid, header.Gid = int(stat.UID), int(stat.GID)
		}
		header.Mode = unixMode(info.Mode())
	}
	return u.tar.WriteHeader(header)
}

func (u *upperWriter) file(name, content string) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: entryName(name), Mode: 0o644, Size: int64(len(content))}
	if err := u.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := u.tar.Write([]byte(content))
	return err
}

func entryName(name string) string {
	if name == "." {
		return name
	}
	return "./" + name
}

// unixMode takes set-user-ID, set-group-ID and sticky from Go's flags and, as the
// EROFS reader leaves them, from Linux's bits.
func unixMode(mode fs.FileMode) int64 {
	bits := int64(mode & 0o7777)
	for flag, bit := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}
