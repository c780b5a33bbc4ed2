package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"cis/api"
	"cis/internal/keylock"
)

// Gateway is the address that every NIC routes to and asks for names. It is the
// same in every VPC and lies in that VPC's namespace.
var Gateway = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// Services is an address of each VPC's namespace for programs that who runs the host puts
// there to serve the VPC's instances. Egress rules decide who reaches it; nothing of the
// package listens at it, and nobody outside the VPC reaches it.
var Services = netip.AddrFrom4([4]byte{198, 18, 0, 1})

// Gateway6 is the same for IPv6. It is an address of each NIC's link in the VPC's
// namespace.
var Gateway6 = netip.MustParseAddr("fe80::1")

// DefaultLinks is the range of the uplinks' addresses where nothing else uses it.
var DefaultLinks = netip.MustParsePrefix("169.254.64.0/18")

// DefaultMTU is the MTU of the links, unless the host's default route leaves over a
// link with a smaller one.
const DefaultMTU = 1500

// Config is what a Manager needs to know.
type Config struct {
	// Prefix begins the name of every namespace and link, and is the name of every
	// nftables table: 1 to 5 lower-case letters and digits, a letter first.
	Prefix string
	// Links is the IPv4 range of the uplinks' addresses, two for each VPC; nothing
	// else on the host may use it. DefaultLinks if it is not valid.
	Links netip.Prefix
	// StateFile remembers what the host had before, for Clean; "" for no memory.
	StateFile string
	// Upstreams are the DNS servers that names of no instance are asked from, each
	// "ADDRESS" or "ADDRESS:PORT", as the host reaches them. If there are none, the
	// servers in ResolvConf are taken, read anew when it changes.
	Upstreams []string
	// ResolvConf is /etc/resolv.conf if it is "".
	ResolvConf string
	// Log is slog.Default() if it is nil.
	Log *slog.Logger
}

// Manager makes and removes the networks of one host. Its methods may be called
// concurrently.
type Manager struct {
	cfg   Config
	log   *slog.Logger
	mtu   int
	host  *space
	rules *tables // of the host
	dns   *forwarder

	// life is held for writing where VPCs come and go, for reading where NICs do.
	life sync.RWMutex
	vpcs map[string]*vpc

	// making bounds the threads that wait in the kernel for a new namespace, which
	// makes them one by one anyway.
	making chan struct{}
	busy   keylock.Lock // by NIC id

	mu   sync.Mutex // guards nics
	nics map[string]*nic

	edge    edge
	domains *domains
}

// Open prepares the network namespace of the calling thread to be the host of VPCs:
// routing is turned on and the host's table is made. It then knows no VPC: call
// Reconcile, or EnsureVPC and Attach, to adopt or make them. Close the Manager after
// use.
func Open(ctx context.Context, cfg Config) (*Manager, error) {
	m, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	return m, nil
}

