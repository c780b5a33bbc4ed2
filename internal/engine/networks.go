package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
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
	host    HostPorts
	// changed is closed, and replaced, when somebody stops to use something.
	changed chan struct{}
}

// subnet is one with the addresses that it gives.
type subnet struct {
	api.Subnet
	addresses *addresses
}

// loadNetworks reads the record.
func loadNetworks(ctx context.Context, s *store.Store, host HostPorts) (*networks, error) {
	n := &networks{vpcs: map[string]api.VPC{}, subnets: map[string]*subnet{}, groups: map[string]api.SecurityGroup{},
		public: map[string]api.Address{}, members: map[string]*member{}, host: host, changed: make(chan struct{})}
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

// newCIDR6 makes a range of unique local addresses (RFC 4193): /48, random.
func newCIDR6() string {
	var b [16]byte
	rand.Read(b[1:6])
	b[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(b), 48).String()
}

// title is what people know a resource by.
type title struct{ account, name string }

// byRef finds what an account owns (empty: anybody) by ID or name among what is on record
// of one kind.
func byRef[T any](all map[string]T, owner, ref string, titleOf func(T) title) (T, bool) {
	mine := account.Caller{Account: owner}
	if one, ok := all[ref]; ok && mine.Owns(titleOf(one).account) {
		return one, true
	}
	for _, one := range all {
		if t := titleOf(one); t.name == ref && mine.Owns(t.account) {
			return one, true
		}
	}
	var none T
	return none, false
}

// sorted lists what an account owns (empty: everything) of one kind, by name.
func sorted[T any](all map[string]T, owner string, titleOf func(T) title) []T {
	mine := []T{}
	for _, one := range all {
		if (account.Caller{Account: owner}).Owns(titleOf(one).account) {
			mine = append(mine, one)
		}
	}
	slices.SortFunc(mine, func(a, b T) int {
		return cmp.Or(cmp.Compare(titleOf(a).name, titleOf(b).name), cmp.Compare(titleOf(a).account, titleOf(b).account))
	})
	return mine
}

func vpcTitle(v api.VPC) title             { return title{v.Account, v.Name} }
func subnetTitle(s *subnet) title          { return title{s.Account, s.Name} }
func groupTitle(g api.SecurityGroup) title { return title{g.Account, g.Name} }
func addressTitle(a api.Address) title     { return title{a.Account, a.Name} }

// The lookups among what an account owns; n.mu is held.

func (n *networks) vpc(owner, ref string) (api.VPC, error) {
	v, ok := byRef(n.vpcs, owner, ref, vpcTitle)
	return v, missing(ok, "VPC", "vpc", ref)
}

func (n *networks) subnet(owner, ref string) (*subnet, error) {
	s, ok := byRef(n.subnets, owner, ref, subnetTitle)
	return s, missing(ok, "subnet", "subnet", ref)
}

func (n *networks) group(owner, ref string) (api.SecurityGroup, error) {
	g, ok := byRef(n.groups, owner, ref, groupTitle)
	return g, missing(ok, "security group", "secgroup", ref)
}

func (n *networks) address(owner, ref string) (api.Address, error) {
	a, ok := byRef(n.public, owner, ref, addressTitle)
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
func (e *Engine) put(ctx context.Context, kind store.Kind, id string, t title, doc any) error {
	err := e.cfg.Store.PutObject(ctx, kind, id, t.account, t.name, doc)
	if errors.Is(err, store.ErrNameTaken) {
		return nameTaken(string(kind), t.name)
	}
	return err
}

func nameTaken(kind, name string) error {
	taken := api.Errorf(api.Conflict, "a %s named %q exists", kind, name)
	taken.Field = "name"
	return taken.WithNext("choose another name")
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
