package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/erofs"
)

// volumes makes the workload's volumes: empty directories are the agent's to make, and
// disks are there; inline files and secrets become a read-only image each.
func (l *life) volumes(ctx context.Context, in api.Instance) ([]agentpb.Volume, error) {
	var out []agentpb.Volume
	group := fsGroup(in.Spec)
	for _, v := range in.Spec.Volumes {
		if v.EmptyDir != nil {
			out = append(out, agentpb.Volume{Name: v.Name, Memory: v.EmptyDir.Medium == "Memory", SizeLimit: v.EmptyDir.SizeLimit, Group: group})
			continue
		}
		if v.Disk != nil {
			out = append(out, agentpb.Volume{Name: v.Name, Disk: l.e.diskPath(in.Account, v.Disk), Group: group})
			continue
		}
		files, err := l.files(ctx, in.Account, v)
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

// file is one small file of a volume.
type file struct {
	path string
	mode uint32
	data []byte
}

func (l *life) files(ctx context.Context, owner string, v api.Volume) (files []file, err error) {
	if v.Secret != nil {
		secret, err := l.e.cfg.Store.Secret(ctx, owner, v.Secret.SecretName)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", v.Secret.SecretName, err)
		}
		if len(v.Secret.Items) > 0 {
			return secretItems(secret.Data, v.Secret)
		}
		mode, err := parseMode(v.Secret.DefaultMode, 0o400)
		for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
			files = append(files, file{key, mode, secret.Data[key]})
		}
		return files, err
	}
	for _, item := range v.Files.Items {
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
		files = append(files, file{path.Clean(item.Path), mode, data})
	}
	return files, nil
}

// secretItems are the files of the keys that a volume chooses.
func secretItems(data map[string][]byte, v *api.SecretVolume) (files []file, err error) {
	for _, item := range v.Items {
		value, ok := data[item.Key]
		if !ok {
			return nil, api.Errorf(api.NotFound, "secret %s has no key %q", v.SecretName, item.Key)
		}
		mode, err := parseMode(item.Mode, 0o400)
		if err != nil {
			return nil, err
		}
		files = append(files, file{item.Path, mode, value})
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
func (l *life) volumeImage(name string, files []file, group *uint32) (string, error) {
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
func writeVolume(out *os.File, files []file, group *uint32) error {
	w := erofs.NewWriter(out)
	root := erofs.NewDir(0o755)
	for _, f := range files {
		dir := root
		names := strings.Split(f.path, "/")
		for _, name := range names[:len(names)-1] {
			if dir.Entries[name] == nil {
				dir.Entries[name] = erofs.NewDir(0o755)
			}
			dir = dir.Entries[name]
		}
		in := &erofs.Inode{Mode: erofs.TypeRegular | f.mode, Mtime: time.Now().Unix()}
		if err := w.WriteData(in, bytes.NewReader(f.data), int64(len(f.data))); err != nil {
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
