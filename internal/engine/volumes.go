package engine

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
	"cis/internal/erofs"
)

// volumes makes the workload's volumes: empty directories are the agent's to make, and
// servers' directories its to mount; disks are there; inline files become a read-only image
// each. Secrets' files are given to the agent on their own.
func (l *life) volumes(in api.Instance) ([]agentpb.Volume, error) {
	var out []agentpb.Volume
	group := fsGroup(in.Spec)
	for _, v := range in.Spec.Volumes {
		if v.EmptyDir != nil {
			out = append(out, agentpb.Volume{Name: v.Name, Memory: v.EmptyDir.Medium == "Memory", SizeLimit: v.EmptyDir.SizeLimit, Group: group})
			continue
		}
		if v.Disk != nil {
			out = append(out, agentpb.Volume{Name: v.Name, Disk: l.e.diskPath(in.Account, v.Disk), Group: group, Regroup: regroups(in.Spec)})
			continue
		}
		if v.NFS != nil {
			out = append(out, share(v))
			continue
		}
		if v.Files == nil {
			out = append(out, agentpb.Volume{Name: v.Name, Files: true})
			continue
		}
		files, err := inlineFiles(v.Files)
		if err == nil {
			var file string
			file, err = l.volumeImage(v.Name, files, group)
			out = append(out, agentpb.Volume{Name: v.Name, Image: file})
		}
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return out, nil
}

// fsGroup is the group that the volumes are for; nil: none.
func fsGroup(spec api.InstanceSpec) *uint32 {
	if sc := spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		return new(uint32(*sc.FSGroup))
	}
	return nil
}

// regroups tells whether disks are given to that group at every start.
func regroups(spec api.InstanceSpec) bool {
	sc := spec.SecurityContext
	return sc != nil && sc.FSGroupChangePolicy == api.FSGroupAlways
}

// inlineFiles are those of a volume that are in its spec.
func inlineFiles(v *api.FilesVolume) (files []fileset.File, err error) {
	for _, item := range v.Items {
		mode, err := parseMode(item.Mode, 0o644)
		if err != nil {
			return nil, err
		}
		data := []byte(item.Content)
		if item.ContentBase64 != "" {
			if data, err = base64.StdEncoding.DecodeString(item.ContentBase64); err != nil {
				return nil, err
			}
		}
		files = append(files, fileset.File{Path: path.Clean(item.Path), Mode: mode, Data: data})
	}
	return files, nil
}

func parseMode(s string, otherwise uint32) (uint32, error) {
	if s == "" {
		return otherwise, nil
	}
	mode, err := strconv.ParseUint(s, 8, 32)
	return uint32(mode), err
}

// volumeImage writes the files as an EROFS image into the instance's run
// directory, which lies in memory where the operator keeps /run there.
func (l *life) volumeImage(name string, files []fileset.File, group *uint32) (string, error) {
	dir := filepath.Join(l.e.runDir(l.id), "volumes")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	out, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return "", err
	}
	defer out.Close()
	final := filepath.Join(dir, name+".erofs")
	if err = writeVolume(out, files, group); err == nil {
		err = os.Rename(out.Name(), final)
	}
	if err != nil {
		os.Remove(out.Name())
		return "", err
	}
	return final, nil
}

// writeVolume writes the files, and the directories above them, as an EROFS image.
func writeVolume(out *os.File, files []fileset.File, group *uint32) error {
	w := erofs.NewWriter(out)
	root := erofs.NewDir(0o755)
	for _, f := range files {
		dir := root
		names := strings.Split(f.Path, "/")
		for _, name := range names[:len(names)-1] {
			if dir.Entries[name] == nil {
				dir.Entries[name] = erofs.NewDir(0o755)
			}
			dir = dir.Entries[name]
		}
		in := &erofs.Inode{Mode: erofs.TypeRegular | f.Mode, Mtime: time.Now().Unix()}
		if err := w.WriteData(in, bytes.NewReader(f.Data), int64(len(f.Data))); err != nil {
			return err
		}
		dir.Entries[names[len(names)-1]] = in
	}
	if group != nil {
		give(root, *group)
	}
	_, err := w.Finish(root)
	return err
}

// give lets a group read what is in a volume that nobody writes to (compare package
// fsgroup).
func give(in *erofs.Inode, group uint32) {
	in.GID, in.Mode = group, in.Mode|0o440
	if in.Entries != nil {
		in.Mode |= 0o110 | unix.S_ISGID
	}
	for _, child := range in.Entries {
		give(child, group)
	}
}
