package network

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"cis/api"
)

// serverList says which DNS servers to ask, each "ADDRESS:PORT".
type serverList interface {
	list() ([]string, error)
}

func upstreamsOf(cfg Config) (serverList, error) {
	if len(cfg.Upstreams) == 0 {
		return &resolvConf{path: cfg.ResolvConf}, nil
	}
	var fixed fixedServers
	for i, u := range cfg.Upstreams {
		s, ok := serverAddress(u)
		if !ok {
			return nil, api.FieldError(fmt.Sprintf("upstreams[%d]", i), "%q is not ADDRESS or ADDRESS:PORT", u)
		}
		fixed = append(fixed, s)
	}
	return fixed, nil
}

type fixedServers []string

func (f fixedServers) list() ([]string, error) { return f, nil }

// serverAddress adds the port if there is none.
func serverAddress(s string) (string, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.String(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return "", false
	}
	return net.JoinHostPort(a.String(), fmt.Sprint(dnsPort)), true
}

// resolvConf reads the servers from a file in the format of resolv.conf(5), and
// again when the file has changed. It looks when it is asked, never in between.
type resolvConf struct {
	path string

	mu      sync.Mutex
	read    fs.FileInfo // of the file when it was read
	servers []string
}

func (r *resolvConf) list() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.path)
	if err != nil {
		return nil, fmt.Errorf("find DNS servers: %w", err)
	}
	if r.read != nil && os.SameFile(r.read, info) && r.read.ModTime().Equal(info.ModTime()) && r.read.Size() == info.Size() {
		return r.servers, nil
	}
	data, err := os.ReadFile(r.path)
	if err != nil {
		return nil, fmt.Errorf("find DNS servers: %w", err)
	}
	r.servers, r.read = parseResolvConf(data), info
	return r.servers, nil
}

func parseResolvConf(data []byte) []string {
	var servers []string
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if s, ok := serverAddress(f[1]); ok {
			servers = append(servers, s)
		}
	}
	return servers
}
