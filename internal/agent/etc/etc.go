// Package etc writes what a container finds in /etc about its instance. It knows
// nothing of how the files get there.
package etc

import (
	"fmt"
	"strings"

	"cis/internal/agent/agentpb"
)

// File is a file of /etc.
type File struct{ Name, Content string }

// Files of a workload's containers: hosts, hostname and resolv.conf.
func Files(w *agentpb.Workload) []File {
	return []File{{"hosts", hosts(w)}, {"hostname", w.Hostname + "\n"}, {"resolv.conf", resolvConf(w)}}
}

func hosts(w *agentpb.Workload) string {
	lines := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if w.Address != "" {
		lines += w.Address + "\t" + w.Hostname + "\n"
	}
	return lines
}

func resolvConf(w *agentpb.Workload) string {
	var lines strings.Builder
	if len(w.Searches) > 0 {
		fmt.Fprintf(&lines, "search %s\n", strings.Join(w.Searches, " "))
	}
	for _, server := range w.Nameservers {
		fmt.Fprintf(&lines, "nameserver %s\n", server)
	}
	return lines.String()
}
