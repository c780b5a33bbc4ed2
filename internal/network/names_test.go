package network

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNamesFitAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"a", "b", strings.Repeat("x", 63), strings.Repeat("x", 62) + "y", "vpc-0", "nic-0"} {
		for kind, name := range map[string]string{"nic": outerName("abcde", id), "vpc": uplinkHostName("abcde", id)} {
			if len(name) >= unix.IFNAMSIZ {
				t.Errorf("%s is longer than a link's name may be", name)
			}
			if other := seen[name]; other != "" {
				t.Errorf("%s is both %s and %s %s", name, other, kind, id)
			}
			seen[name] = kind + " " + id
		}
	}
}

func TestNICAlias(t *testing.T) {
	both := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}
	for _, addrs := range [][]netip.Addr{both, both[:1]} {
		id, got, ok := parseNICAlias(nicAlias("i-1", addrs...))
		if !ok || id != "i-1" || !slices.Equal(got, addrs) {
			t.Errorf("got %q %v %v", id, got, ok)
		}
	}
	for _, bad := range []string{"", "nic", "nic i-1", "vpc i-1 10.0.0.2", "nic i-1 x", "nic ../x 10.0.0.2", "nic a 10.0.0.2 b"} {
		if _, _, ok := parseNICAlias(bad); ok {
			t.Errorf("%q passes for an alias", bad)
		}
	}
}

func TestIDsAndPrefixes(t *testing.T) {
	for id, good := range map[string]bool{"a": true, "A_b.c-9": true, "": false, ".": false, "..": false, "a/b": false, "-a": false, "a b": false, strings.Repeat("a", 64): false} {
		if err := checkID("id", id); (err == nil) != good {
			t.Errorf("id %q: %v", id, err)
		}
	}
	for prefix, good := range map[string]bool{"cis": true, "a": true, "abcde": true, "abcdef": false, "": false, "1a": false, "a-b": false, "A": false} {
		if err := checkPrefix(prefix); (err == nil) != good {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

func TestMACsAreLocalAndUnicast(t *testing.T) {
	for _, mac := range [][]byte{gatewayMAC, uplinkHostMAC, uplinkVPCMAC, nicMAC(netip.MustParseAddr("255.255.255.255"))} {
		if mac[0]&3 != 2 {
			t.Errorf("%x is not a locally administered unicast address", mac)
		}
	}
}

// Two rules with the same words but other expressions are told apart, and the mark
// of one does not depend on the run.
func TestRuleMarks(t *testing.T) {
	mark := func(r rule) string {
		m, err := r.mark()
		check(t, err)
		return string(m)
	}
	if mark(when("x", iif("a"), accept())) == mark(when("x", iif("b"), accept())) {
		t.Error("rules that differ have one mark")
	}
	once, again := mark(hostRules("t", DefaultLinks).chains[0].rules[0]), mark(hostRules("t", DefaultLinks).chains[0].rules[0])
	if once != again {
		t.Error("one rule has two marks")
	}
}

func TestReverseAddr(t *testing.T) {
	if a, ok := reverseAddr("2.0.64.10.in-addr.arpa"); !ok || a != netip.MustParseAddr("10.64.0.2") {
		t.Errorf("got %v %v", a, ok)
	}
	for _, bad := range []string{"2.0.64.in-addr.arpa", "x.0.64.10.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "2.0.64.10", "02.0.64.10.in-addr.arpa"} {
		if _, ok := reverseAddr(bad); ok {
			t.Errorf("%q passes", bad)
		}
	}
}
