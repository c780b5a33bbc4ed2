package engine

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"cis/api"
)

// addresses gives out the subnet's addresses, the one longest unused first: the
// search goes on where the last one ended.
type addresses struct {
	mu          sync.Mutex
	first, last uint32
	cursor      uint32
	// used counts the holders: an instance and its sandbox hold the same address.
	used map[uint32]int
}

// newAddresses leaves out the network's own address, the first one, which
// clouds keep for the gateway, and the broadcast address.
func newAddresses(cidr netip.Prefix, cursor uint32) *addresses {
	base := toUint(cidr.Masked().Addr())
	size := uint32(1) << (32 - cidr.Bits())
	return &addresses{first: base + 2, last: base + size - 2, cursor: cursor, used: map[uint32]int{}}
}

// take gives out a free address; cursor is to be recorded with it.
func (a *addresses) take() (addr string, cursor uint32, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.cursor
	for range a.last - a.first + 1 {
		if n++; n < a.first || n > a.last {
			n = a.first
		}
		if a.used[n] == 0 {
			a.used[n], a.cursor = 1, n
			return fromUint(n), n, nil
		}
	}
	return "", 0, api.Errorf(api.Exhausted, "the subnet has no free address: all %d are taken", a.last-a.first+1).
		WithNext("remove instances that have ended: `cis rm`")
}

// claim gives out that very address, if nobody holds it.
func (a *addresses) claim(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used[toUint(ip)] > 0 {
		return false
	}
	a.used[toUint(ip)] = 1
	return true
}

// hold adds a holder to an address that is given out or on record.
func (a *addresses) hold(addr string) { a.count(addr, 1) }

// release takes a holder away; without holders the address is free.
func (a *addresses) release(addr string) { a.count(addr, -1) }

func (a *addresses) count(addr string, by int) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := toUint(ip)
	if a.used[n] += by; a.used[n] <= 0 {
		delete(a.used, n)
	}
}

// contains tells whether an address is one of the subnet's that are given out.
func (a *addresses) contains(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	return err == nil && toUint(ip) >= a.first && toUint(ip) <= a.last
}

// usage tells how many are taken and how many free.
func (a *addresses) usage() (used, free int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.used), int(a.last-a.first) + 1 - len(a.used)
}

func toUint(ip netip.Addr) uint32 {
	b := ip.As4()
	return binary.BigEndian.Uint32(b[:])
}

func fromUint(n uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b).String()
}

// cursorNow is where the last search ended.
func (a *addresses) cursorNow() uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cursor
}
