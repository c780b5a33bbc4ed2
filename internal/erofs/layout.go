package erofs

import (
	"fmt"
	"slices"
	"sort"
)

// number walks the tree from root, counts links, and returns every inode once,
// in a fixed order: depth first by name.
func number(root *Inode) ([]*Inode, error) {
	var all []*Inode
	root.parent = root
	stack := []*Inode{root}
	root.nlink = 2
	for len(stack) > 0 {
		in := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		all = append(all, in)
		if !in.IsDir() {
			continue
		}
		in.names = sortedNames(in.Entries)
		for _, name := range slices.Backward(in.names) {
			child := in.Entries[name]
			switch {
			case child == nil: // "." and ".."
				continue
			case len(name) > maxNameLen || len(child.Target) > maxTargetLen:
				return nil, fmt.Errorf("a name or link target is too long: %.64q", name)
			case child.IsDir():
				if child.parent != nil {
					return nil, fmt.Errorf("directory %.64q has two names", name)
				}
				child.parent = in
				child.nlink = 2
				in.nlink++
				stack = append(stack, child)
			default:
				child.nlink++
				if child.nlink == 1 {
					stack = append(stack, child)
				}
			}
		}
	}
	return all, nil
}

func sortedNames(entries map[string]*Inode) []string {
	names := make([]string, 0, len(entries)+2)
	names = append(names, ".", "..")
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// view is one complete file system in the file: a superblock and the metadata
// it points to. Both views share the data of regular files.
type view struct {
	shift  uint32 // blocks of the file that lie before this view's first
	xattrs bool   // whether it has extended attributes
	inodes []*Inode

	metaBlock uint32 // all block numbers below count from the file's start
	metaSize  int64
	rootNid   uint64
	end       uint32 // the first free block behind it
}

// place gives every inode its number and its data's place, with the metadata
// beginning at block start.
//
// The data of small directories and symlinks follows their inode in the same
// block; that of regular files never does, because gVisor cannot map such data
// (DataOffset in gVisor's pkg/erofs). An inode never crosses a block.
func (v *view) place(start uint32) error {
	v.metaBlock = start
	at := int64(firstInode)
	for _, in := range v.inodes {
		need := int64(inodeSize)
		if v.xattrs {
			x, err := in.encodeXattrs()
			if err != nil {
				return err
			}
			need += int64(len(x))
		}
		tail := in.tailSize()
		in.inline = tail > 0 && need+tail <= blockSize
		if in.inline {
			need += tail
			if at%blockSize+need > blockSize {
				at = roundUp(at, blockSize)
			}
		}
		in.nid = uint64(at / slotSize)
		at = roundUp(at+need, inodeSize)
	}
	v.rootNid = v.inodes[0].nid
	v.metaSize = roundUp(at, blockSize)
	next := int64(start) + v.metaSize/blockSize
	for _, in := range v.inodes {
		if tail := in.tailSize(); tail > 0 && !in.inline {
			in.raw = uint32(next)
			next += roundUp(tail, blockSize) / blockSize
		}
		if next > maxBlocks {
			return errTooLarge
		}
	}
	v.end = uint32(next)
	return nil
}

// tailSize is the size of the data that directories and symlinks have.
func (in *Inode) tailSize() int64 {
	switch in.Type() {
	case TypeDir:
		_, size := direntBlocks(in.names)
		return size
	case TypeSymlink:
		return int64(len(in.Target))
	}
	return 0
}

// tail is the data of a directory or symlink.
func (in *Inode) tail() []byte {
	if in.IsDir() {
		return in.dirents()
	}
	return []byte(in.Target)
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
