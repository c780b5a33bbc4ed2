package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cis/api"
	"cis/internal/network"
	"cis/internal/store"
)

// The IDs of what is always there.
const (
	defaultVPC    = "vpc-default"
	defaultSubnet = "subnet-default"
	defaultGroup  = "sg-default"
)

// networks holds what is on record of the network, and who uses it. It decides nothing
// by itself: each of its methods is one look or one change.
type networks struct {
	mu      sync.Mutex
	vpcs    map[string]api.VPC // each by ID
	subnets map[string]*subnet
	groups  map[string]api.SecurityGroup
	public  map[string]api.Address
	members map[string]*member // by the instance's ID
	// findPort finds one that no program of the host has.
	findPort func(network.Protocol) (uint16, error)
	// changed is closed, and replaced, when somebody stops to use something.
	changed chan struct{}
}

// subnet is one with the addresses that it gives.
type subnet struct {
	api.Subnet
	addresses *addresses
}

// loadNetworks reads the record.
func loadNetworks(ctx context.Context, s *store.Store, findPort func(network.Protocol) (uint16, error)) (*networks, error) {
	n := &networks{vpcs: map[string]api.VPC{}, subnets: map[string]*subnet{}, groups: map[string]api.SecurityGroup{},
		public: map[string]api.Address{}, members: map[string]*member{}, findPort: findPort, changed: make(chan struct{})}
	vpcs, err1 := store.Objects[api.VPC](ctx, s, store.KindVPC)
	subnets, err2 := store.Objects[api.Subnet](ctx, s, store.KindSubnet)
	groups, err3 := store.Objects[api.SecurityGroup](ctx, s, store.KindSecurityGroup)
	public, err4 := store.Objects[api.Address](ctx, s, store.KindAddress)
	cursors, err5 := s.Cursors(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	for _, v := range vpcs {
		n.vpcs[v.ID] = v
	}
	for _, s := range subnets {
		n.subnets[s.ID] = &subnet{s, newAddresses(s.Range(), cursors[s.ID])}
	}
	for _, g := range groups {
		n.groups[g.ID] = g
	}
	for _, a := range public {
		n.public[a.ID] = a
	}
	return n, nil
}

// ensureDefaults records the VPC, subnet and security group that are always there.
func (e *Engine) ensureDefaults(ctx context.Context) error {
	n, now := e.networks, time.Now().UTC()
	cidr := e.cfg.CIDR.Masked().String()
	v, ok := n.vpcs[defaultVPC]
	if !ok {
		v = api.VPC{ID: defaultVPC, Name: api.DefaultName, CIDR6: newCIDR6(), HostReachable: true, CreatedAt: now, Revision: 1}
		v.Default()
	}
	if v.CIDR != cidr {
		for _, s := range n.subnets {
			if s.VPC == v.Name && s.ID != defaultSubnet {
				return api.Errorf(api.Conflict, "subnet %s (%s) is in the default VPC, whose range is to become %s", s.Name, s.CIDR, cidr).
					WithNext("start cisd with -cidr %s, and remove the subnet first", v.CIDR)
			}
		}
		v.CIDR = cidr
		if err := e.cfg.Store.PutObject(ctx, store.KindVPC, v.ID, v.Name, v); err != nil {
			return err
		}
		n.vpcs[v.ID] = v
	}
	s := api.Subnet{ID: defaultSubnet, Name: api.DefaultName, VPC: v.Name, CreatedAt: now}
	var cursor uint32
	if have := n.subnets[defaultSubnet]; have != nil {
		s, cursor = have.Subnet, have.addresses.cursorNow()
	} else if cursors, err := e.cfg.Store.Cursors(ctx); err == nil {
		cursor = cursors[defaultSubnet]
	}
	if s.CIDR != cidr {
		s.CIDR = cidr
		if err := e.cfg.Store.PutObject(ctx, store.KindSubnet, s.ID, s.Name, s); err != nil {
			return err
		}
		n.subnets[s.ID] = &subnet{s, newAddresses(s.Range(), cursor)}
	}
	if _, ok := n.groups[defaultGroup]; ok {
		return nil
	}
	g := api.SecurityGroup{ID: defaultGroup, Name: api.DefaultName, CreatedAt: now, Revision: 1}
	g.Default()
	n.groups[g.ID] = g
	return e.cfg.Store.PutObject(ctx, store.KindSecurityGroup, g.ID, g.Name, g)
}

// newCIDR6 makes a range of unique local addresses (RFC 4193): /48, random.
func newCIDR6() string {
	var b [16]byte
	rand.Read(b[1:6])
	b[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(b), 48).String()
}

// byRef finds by ID or name among what is on record of one kind.
func byRef[T any](all map[string]T, ref string, name func(T) string) (T, bool) {
	if one, ok := all[ref]; ok {
		return one, true
	}
	for _, one := range all {
		if name(one) == ref {
			return one, true
		}
	}
	var none T
	return none, false
}

// sorted lists one kind by name.
func sorted[T any](all map[string]T, name func(T) string) []T {
	return slices.SortedFunc(maps.Values(all), func(a, b T) int { return cmp.Compare(name(a), name(b)) })
}

func vpcName(v api.VPC) string             { return v.Name }
func subnetName(s *subnet) string          { return s.Name }
func groupName(g api.SecurityGroup) string { return g.Name }
func addressName(a api.Address) string     { return a.Name }

// The lookups; n.mu is held.

func (n *networks) vpc(ref string) (api.VPC, error) {
	v, ok := byRef(n.vpcs, ref, vpcName)
	return v, missing(ok, "VPC", "vpc", ref)
}

func (n *networks) subnet(ref string) (*subnet, error) {
	s, ok := byRef(n.subnets, ref, subnetName)
	return s, missing(ok, "subnet", "subnet", ref)
}

func (n *networks) group(ref string) (api.SecurityGroup, error) {
	g, ok := byRef(n.groups, ref, groupName)
	return g, missing(ok, "security group", "secgroup", ref)
}

func (n *networks) address(ref string) (api.Address, error) {
	a, ok := byRef(n.public, ref, addressName)
	return a, missing(ok, "public address", "address", ref)
}

func missing(ok bool, kind, command, ref string) error {
	if ok {
		return nil
	}
	return api.Errorf(api.NotFound, "there is no %s %q", kind, ref).WithNext("`cis %s list` lists them", command)
}

// inField makes a failed lookup a mistake of the field that asked for it.
func inField(err error, field string) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.Field == "" {
		wrong := *e
		wrong.Field = field
		if wrong.Code == api.NotFound {
			wrong.Code = api.Invalid
		}
		return &wrong
	}
	return err
}

// wake tells those who wait that something is used less; n.mu is held.
func (n *networks) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// put records an object; the error for a taken name says which field.
func (e *Engine) put(ctx context.Context, kind store.Kind, id, name string, doc any) error {
	err := e.cfg.Store.PutObject(ctx, kind, id, name, doc)
	if errors.Is(err, store.ErrNameTaken) {
		return taken(kind, name)
	}
	return err
}

func taken(kind store.Kind, name string) error {
	err := api.Errorf(api.Conflict, "a %s named %q exists", kind, name)
	err.Field = "name"
	return err.WithNext("choose another name")
}

// newShortID makes an ID of the network's: the prefix and 8 random hexadecimal digits.
func newShortID(prefix string) string {
	var b [4]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s%x", prefix, b)
}

// outdated refuses a change that was made for another revision.
func outdated(kind, name string, have, want int64) error {
	if want == 0 || have == want {
		return nil
	}
	return api.Errorf(api.Conflict, "%s %s was changed meanwhile: it is at revision %d, not %d", kind, name, have, want).
		WithNext("read it again and make the change anew")
}
