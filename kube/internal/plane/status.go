package plane

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"

	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

// State is what a control plane is doing.
type State string

// The states of a control plane; one that does not run has none.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Stopping State = "stopping"
)

// Status is what is known of a running control plane.
type Status struct {
	State       State  `json:"state"`
	Version     string `json:"version"` // of Kubernetes
	PID         int    `json:"pid"`     // of cis-kube
	DataDir     string `json:"dataDir"`
	Server      string `json:"server"`             // URL for clients on this host
	NodeServer  string `json:"nodeServer"`         // URL for nodes
	Endpoint    string `json:"endpoint,omitempty"` // of the Service kubernetes
	ServiceCIDR string `json:"serviceCIDR"`
	// ClusterDNS is the address that is kept for the Service of the cluster's DNS.
	ClusterDNS string    `json:"clusterDNS"`
	Etcd       []string  `json:"etcd,omitempty"` // URLs of an external one
	Node       string    `json:"node,omitempty"` // its name, if there is one on this host
	Programs   []Program `json:"programs"`
	// Certificates, the first to end first.
	Certificates []pki.Expiry `json:"certificates"`
}

// Program is the status of a program.
type Program struct {
	supervise.Status
	RSS int64  `json:"rss"` // resident memory, in bytes
	Log string `json:"log"`
}

// Status says what is known now.
func (p *Plane) Status() Status {
	p.mu.Lock()
	state, certs := p.state, p.certs
	p.mu.Unlock()
	s := Status{
		State: state, Version: p.Version, PID: os.Getpid(), DataDir: p.DataDir,
		Server: p.LocalServer(), NodeServer: p.NodeServer(),
		ServiceCIDR: p.ServiceCIDR.String(), ClusterDNS: p.DNSIP().String(), Etcd: p.External.URLs,
		Node: p.Node.Name,
	}
	if e := p.Endpoint(); e.IsValid() {
		s.Endpoint = e.String()
	}
	if certs != nil {
		s.Certificates = certs.Expires
	}
	for _, status := range slices.Concat(p.group.Status(), p.node.Status(), p.late.Status()) {
		s.Programs = append(s.Programs, Program{status, resident(status.PID), LogFile(p.DataDir, status.Name)})
	}
	return s
}

// resident is a process' memory, 0 if it is gone.
func resident(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
