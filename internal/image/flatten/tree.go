package flatten

import (
	"strings"

	"cis/internal/erofs"
)

const (
	maxPath  = 4095 // PATH_MAX without its NUL
	maxName  = 255  // NAME_MAX
	maxLinks = 40   // symlinks followed in one name, as the kernel's MAXSYMLINKS
)

// tree is the image as applied so far.
type tree struct {
	root *erofs.Inode
	// upper holds the names that the layer in work has made or passed through:
	// what its whiteouts must not hide.
	upper map[entry]struct{}
	// steps is how many path components may still be walked, so that a layer
	// of deep names through many symlinks ends.
	steps int
}

// entry is a name in a directory.
type entry struct {
	dir  *erofs.Inode
	name string
}

func newTree(entries int) *tree {
	return &tree{root: erofs.NewDir(0o755), steps: 64*entries + 1<<20}
}

func (t *tree) beginLayer() { t.upper = map[entry]struct{}{} }

// location is a directory and the way to it.
type location struct {
	tree *tree
	way  []entry // from the root down; empty at the root
}

// at is the directory itself.
func (l *location) at() *erofs.Inode {
	if len(l.way) == 0 {
		return l.tree.root
	}
	e := l.way[len(l.way)-1]
	return e.dir.Entries[e.name]
}

func (l *location) get(name string) *erofs.Inode { return l.at().Entries[name] }

// put makes in the directory's entry of that name, in place of what was there,
// and marks it and the way to it as the layer's own.
func (l *location) put(name string, in *erofs.Inode) {
	dir := l.at()
	dir.Entries[name] = in
	l.tree.upper[entry{dir, name}] = struct{}{}
	for i := len(l.way) - 1; i >= 0; i-- {
		if _, marked := l.tree.upper[l.way[i]]; marked {
			return // and so is all above it
		}
		l.tree.upper[l.way[i]] = struct{}{}
	}
}

// remove takes the entry away with all below it. Their marks may stay: the
// inodes never return under the same directory.
func (l *location) remove(name string) {
	dir := l.at()
	delete(dir.Entries, name)
	delete(l.tree.upper, entry{dir, name})
}

// parent returns the directory of a clean relative path and the path's last
// component. The directories on the way are followed through symlinks inside
// the root, and made if missing and create is set; else a missing one gives a
// nil location.
func (t *tree) parent(name string, create bool) (*location, string, error) {
	dirs, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dirs, base = name[:i], name[i+1:]
	}
	loc, err := t.walk(dirs, create)
	return loc, base, err
}

// walk follows the directories of a path, which may contain "..".
func (t *tree) walk(todo string, create bool) (*location, error) {
	loc := &location{tree: t}
	length, links := 0, 0
	for todo != "" {
		var name string
		name, todo, _ = strings.Cut(todo, "/")
		if t.steps--; t.steps < 0 {
			return nil, invalid("the paths of the layers take too long to follow")
		}
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			if n := len(loc.way); n > 0 {
				length -= len(loc.way[n-1].name) + 1
				loc.way = loc.way[:n-1]
			}
			continue
		}
		next := loc.get(name)
		if next == nil {
			if !create {
				return nil, nil
			}
			if len(name) > maxName {
				return nil, invalid("a name is longer than %d bytes", maxName)
			}
			next = erofs.NewDir(0o755)
			loc.put(name, next)
		}
		switch next.Type() {
		case erofs.TypeSymlink:
			if links++; links > maxLinks {
				return nil, invalid("too many symbolic links in the path")
			}
			if strings.HasPrefix(next.Target, "/") {
				loc.way, length = nil, 0
			}
			todo = next.Target + "/" + todo
		case erofs.TypeDir:
			if length += len(name) + 1; length > maxPath {
				return nil, invalid("the path is longer than %d bytes", maxPath)
			}
			loc.way = append(loc.way, entry{loc.at(), name})
		default:
			if !create {
				return nil, nil
			}
			return nil, invalid("%.200q in the path is not a directory", name)
		}
	}
	return loc, nil
}

// lookup returns what a path leads to, symlinks followed, or nil.
func (t *tree) lookup(name string) *erofs.Inode {
	for range maxLinks {
		loc, base, err := t.parent(name, false)
		if err != nil || loc == nil {
			return nil
		}
		in := loc.get(base)
		if in == nil || in.Type() != erofs.TypeSymlink {
			return in
		}
		name = in.Target
		if !strings.HasPrefix(name, "/") {
			name = loc.path() + "/" + name
		}
	}
	return nil
}

func (l *location) path() string {
	var b strings.Builder
	for _, e := range l.way {
		b.WriteString("/" + e.name)
	}
	return b.String()
}

// checkPath refuses names that no file system could hold.
func checkPath(name string) error {
	if len(name) > maxPath {
		return invalid("the path is longer than %d bytes", maxPath)
	}
	if strings.ContainsRune(name, 0) {
		return invalid("the path contains a NUL byte")
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName {
			return invalid("a name is longer than %d bytes", maxName)
		}
	}
	return nil
}
