package initramfs

import (
	"fmt"
	"io"
)

// Modes of entries, as in stat(2).
const (
	dirMode  = 0o040755
	fileMode = 0o100644
	execMode = 0o100755
)

// cpioWriter writes the "newc" format, see the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst. Its first error stays.
type cpioWriter struct {
	w       io.Writer
	written int64
	inodes  int
	err     error
}

// add writes an entry; a directory has no data.
func (c *cpioWriter) add(name string, mode uint32, data []byte) {
	c.inodes++
	c.print(fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inodes, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name))
	c.align(4)
	c.write(data)
	c.align(4)
}

// close writes the end of the archive.
func (c *cpioWriter) close() error {
	c.inodes = -1 // that of the trailer is 0
	c.add("TRAILER!!!", 0, nil)
	c.align(512)
	return c.err
}

func (c *cpioWriter) print(s string) { c.write([]byte(s)) }

func (c *cpioWriter) align(to int64) {
	if over := c.written % to; over != 0 {
		c.write(make([]byte, to-over))
	}
}

func (c *cpioWriter) write(p []byte) {
	if c.err != nil || len(p) == 0 {
		return
	}
	n, err := c.w.Write(p)
	c.written, c.err = c.written+int64(n), err
}
