package api

import (
	"fmt"
	"slices"
	"strings"
)

// Sysctl is a setting of the kernel inside.
type Sysctl struct {
	// Name is one of those that Kubernetes calls safe, with dots: kernel.shm_rmid_forced,
	// net.ipv4.ip_local_port_range, ip_local_reserved_ports, ip_unprivileged_port_start,
	// ping_group_range, tcp_fin_timeout, tcp_keepalive_intvl, tcp_keepalive_probes,
	// tcp_keepalive_time, tcp_notsent_lowat, tcp_rmem, tcp_slow_start_after_idle,
	// tcp_syncookies or tcp_wmem.
	Name string `json:"name"`
	// Value as it is written below /proc/sys, at most 256 printable characters.
	Value string `json:"value"`
}

// sysctls are the names of settings that an instance may have.
var sysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_rmem", "net.ipv4.tcp_slow_start_after_idle",
	"net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}

const maxSysctlValue = 256

// setsKernel tells whether the instance wants a kernel that can be set.
func (s *InstanceSpec) setsKernel() bool {
	return s.SecurityContext != nil && len(s.SecurityContext.Sysctls) > 0
}

func (c *checker) sysctls(s *InstanceSpec) {
	if !s.setsKernel() {
		return
	}
	const field = "securityContext.sysctls"
	c.check(s.Isolation != IsolationGVisor, field, "are for isolation vm: those of the kernel of gVisor are not set")
	seen := map[string]bool{}
	for i, sysctl := range s.SecurityContext.Sysctls {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.check(slices.Contains(sysctls, sysctl.Name), at+".name", "must be one of %s, not %q", strings.Join(sysctls, ", "), clip(sysctl.Name))
		c.unique(seen, sysctl.Name, at+".name")
		c.check(len(sysctl.Value) <= maxSysctlValue && isPrintable(sysctl.Value), at+".value", "must be at most %d printable ASCII characters", maxSysctlValue)
	}
}
