package flatten

import (
	"strings"

	"cis/internal/erofs"
)

// Whiteouts, from the OCI image specification's layer.md.
const (
	whiteoutPrefix = ".wh."
	// opaqueMarker hides all that lower layers have in its directory. Other
	// names of this beginning are AUFS' own bookkeeping and no files.
	opaqueMarker = ".wh..wh..opq"
	aufsPrefix   = ".wh..wh."
)

// whiteout applies name if it is a whiteout or a marker, and says whether it
// was one.
func (f *Flattener) whiteout(name string) (bool, error) {
	if !strings.Contains(name, whiteoutPrefix) {
		return false, nil
	}
	dirs, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dirs, base = name[:i], name[i+1:]
	}
	for part := range strings.SplitSeq(dirs, "/") {
		if strings.HasPrefix(part, aufsPrefix) {
			return true, nil
		}
		if strings.HasPrefix(part, whiteoutPrefix) {
			return false, invalid("a whiteout cannot have files below it")
		}
	}
	hidden, ok := strings.CutPrefix(base, whiteoutPrefix)
	if !ok {
		return false, nil
	}
	if base != opaqueMarker && strings.HasPrefix(base, aufsPrefix) {
		return true, nil
	}
	if hidden == "" || hidden == "." || hidden == ".." {
		return false, invalid("the whiteout names no file")
	}
	loc, err := f.tree.walk(dirs, false)
	if err != nil || loc == nil {
		return true, err // nothing is there to hide
	}
	if base == opaqueMarker {
		f.tree.hideLower(loc.at())
	} else {
		f.tree.hideEntry(loc.at(), hidden)
	}
	return true, nil
}

// hideLower removes what lower layers have in dir, at any depth.
func (t *tree) hideLower(dir *erofs.Inode) {
	for work := []*erofs.Inode{dir}; len(work) > 0; {
		dir := work[len(work)-1]
		work = work[:len(work)-1]
		for name, in := range dir.Entries {
			if _, own := t.upper[entry{dir, name}]; !own {
				delete(dir.Entries, name)
			} else if in.IsDir() {
				work = append(work, in)
			}
		}
	}
}

// hideEntry removes what lower layers have under one name.
func (t *tree) hideEntry(dir *erofs.Inode, name string) {
	in := dir.Entries[name]
	if in == nil {
		return
	}
	if _, own := t.upper[entry{dir, name}]; !own {
		delete(dir.Entries, name)
	} else if in.IsDir() {
		t.hideLower(in)
	}
}
