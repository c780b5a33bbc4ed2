package engine

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"cis/api"
)

func TestAddressesAreGivenOutInTurn(t *testing.T) {
	a := newAddresses(netip.MustParsePrefix("10.0.0.0/29"), 0)
	var got []string
	for range 5 {
		addr, _, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, addr)
	}
	if got[0] != "10.0.0.2" || got[4] != "10.0.0.6" {
		t.Errorf("a /29 gives %v", got)
	}
	if _, _, err := a.take(); api.CodeOf(err) != api.Exhausted {
		t.Errorf("a full subnet: %v", err)
	}
	a.release(got[1])
	a.release(got[0])
	// The search goes on after the last one given out: the one longest free comes
	// by its place, not by luck.
	if addr, _, _ := a.take(); addr != got[0] {
		t.Errorf("took %s, want %s", addr, got[0])
	}
	a.release(got[0])
	if addr, _, _ := a.take(); addr != got[1] {
		t.Errorf("took %s, want %s, the one longer unused", addr, got[1])
	}
}

// No address is ever given out while somebody holds it.
func TestAddressesAreNeverGivenTwice(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	a := newAddresses(netip.MustParsePrefix("10.0.0.0/27"), 0)
	held := map[string]int{}
	for range 5000 {
		switch r.IntN(3) {
		case 0:
			addr, _, err := a.take()
			if err != nil {
				if len(held) != 29 {
					t.Fatalf("seed %d: exhausted with %d held", seed, len(held))
				}
				continue
			}
			if held[addr] > 0 {
				t.Fatalf("seed %d: %s was given out twice", seed, addr)
			}
			held[addr] = 1
		case 1:
			for addr := range held {
				a.hold(addr)
				held[addr]++
				break
			}
		case 2:
			for addr := range held {
				a.release(addr)
				if held[addr]--; held[addr] == 0 {
					delete(held, addr)
				}
				break
			}
		}
		if used, free := a.usage(); used != len(held) || used+free != 29 {
			t.Fatalf("seed %d: usage %d+%d with %d held", seed, used, free, len(held))
		}
	}
}
