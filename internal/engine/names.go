package engine

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"net/netip"
	"sync"
)

// names maps the live instances' names to addresses and back, for DNS.
type names struct {
	mu     sync.RWMutex
	byName map[string]netip.Addr
	byAddr map[netip.Addr]string
}

func newNames() *names {
	return &names{byName: map[string]netip.Addr{}, byAddr: map[netip.Addr]string{}}
}

func (n *names) set(name, address string) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byName[name], n.byAddr[ip] = ip, name
}

func (n *names) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byAddr, n.byName[name])
	delete(n.byName, name)
}

// lookup returns the address of a live instance.
func (n *names) lookup(name string) (netip.Addr, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	ip, ok := n.byName[name]
	return ip, ok
}

// reverse returns the name of the live instance that has the address.
func (n *names) reverse(ip netip.Addr) (string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	name, ok := n.byAddr[ip]
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
