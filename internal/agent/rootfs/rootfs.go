// Package rootfs says what the root of every container has besides its image: the
// instance's files in /etc, a /tmp, and the directories that mounts and the
// program need. Each runtime puts them into the writable layer in its own way.
//
// It never writes anything.
package rootfs

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cis/internal/agent/agentpb"
)

// File is a file of the instance.
type File struct{ Name, Content string }

// Etc lists the files in /etc that replace the image's. No secret is among them.
func Etc(w *agentpb.Workload) []File {
	return []File{{"hosts", hosts(w)}, {"hostname", w.Hostname + "\n"}, {"resolv.conf", resolvConf(w)}}
}

// Dirs lists the directories that a container needs, whether its image has them or
// not, for on a read-only root nobody could make them later: the working directory, and
// mount points of whole volumes. A part of one may be a file.
func Dirs(c *agentpb.Container) []string {
	dirs := []string{"dev", "proc", "sys", c.Cwd}
	for _, m := range c.Mounts {
		if m.SubPath == "" {
			dirs = append(dirs, m.Path)
		}
	}
	return dirs
}

// maxLinks bounds the symlinks on the way, as Linux does.
const maxLinks = 40

// Resolve follows the symlinks of a path within the image, as if that were the
// root of everything; what does not exist stays as it is.
func Resolve(image fs.ReadLinkFS, name string) (string, error) {
	done, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		component := rest[0]
		rest = rest[1:]
		switch component {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, component)
		info, err := image.Lstat(next)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("resolve %s in the image: too many symlinks", name)
		}
		target, err := image.ReadLink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			done = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

func hosts(w *agentpb.Workload) string {
	names := w.Names
	if len(names) == 0 {
		names = []string{w.Hostname}
	}
	lines := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	for _, address := range []string{w.Address, w.Address6} {
		if address != "" {
			lines += address + "\t" + strings.Join(names, "\t") + "\n"
		}
	}
	for _, alias := range w.HostAliases {
		lines += alias.IP + "\t" + strings.Join(alias.Hostnames, " ") + "\n"
	}
	return lines
}

func resolvConf(w *agentpb.Workload) string {
	var lines strings.Builder
	if len(w.Searches) > 0 {
		fmt.Fprintf(&lines, "search %s\n", strings.Join(w.Searches, " "))
	}
	for _, server := range w.Nameservers {
		fmt.Fprintf(&lines, "nameserver %s\n", server)
	}
	if len(w.ResolverOptions) > 0 {
		fmt.Fprintf(&lines, "options %s\n", strings.Join(w.ResolverOptions, " "))
	}
	return lines.String()
}
