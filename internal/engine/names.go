package engine

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"net/netip"
	"sync"
)

// names maps the live instances' names to addresses and back, for DNS: each only in its
// own VPC.
type names struct {
	mu     sync.RWMutex
	byName map[nameIn][]netip.Addr
	byAddr map[addrIn]string
}

type nameIn struct{ vpc, name string }

type addrIn struct {
	vpc  string
	addr netip.Addr
}

func newNames() *names {
	return &names{byName: map[nameIn][]netip.Addr{}, byAddr: map[addrIn]string{}}
}

func (n *names) set(vpc, name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(vpc, name)
	for _, s := range addresses {
		if ip, err := netip.ParseAddr(s); err == nil {
			n.byName[nameIn{vpc, name}] = append(n.byName[nameIn{vpc, name}], ip)
			n.byAddr[addrIn{vpc, ip}] = name
		}
	}
}

func (n *names) remove(vpc, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop(vpc, name)
}

// drop needs the lock.
func (n *names) drop(vpc, name string) {
	for _, ip := range n.byName[nameIn{vpc, name}] {
		if n.byAddr[addrIn{vpc, ip}] == name {
			delete(n.byAddr, addrIn{vpc, ip})
		}
	}
	delete(n.byName, nameIn{vpc, name})
}

// lookup returns the addresses of a live instance.
func (n *names) lookup(vpc, name string) []netip.Addr {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byName[nameIn{vpc, name}]
}

// reverse returns the name of the live instance that has the address.
func (n *names) reverse(vpc string, ip netip.Addr) (string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	name, ok := n.byAddr[addrIn{vpc, ip}]
	return name, ok
}

// newID makes an ID: the prefix and 12 random hexadecimal digits.
func newID(prefix string) string {
	var b [6]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

var (
	qualities = []string{"amber", "bold", "brisk", "calm", "clear", "crisp", "deft", "eager", "fair", "fleet", "glad", "grand", "hale", "keen", "kind", "light", "lucid", "merry", "neat", "noble", "plain", "prime", "quick", "quiet", "rapid", "ready", "sharp", "sleek", "solid", "spry", "sunny", "swift", "tidy", "vivid", "warm", "wise"}
	things    = []string{"anchor", "aspen", "badger", "beacon", "birch", "brook", "cedar", "cliff", "comet", "coral", "crane", "delta", "ember", "falcon", "fern", "finch", "gale", "harbor", "heron", "island", "jetty", "lagoon", "lark", "maple", "meadow", "otter", "pebble", "pine", "quartz", "reef", "ridge", "sail", "spruce", "tern", "tide", "willow"}
)

// newName makes up a name for an instance that was given none.
func newName() string {
	var b [2]byte
	rand.Read(b[:])
	return pick(qualities) + "-" + pick(things) + "-" + hex.EncodeToString(b[:])
}

func pick(words []string) string {
	n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	return words[n.Int64()]
}
