package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// NFSExport is the path under which an NFSServer has its directory.
const NFSExport = "/data"

// NFSServer is a real server of versions 3 and 4 of the protocol.
type NFSServer struct {
	// Dir is the directory that it serves.
	Dir string
	// Address where it is.
	Address string

	// name of its namespace and of the link.
	name    string
	process *process
}

// nfsScript runs the portmapper and the server in namespaces of their own: all that they write
// outside of $1 goes with them, and so do they with the first process.
const nfsScript = `set -e
mount -t tmpfs tmpfs /run
mount -t overlay -o lowerdir="$2/usr:/usr" overlay /usr
mkdir /run/rpcbind
{ cat /etc/passwd; echo _rpc:x:65533:65534::/:/bin/false; } >/run/passwd
mount --bind /run/passwd /etc/passwd
rpcbind
exec ganesha.nfsd -F -f "$1/conf" -L STDOUT -p /run/ganesha.pid`

// nfsConfig is ganesha's: whoever asks from a port below 1024 is believed who he is.
const nfsConfig = `NFS_CORE_PARAM { Plugins_Dir = "/usr/lib/x86_64-linux-gnu/ganesha"; Protocols = 3, 4; Enable_UDP = false; Enable_NLM = false;
	Enable_RQUOTA = false; MNT_Port = 20048; mount_path_pseudo = true; }
NFSV4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = "%[1]s/state"; Only_Numeric_Owners = true; }
EXPORT { Export_Id = 1; Path = "%[1]s/files"; Pseudo = %[2]s; Access_Type = RW; Squash = None; SecType = sys; PrivilegedPort = true;
	Transports = TCP; FSAL { Name = VFS; } }
LOG { Default_Log_Level = WARN; }
`

// NFSServer starts a server in a network namespace of its own, beyond the host and joined to it by
// a link. It runs until End.
func (s *Stage) NFSServer(ctx context.Context) (n *NFSServer, err error) {
	tree := filepath.Join(s.Bin, "nfs")
	if _, err := os.Stat(tree); err != nil {
		return nil, fmt.Errorf("%w: make it with scripts/packages test", err)
	}
	dir := filepath.Join(s.Dir, "nfs")
	number, err := strconv.ParseUint(s.Prefix[1:3], 16, 8)
	if err != nil {
		return nil, fmt.Errorf("find an address for the NFS server: %w", err)
	}
	// 198.18/15 is for benchmarks of networks: nobody's real address.
	subnet := fmt.Sprintf("198.19.%d", number)
	n = &NFSServer{Dir: filepath.Join(dir, "files"), Address: subnet + ".10", name: s.Prefix + "-nfs"}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start the NFS server: %w", err), n.End())
		}
	}()
	if err := n.join(subnet + ".1"); err != nil {
		return n, err
	}
	for _, sub := range []string{n.Dir, filepath.Join(dir, "state")} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return n, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "conf"), fmt.Appendf(nil, nfsConfig, dir, NFSExport), 0o600); err != nil {
		return n, err
	}
	n.process, err = start(filepath.Join(dir, "log"), "ip", "netns", "exec", n.name, "unshare", "--mount", "--pid", "--fork", "--kill-child",
		"sh", "-c", nfsScript, "sh", dir, tree)
	if err != nil {
		return n, err
	}
	return n, n.process.wait(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(n.Address, "2049"))
		if err == nil {
			c.Close()
		}
		return err
	})
}

// join makes the namespace, and the link with that address at the host's end.
func (n *NFSServer) join(host string) error {
	for _, args := range []string{
		"netns add " + n.name,
		"link add " + n.name + " type veth peer name eth0 netns " + n.name,
		"address add " + host + "/24 dev " + n.name,
		"link set " + n.name + " up",
		"-n " + n.name + " address add " + n.Address + "/24 dev eth0",
		"-n " + n.name + " link set eth0 up",
		"-n " + n.name + " route add default via " + host,
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return nil
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// CutOff takes the link down: what is sent to the server is never answered.
func (n *NFSServer) CutOff() error { return ip("-n " + n.name + " link set eth0 down") }

// End ends the server at once and removes its namespace.
func (n *NFSServer) End() error {
	var err error
	if n.process != nil {
		err = n.process.end(syscall.SIGKILL)
	}
	// The link by itself: with its namespace it would go a while later.
	return errors.Join(err, ip("link del "+n.name), ip("netns del "+n.name))
}
