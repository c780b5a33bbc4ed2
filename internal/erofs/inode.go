package erofs

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// The type bits of a mode, as in stat(2).
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeSymlink = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFifo    = 0o010000
)

// Inode is one file of the tree. Two names of one file (hard links) are two
// entries that hold the same *Inode. A directory has one name only.
type Inode struct {
	Mode      uint32 // type and permission bits, as in stat(2)
	UID, GID  uint32
	Mtime     int64  // seconds since 1970, negative before
	MtimeNsec uint32 // 0 to 999,999,999
	Rdev      uint32 // of devices: see Dev
	Target    string // of symlinks
	// Xattrs are full names (security.capability) and raw values.
	Xattrs map[string]string
	// Entries are a directory's children. Never nil for a directory, and
	// nil for everything else.
	Entries map[string]*Inode

	size  int64  // of regular files
	block uint32 // where their data starts

	// What the layout gives: see layout.go.
	parent *Inode
	names  []string
	nlink  uint32
	nid    uint64
	raw    uint32
	inline bool
}

// NewDir returns an empty directory.
func NewDir(perm uint32) *Inode {
	return &Inode{Mode: TypeDir | perm&0o7777, Entries: map[string]*Inode{}}
}

// Type returns the type bits of the mode.
func (in *Inode) Type() uint32 { return in.Mode & TypeMask }

// IsDir says whether the inode is a directory.
func (in *Inode) IsDir() bool { return in.Type() == TypeDir }

// Size is the length of a regular file's data in bytes.
func (in *Inode) Size() int64 { return in.size }

// Dev encodes a device number as the kernel keeps it (new_encode_dev in
// include/linux/kdev_t.h): 12 bits of major, 20 bits of minor.
func Dev(major, minor int64) (uint32, error) {
	if major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff {
		return 0, fmt.Errorf("device number %d:%d is out of range", major, minor)
	}
	return uint32(minor&0xff | major<<8 | (minor&^0xff)<<12), nil
}

// CheckXattrs returns an error if the inode's attributes do not fit the format.
func (in *Inode) CheckXattrs() error {
	if _, err := in.encodeXattrs(); err != nil {
		return err
	}
	return nil
}

// XattrStorable says whether EROFS, and so the kernel, has a place for an
// attribute of this name.
func XattrStorable(name string) bool {
	_, _, ok := splitXattr(name)
	return ok
}

func splitXattr(name string) (index uint8, rest string, ok bool) {
	for _, p := range xattrPrefixes {
		if p.whole && name == p.prefix {
			return p.index, "", true
		}
		if rest, found := strings.CutPrefix(name, p.prefix); found && !p.whole && rest != "" {
			return p.index, rest, true
		}
	}
	return 0, "", false
}

// encodeXattrs returns the attribute area that follows the inode: a header,
// then the entries in the order of their names, each padded to 4 bytes.
func (in *Inode) encodeXattrs() ([]byte, error) {
	if len(in.Xattrs) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(in.Xattrs))
	for name := range in.Xattrs {
		names = append(names, name)
	}
	sort.Strings(names)
	b := make([]byte, xattrHeader)
	for _, name := range names {
		index, rest, ok := splitXattr(name)
		value := in.Xattrs[name]
		if !ok || len(rest) > 255 || len(value) > 0xffff {
			return nil, fmt.Errorf("extended attribute %.64q does not fit", name)
		}
		b = append(b, uint8(len(rest)), index, uint8(len(value)), uint8(len(value)>>8))
		b = append(b, rest...)
		b = append(b, value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	if len(b) > maxXattrs {
		return nil, errors.New("the extended attributes of one file exceed 256 KiB")
	}
	return b, nil
}
