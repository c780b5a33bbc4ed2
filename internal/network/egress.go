package network

import (
	"fmt"
	"slices"

	"github.com/google/nftables"

	"cis/api"
)

// EgressMode says what may leave a VPC for the outside.
type EgressMode uint8

const (
	EgressOn    EgressMode = iota // everything
	EgressOff                     // nothing
	EgressRules                   // what Egress.Allow lets pass
)

func (m EgressMode) String() string {
	switch m {
	case EgressOff:
		return "off"
	case EgressRules:
		return "rules"
	}
	return "on"
}

// Egress is what may leave a VPC, whatever the security groups of the sender let pass.
type Egress struct {
	Mode EgressMode
	// Allow is what passes in EgressRules. In every mode but EgressOff, a rule whose Peer
	// is one address opens that address even if it is guarded: one of the host's own, or
	// link-local. A wider Peer opens none of them, so that leave to go anywhere is not
	// leave to enter the host.
	Allow []Rule
}

func (e Egress) check() error {
	if e.Mode > EgressRules {
		return api.FieldError("egress.mode", "there is no mode %d", e.Mode)
	}
	for _, r := range e.Allow {
		if r.Group != "" {
			return api.FieldError("egress.allow", "a rule of a VPC is for addresses, not for group %s", r.Group)
		}
	}
	return checkRules("egress.allow", e.Allow)
}

// alone says whether the rule is for a single address.
func (r Rule) alone() bool { return r.Peer.IsValid() && r.Peer.IsSingleIP() }

// boxes are what passes in a family: of all rules, or of those for a single address.
func (e Egress) boxes(f family, alone bool) ([]box, error) {
	var rules []Rule
	for _, r := range e.Allow {
		if e.Mode != EgressOff && (!alone || r.alone()) {
			rules = append(rules, r)
		}
	}
	return peerBoxes(rules, f.number == ip4.number)
}

// contents are what the VPC's sets shall hold, and hostContents what the host's shall
// for the VPC's uplink.
func (e Egress) contents() ([]content, error) { return e.eachFamily(nil, exemptSet, outsideSet) }

func (e Egress) hostContents(uplink string) ([]content, error) {
	return e.eachFamily(ifKey(uplink), openedSet, nil)
}

func (e Egress) eachFamily(scope []byte, alone, all func(family) *nftables.Set) (cs []content, err error) {
	for _, f := range []family{ip4, ip6} {
		for i, set := range []func(family) *nftables.Set{alone, all} {
			if set == nil {
				continue
			}
			boxes, err := e.boxes(f, i == 0)
			if err != nil {
				return nil, err
			}
			cs = append(cs, content{set: set(f), want: boxElements(scope, nil, boxes, f), scope: scope})
		}
	}
	return cs, nil
}

// ensureEgress makes the sets in the VPC and on the host hold what the VPC's egress
// allows. If that is not what it was, connections that may not go on are cut.
func (m *Manager) ensureEgress(v *vpc, was VPC) error {
	uplink := uplinkHostName(m.cfg.Prefix, v.ID)
	opened, err := v.Egress.hostContents(uplink)
	if err != nil {
		return err
	}
	inside, err := v.Egress.contents()
	if err != nil {
		return err
	}
	if err := m.rules.keep(m.cfg.Prefix, opened...); err != nil {
		return fmt.Errorf("open the host: %w", err)
	}
	v.policy.mu.Lock()
	defer v.policy.mu.Unlock()
	if err := v.keep(inside...); err != nil {
		return fmt.Errorf("let traffic out: %w", err)
	}
	same := was.HostReachable == v.HostReachable && was.Egress.Mode == v.Egress.Mode && slices.Equal(was.Egress.Allow, v.Egress.Allow)
	if same || v.policy.groups == nil {
		return nil
	}
	return v.cut()
}

// closeHost takes back what the host opened for an uplink.
func (m *Manager) closeHost(uplink string) error {
	nothing, err := Egress{}.hostContents(uplink)
	if err != nil {
		return err
	}
	return m.rules.keep(m.cfg.Prefix, nothing...)
}
