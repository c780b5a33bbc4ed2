package network

import (
	"strings"
	"sync"
)

// domains are the DNS domains of all VPCs, as far as they lie in the top-level domain
// internal, which is for private use: names in them never leave the host. A domain
// elsewhere hides nothing from other VPCs, or one of them could deny the others the
// Internet's names.
type domains struct {
	mu   sync.RWMutex
	byID map[string]string // by VPC, in lower case
}

func newDomains() *domains { return &domains{byID: map[string]string{}} }

func (d *domains) set(vpc, domain string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byID[vpc] = strings.ToLower(domain)
}

func (d *domains) remove(vpc string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byID, vpc)
}

// holding returns the domain that the name is in, or is. The name is in lower case and
// has no dot at the end.
func (d *domains) holding(name string) (domain string, ok bool) {
	if !strings.HasSuffix(name, ".internal") {
		return "", false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, domain := range d.byID {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return domain, true
		}
	}
	return "", false
}
