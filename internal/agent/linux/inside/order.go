package inside

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Control is the descriptor of a helper's socket.
const Control = 3

// Ready is the byte with which a helper says that it waits for its orders.
const Ready = 0

// Order is what a helper shall do.
type Order struct {
	// Container is for a helper that makes one, nil for one that joins.
	Container *Container
	Program   Program
}

// Container is the file system of a container, of mounts that come as open files.
type Container struct {
	ReadOnly bool
	// Targets are paths in the container, one for each mount but the root. Symlinks
	// stay in it.
	Targets []string
}

// Program is what a helper becomes.
type Program struct {
	Args []string
	Env  []string
	Dir  string
	// Own: the helper's own program, of which the container knows nothing, is
	// executed, and Args[0] is just its name.
	Own      bool
	UID, GID uint32
	Groups   []uint32
	// Capabilities has bit n set for capability n, see capabilities(7).
	Capabilities uint64
	// Filter is a seccomp filter, see seccomp(2); none if it is empty.
	Filter []byte
	// NoNewPrivileges sets no_new_privs, see prctl(2).
	NoNewPrivileges bool
}

// maxOrder bounds an order, in bytes: more than the kernel takes as arguments and
// environment.
const maxOrder = 16 << 20

// maxFiles is how many files can be sent at once, see unix(7).
const maxFiles = 253

// Send gives a helper its order and its files: the standard streams and, for a new
// container, its root and what is mounted in it (see open_tree(2)); to join one, a
// process of it, as a pidfd.
func Send(to *net.UnixConn, o Order, files ...int) error {
	if len(files) > maxFiles {
		return errors.New("too many volumes")
	}
	text := o.encode()
	if len(text) > maxOrder {
		return errors.New("arguments and environment are too long")
	}
	message := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	message = append(message, text...)
	n, _, err := to.WriteMsgUnix(message, unix.UnixRights(files...), nil)
	if err == nil && n < len(message) {
		_, err = to.Write(message[n:])
	}
	if err != nil {
		return fmt.Errorf("send the helper its order: %w", err)
	}
	return nil
}

// receive waits for the order of this process.
func receive() (o Order, files []int, err error) {
	var length [4]byte
	rights := make([]byte, unix.CmsgSpace(maxFiles*4))
	n, rightsLen, _, _, err := unix.Recvmsg(Control, length[:], rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_WAITALL)
	switch {
	case err != nil:
		return o, nil, err
	case n < len(length):
		return o, nil, io.ErrUnexpectedEOF // whoever would give the order has gone
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil {
		return o, nil, err
	}
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return o, nil, err
		}
		files = append(files, got...)
	}
	size := binary.LittleEndian.Uint32(length[:])
	if size > maxOrder {
		return o, nil, fmt.Errorf("an order of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(control{}, text); err != nil {
		return o, nil, err
	}
	o, err = decode(text)
	return o, files, err
}

// control reads from the helper's socket.
type control struct{}

func (control) Read(p []byte) (int, error) {
	n, err := unix.Read(Control, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}
