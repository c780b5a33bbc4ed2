package erofs

import "encoding/binary"

// A directory's data is a sequence of blocks. Each block is whole in itself:
// first its entries in the order of their names (byte-wise, "." and ".."
// among them), then the names; the first entry's name offset tells how many
// there are. The last block may be short.

// direntBlocks cuts the sorted names into runs that fit one block each, and
// returns the end index of every run and the size of the data.
func direntBlocks(names []string) (ends []int, size int64) {
	used := 0
	for i, name := range names {
		need := direntSize + len(name)
		if used+need > blockSize {
			ends = append(ends, i)
			used = 0
		}
		used += need
	}
	return append(ends, len(names)), int64(len(ends))*blockSize + int64(used)
}

// dirents encodes the directory's data.
func (in *Inode) dirents() []byte {
	ends, size := direntBlocks(in.names)
	out := make([]byte, size)
	start := 0
	for n, end := range ends {
		block := out[n*blockSize:]
		nameOff := (end - start) * direntSize
		for i, name := range in.names[start:end] {
			child := in.child(name)
			d := block[i*direntSize:]
			binary.LittleEndian.PutUint64(d[0:], child.nid)
			binary.LittleEndian.PutUint16(d[8:], uint16(nameOff))
			d[10] = fileType(child.Mode)
			nameOff += copy(block[nameOff:], name)
		}
		start = end
	}
	return out
}

func (in *Inode) child(name string) *Inode {
	switch name {
	case ".":
		return in
	case "..":
		return in.parent
	}
	return in.Entries[name]
}
