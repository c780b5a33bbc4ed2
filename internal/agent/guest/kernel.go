package guest

import (
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settings of the kernel. The network is the instance's alone, so its programs may
// use all of its ports, and send pings, without a privilege: as with docker.
var settings = map[string]string{
	"net/ipv4/ip_unprivileged_port_start": "0",
	"net/ipv4/ping_group_range":           "0 2147483647",
	"net/ipv6/conf/default/disable_ipv6":  "1",
}

func setUpKernel() error {
	for name, value := range settings {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	loopback, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(loopback)
	}
	if err != nil {
		return fmt.Errorf("set up the loopback interface: %w", err)
	}
	return nil
}

// kernelLog is the last of what the kernel has logged, without the priorities before its lines.
func kernelLog() (string, error) {
	buf := make([]byte, LogSize)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return "", fmt.Errorf("read the kernel's log: %w", err)
	}
	var log strings.Builder
	for line := range strings.Lines(string(buf[:n])) {
		if priority, rest, found := strings.Cut(line, ">"); found && strings.HasPrefix(priority, "<") {
			line = rest
		}
		log.WriteString(line)
	}
	return log.String(), nil
}
