package erofs

import "encoding/binary"

// The on-disk format, little endian throughout. Every fact below is from the
// Linux kernel: Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
const (
	blockBits = 12
	blockSize = 1 << blockBits // EROFS_BLKSIZ; the page size of every supported host

	superMagic  = 0xE0F5E1E2 // EROFS_SUPER_MAGIC_V1
	superOffset = 1024       // EROFS_SUPER_OFFSET
	superSize   = 128        // struct erofs_super_block

	inodeSize    = 64                     // struct erofs_inode_extended
	slotSize     = 32                     // an inode's number (nid) counts these from the metadata's start
	layoutPlain  = 0                      // EROFS_INODE_FLAT_PLAIN: data in whole blocks of its own
	layoutInline = 2                      // EROFS_INODE_FLAT_INLINE: the data's tail follows the inode
	formatOf     = 1                      // bit 0 of i_format: an extended inode; the layout is in bits 1 to 3
	direntSize   = 12                     // struct erofs_dirent
	xattrHeader  = 12                     // struct erofs_xattr_ibody_header
	xattrEntry   = 4                      // struct erofs_xattr_entry, before name and value
	maxXattrs    = xattrHeader + 0xfffe*4 // what the 16 bits of i_xattr_icount can say
	maxBlocks    = 1<<32 - 1              // block addresses have 32 bits: 16 TiB
	firstInode   = 2 * slotSize           // inode number 0 means "none" to readers of directories
	maxNameLen   = 255                    // EROFS_NAME_LEN
	maxTargetLen = blockSize - 1          // a symlink fits one page with its NUL
)

// xattrPrefixes are the EROFS_XATTR_INDEX_* values: the part of the name that
// is stored as a number.
var xattrPrefixes = []struct {
	index  uint8
	prefix string
	whole  bool // the name is exactly the prefix
}{
	{1, "user.", false},
	{2, "system.posix_acl_access", true},
	{3, "system.posix_acl_default", true},
	{4, "trusted.", false},
	{6, "security.", false},
}

// File types in directory entries: EROFS_FT_*, which are the kernel's FT_*.
func fileType(mode uint32) uint8 {
	switch mode & TypeMask {
	case TypeRegular:
		return 1
	case TypeDir:
		return 2
	case TypeChar:
		return 3
	case TypeBlock:
		return 4
	case TypeFifo:
		return 5
	case TypeSocket:
		return 6
	case TypeSymlink:
		return 7
	}
	return 0
}

// super encodes the superblock. No feature bit is set, so every reader that
// knows EROFS at all accepts the file.
func super(rootNid uint64, inodes, blocks, metaBlock uint32) []byte {
	b := make([]byte, superSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], superMagic)
	b[12] = blockBits
	le.PutUint16(b[14:], uint16(rootNid))
	le.PutUint64(b[16:], uint64(inodes))
	le.PutUint32(b[36:], blocks)
	le.PutUint32(b[40:], metaBlock)
	return b
}

// encode writes the inode's 64 bytes to b. raw is what i_u holds: the first
// data block, or the device number.
func (in *Inode) encode(b []byte, size int64, raw, ino uint32, xattrBytes int, inline bool) {
	layout := layoutPlain
	if inline {
		layout = layoutInline
	}
	le := binary.LittleEndian
	le.PutUint16(b[0:], uint16(formatOf|layout<<1))
	if xattrBytes > 0 {
		le.PutUint16(b[2:], uint16((xattrBytes-xattrHeader)/4+1))
	}
	le.PutUint16(b[4:], uint16(in.Mode))
	le.PutUint64(b[8:], uint64(size))
	le.PutUint32(b[16:], raw)
	le.PutUint32(b[20:], ino)
	le.PutUint32(b[24:], in.UID)
	le.PutUint32(b[28:], in.GID)
	le.PutUint64(b[32:], uint64(in.Mtime))
	le.PutUint32(b[40:], in.MtimeNsec)
	le.PutUint32(b[44:], in.nlink)
}
