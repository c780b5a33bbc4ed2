package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A sysctl is a file under /proc/sys and the value it shall have. Settings under
// net belong to the namespace of the thread that opens the file.
type sysctl struct{ path, value string }

const sysctlDir = "/proc/sys/"

// forwarding is what is changed for the whole host; forwarding6 too, if VPCs have a way
// out by IPv6 (see enableForwarding6).
var (
	forwarding  = sysctl{"net/ipv4/ip_forward", "1"}
	forwarding6 = sysctl{"net/ipv6/conf/all/forwarding", "1"}
)

// isHosts says whether the setting is one that is changed for the whole host.
func (s sysctl) isHosts() bool {
	ra, _ := filepath.Match("net/ipv6/conf/*/accept_ra", s.path)
	ndp, _ := filepath.Match("net/ipv6/conf/*/proxy_ndp", s.path)
	return s.path == forwarding.path || s.path == forwarding6.path || ra || ndp
}

// vpcSysctls make a namespace a router that answers ARP for its gateway address on
// every link, checks sources against its routes, and does not look for a socket of its own
// before it routes a packet on. A new namespace may inherit other values from the host
// (net.core.devconf_inherit_init_net).
func vpcSysctls(v VPC) []sysctl {
	list := []sysctl{
		forwarding,
		{"net/ipv4/ip_early_demux", "0"}, // IPv6 too
		{"net/ipv4/conf/all/rp_filter", "1"},
		{"net/ipv4/conf/default/rp_filter", "1"},
		{"net/ipv4/conf/all/arp_ignore", "0"},
		{"net/ipv4/conf/default/arp_ignore", "0"},
	}
	for _, conf := range []string{"net/ipv6/conf/all/", "net/ipv6/conf/default/"} {
		if !v.CIDR6.IsValid() {
			list = append(list, sysctl{conf + "disable_ipv6", "1"})
			continue
		}
		list = append(list,
			sysctl{conf + "accept_ra", "0"}, sysctl{conf + "accept_redirects", "0"}, sysctl{conf + "accept_dad", "0"},
			sysctl{conf + "addr_gen_mode", "1"}, // none
			sysctl{conf + "forwarding", "1"}, sysctl{conf + "disable_ipv6", "0"})
	}
	return list
}

// trackingSysctls are there once rules look at connections. The middle of a TCP
// connection that is not known does not begin one: else a connection that was cut would
// go on with the next packet that the rules let pass the other way.
var trackingSysctls = []sysctl{{"net/netfilter/nf_conntrack_tcp_loose", "0"}}

// ensure sets the value unless it is set, and returns the value before. A setting
// of IPv6 on a kernel without IPv6 is left alone.
func (s sysctl) ensure() (before string, err error) {
	before, err = s.read()
	if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(s.path, "net/ipv6/") {
		return s.value, nil
	}
	if err != nil {
		return "", err
	}
	if before == s.value {
		return before, nil
	}
	return before, os.WriteFile(sysctlDir+s.path, []byte(s.value), 0o644)
}

// read returns the value that is set.
func (s sysctl) read() (string, error) {
	data, err := os.ReadFile(sysctlDir + s.path)
	return strings.TrimSpace(string(data)), err
}

func ensureSysctls(list []sysctl) error {
	for _, s := range list {
		if _, err := s.ensure(); err != nil {
			return fmt.Errorf("set %s: %w", s.path, err)
		}
	}
	return nil
}

// hostState is what the host had before the package changed it.
type hostState struct {
	// Sysctls are the values before, by path under /proc/sys.
	Sysctls map[string]string `json:"sysctls"`
}

func readHostState(file string) (hostState, error) {
	st := hostState{Sysctls: map[string]string{}}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &st)
	}
	if err != nil {
		return st, fmt.Errorf("read host state %s: %w", file, err)
	}
	return st, nil
}

func (st hostState) write(file string) error {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// enableForwarding turns routing on in the thread's namespace.
func enableForwarding(file string) error { return changeHost(file, forwarding) }

// changeHost sets what concerns the whole host. The value before is noted in the file
// first, unless the file is "" or already knows an older one.
func changeHost(file string, to sysctl) error {
	before, err := to.read()
	if err != nil || before == to.value {
		return err
	}
	if file != "" {
		st, err := readHostState(file)
		if err != nil {
			return err
		}
		if _, known := st.Sysctls[to.path]; !known {
			st.Sysctls[to.path] = before
			if err := st.write(file); err != nil {
				return fmt.Errorf("note host state: %w", err)
			}
		}
	}
	_, err = to.ensure()
	return err
}

// restoreHost puts back what the file says the thread's namespace had, and removes
// the file.
func restoreHost(file string) error {
	if file == "" {
		return nil
	}
	st, err := readHostState(file)
	if err != nil {
		return err
	}
	for path, value := range st.Sysctls {
		before := sysctl{path, value}
		if !before.isHosts() {
			continue // never ours, so never to be written
		}
		if _, err := before.ensure(); err != nil {
			return fmt.Errorf("restore %s: %w", path, err)
		}
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
