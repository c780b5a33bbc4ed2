package flatten

import (
	"archive/tar"
	"io"
	"math"
	"path"
	"strings"

	"cis/internal/erofs"
)

// paxXattr is the PAX record prefix of extended attributes (star's, used by
// every image builder).
const paxXattr = "SCHILY.xattr."

// make returns the inode that an entry puts at base in dir: a new one, the
// directory that is there already, or a hard link's target.
func (f *Flattener) make(hdr *tar.Header, dir *location, base string, data io.Reader) (*erofs.Inode, error) {
	old := dir.get(base)
	if hdr.Typeflag == tar.TypeDir && old != nil && old.IsDir() {
		return old, setMetadata(old, hdr)
	}
	if old != nil {
		dir.remove(base)
	}
	if hdr.Typeflag == tar.TypeLink {
		return f.link(hdr)
	}
	in, err := newInode(hdr)
	if err != nil {
		return nil, err
	}
	if err := setMetadata(in, hdr); err != nil {
		return nil, err
	}
	if in.Type() == erofs.TypeRegular {
		return in, f.out.WriteData(in, data, hdr.Size)
	}
	return in, nil
}

// link returns the target of a hard link. The header's own metadata says nothing
// new, or is wrong: the inode keeps its own.
func (f *Flattener) link(hdr *tar.Header) (*erofs.Inode, error) {
	target := path.Clean("/" + hdr.Linkname)[1:]
	if err := checkPath(target); err != nil {
		return nil, err
	}
	dir, base, err := f.tree.parent(target, false)
	if err != nil {
		return nil, err
	}
	var in *erofs.Inode
	if dir != nil {
		in = dir.get(base)
	}
	if in == nil {
		return nil, invalid("it is a hard link to %.200q, which does not exist", hdr.Linkname)
	}
	if in.IsDir() {
		return nil, invalid("it is a hard link to the directory %.200q", hdr.Linkname)
	}
	return in, nil
}

// newInode makes the inode of an entry that is no hard link, without metadata.
func newInode(hdr *tar.Header) (*erofs.Inode, error) {
	switch hdr.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return &erofs.Inode{Mode: erofs.TypeRegular}, nil
	case tar.TypeDir:
		return erofs.NewDir(0), nil
	case tar.TypeFifo:
		return &erofs.Inode{Mode: erofs.TypeFifo}, nil
	case tar.TypeSymlink:
		if hdr.Linkname == "" || len(hdr.Linkname) > maxPath || strings.ContainsRune(hdr.Linkname, 0) {
			return nil, invalid("the target of the symbolic link is empty or too long")
		}
		return &erofs.Inode{Mode: erofs.TypeSymlink, Target: hdr.Linkname}, nil
	case tar.TypeChar, tar.TypeBlock:
		dev, err := erofs.Dev(hdr.Devmajor, hdr.Devminor)
		if err != nil {
			return nil, invalid("%v", err)
		}
		mode := uint32(erofs.TypeChar)
		if hdr.Typeflag == tar.TypeBlock {
			mode = erofs.TypeBlock
		}
		return &erofs.Inode{Mode: mode, Rdev: dev}, nil
	}
	return nil, invalid("the entry type %q is unknown", hdr.Typeflag)
}

// setMetadata gives the inode the header's permissions, owner, time and
// attributes.
func setMetadata(in *erofs.Inode, hdr *tar.Header) error {
	if hdr.Uid < 0 || hdr.Uid > math.MaxUint32 || hdr.Gid < 0 || hdr.Gid > math.MaxUint32 {
		return invalid("the owner %d:%d is out of range", hdr.Uid, hdr.Gid)
	}
	perm := uint32(hdr.Mode) & 0o7777
	if in.Type() == erofs.TypeSymlink {
		perm = 0o777 // Linux has no others for symlinks
	}
	in.Mode = in.Type() | perm
	in.UID, in.GID = uint32(hdr.Uid), uint32(hdr.Gid)
	in.Mtime, in.MtimeNsec = hdr.ModTime.Unix(), uint32(hdr.ModTime.Nanosecond())
	in.Xattrs = nil
	for key, value := range hdr.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !erofs.XattrStorable(name) || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		if in.Xattrs == nil {
			in.Xattrs = map[string]string{}
		}
		in.Xattrs[name] = value
	}
	if err := in.CheckXattrs(); err != nil {
		return invalid("%v", err)
	}
	return nil
}