func open(ctx context.Context, cfg Config) (_ *Manager, err error) {
	if err := checkPrefix(cfg.Prefix); err != nil {
		return nil, err
	}
	if !cfg.Links.IsValid() {
		cfg.Links = DefaultLinks
	}
	cfg.Links = cfg.Links.Masked()
	if !cfg.Links.Addr().Is4() || cfg.Links.Bits() > 31 {
		return nil, api.FieldError("links", "%s is not an IPv4 range of two addresses or more", cfg.Links)
	}
	if cfg.Links.Contains(Gateway) {
		return nil, api.FieldError("links", "%s holds %s, the gateway of every VPC", cfg.Links, Gateway)
	}
	if cfg.ResolvConf == "" {
		cfg.ResolvConf = "/etc/resolv.conf"
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	upstreams, err := upstreamsOf(cfg)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := prepareNetnsDir(); err != nil {
		return nil, err
	}
	fd, err := openThreadNS()
	if err != nil {
		return nil, err
	}
	host, err := openSpace(fd)
	if err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:    cfg,
		log:    cfg.Log,
		mtu:    outsideMTU(host.route),
		host:   host,
		rules:  &tables{fd: fd},
		dns:    newForwarder(host, upstreams, cfg.Log),
		vpcs:   map[string]*vpc{},
		nics:   map[string]*nic{},
		making: make(chan struct{}, 4),
		edge:   newEdge(),

		domains: newDomains(),
	}
	if err := m.ensureHost(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// ensureHost makes what the host needs before the first VPC.
func (m *Manager) ensureHost() error {
	changed, err := m.rules.ensure(hostRules(m.cfg.Prefix, m.cfg.Links))
	if err != nil {
		return kernelHint(err)
	}
	if changed {
		m.log.Info("made the host's network rules", "table", "inet "+m.cfg.Prefix)
	}
	if err := m.edge.readHost(m.rules, m.cfg.Prefix); err != nil {
		return err
	}
	err = m.host.within(func() error { return enableForwarding(m.cfg.StateFile) })
	if err != nil {
		return fmt.Errorf("enable forwarding: %w", err)
	}
	return nil
}

// kernelHint names the next step where the cause is a right or a kernel feature.
func kernelHint(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return api.Errorf(api.Forbidden, "%w", err).WithNext("run as root")
	}
	return api.Errorf(api.Unavailable, "%w", err).WithNext("check that the kernel has nftables with inet, nat, ct, fib and reject")
}

// outsideMTU is the smaller of DefaultMTU and the MTU on the way to the outside.
func outsideMTU(h *netlink.Handle) int {
	routes, err := dump(func() ([]netlink.Route, error) {
		return h.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
	})
	if err != nil {
		return DefaultMTU
	}
	mtu := DefaultMTU
	for _, r := range routes {
		if link, err := h.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU > 0 {
			mtu = min(mtu, link.Attrs().MTU)
		}
	}
	return mtu
}

// Close stops the DNS servers and lets go of all handles. Namespaces, links and
// rules stay, and traffic goes on. The Manager cannot be used after it.
func (m *Manager) Close() error {
	m.life.Lock()
	defer m.life.Unlock()
	for _, v := range m.vpcs {
		v.close()
	}
	clear(m.vpcs)
	m.mu.Lock()
	for _, n := range m.nics {
		n.close()
	}
	clear(m.nics)
	m.mu.Unlock()
	m.edge.close()
	m.dns.close()
	m.rules.close()
	m.host.close()
	return nil
}

// NetNS returns the path of a VPC's namespace, for a process that shall reach its
// instances.
func (m *Manager) NetNS(vpcID string) (string, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	v, err := m.vpc(vpcID)
	if err != nil {
		return "", err
	}
	return spacePath(v.name), nil
}

// Dial connects from inside a VPC's namespace. The network is one that net.Dial
// knows, the address an IP address and a port; an instance sees Gateway as the
// caller.
func (m *Manager) Dial(ctx context.Context, vpcID, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, api.FieldError("address", "%q is not IP:PORT", address)
	}
	m.life.RLock()
	v, err := m.vpc(vpcID)
	var fd int
	if err == nil {
		fd, err = dupFD(v.space.fd) // the VPC may go while we dial
	}
	m.life.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("dial in VPC %s: %w", vpcID, err)
	}
	defer closeFD(fd)
	return dialWithin(ctx, fd, network, address)
}

// dialWithin connects to an address, not a name, from inside a namespace.
func dialWithin(ctx context.Context, fd int, network, address string) (conn net.Conn, err error) {
	err = within(fd, func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// vpc returns a VPC that is there. Hold life.
func (m *Manager) vpc(id string) (*vpc, error) {
	v := m.vpcs[id]
	if v == nil {
		return nil, api.Errorf(api.NotFound, "VPC %s has no network", id)
	}
	return v, nil
}

// ownsLink says whether a link's name is one that linkName gives to the kind.
func ownsLink(prefix string, l netlink.Link, kind string) bool {
	return strings.HasPrefix(l.Attrs().Name, prefix+"-"+kind)
}
