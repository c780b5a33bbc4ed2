package network

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lab is a host and an outside of its own: two namespaces that a cable joins. The
// test's thread is in the host.
type lab struct {
	t       testing.TB
	prefix  string
	state   string
	host    *space
	outside *space
	names   *names
}

const (
	hostAddr                = "192.0.2.1"
	outsideAddr             = "192.0.2.2"
	hostAddr6, outsideAddr6 = "2001:db8::1", "2001:db8::2"

	blocked = 300 * time.Millisecond // how long a dial tries before it counts as blocked
	// patience is how long what must be answered may take, on a busy machine.
	patience = time.Minute
)

var labs atomic.Int32

// labPrefix is one that no other lab has, nor one of another run at the same time.
func labPrefix() string {
	n := int64(os.Getpid()%1296)*1296 + int64(labs.Add(1))
	return fmt.Sprintf("t%04s", strconv.FormatInt(n, 36))
}

// newLab moves the test's thread into a fresh host until the test ends.
func newLab(t testing.TB) *lab {
	t.Helper()
	runtime.LockOSThread()
	home, err := openThreadNS()
	check(t, err)
	l := &lab{t: t, prefix: labPrefix(), names: &names{}}
	l.state = filepath.Join(t.TempDir(), "host.json")
	l.outside = l.fresh()
	l.host = l.fresh() // and stay
	t.Cleanup(func() {
		if err := Clean(context.Background(), l.prefix, l.state); err != nil {
			t.Errorf("clean: %v", err)
		}
		check(t, unix.Setns(home, unix.CLONE_NEWNET))
		unix.Close(home)
		runtime.UnlockOSThread()
		l.outside.close()
		l.host.close()
	})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "wan"
	check(t, l.host.route.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "wan", PeerTxQLen: -1, PeerNamespace: netlink.NsFd(l.outside.fd)}))
	ends := map[*space]string{l.host: hostAddr, l.outside: outsideAddr}
	for s, a := range ends {
		wan, err := s.route.LinkByName("wan")
		check(t, err)
		address, err := netlink.ParseAddr(a + "/24")
		check(t, err)
		check(t, s.route.AddrAdd(wan, address))
		check(t, ensureAddr6(s.route, wan, netip.MustParseAddr(map[string]string{hostAddr: hostAddr6, outsideAddr: outsideAddr6}[a])))
		check(t, s.route.LinkSetUp(wan))
		check(t, s.route.RouteAdd(&netlink.Route{LinkIndex: wan.Attrs().Index, Dst: ipNet(netip.MustParsePrefix("2001:db8::/64"))}))
		check(t, s.route.LinkSetUp(loopback))
	}
	for s := range ends {
		wan, err := s.route.LinkByName("wan")
		check(t, err)
		check(t, awaitCarrier(s.route, wan))
	}
	check(t, l.host.route.RouteAdd(&netlink.Route{Gw: net.ParseIP(outsideAddr), Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0"))}))
	check(t, l.host.route.RouteAdd(&netlink.Route{Gw: net.ParseIP(outsideAddr6), Dst: ipNet(netip.MustParsePrefix("::/0"))}))
	return l
}

// fresh moves the thread into a new namespace.
func (l *lab) fresh() *space {
	l.t.Helper()
	check(l.t, unix.Unshare(unix.CLONE_NEWNET))
	fd, err := openThreadNS()
	check(l.t, err)
	s, err := openSpace(fd)
	check(l.t, err)
	return s
}

// open opens a Manager on the lab's host and closes it before the lab goes.
func (l *lab) open(change ...func(*Config)) *Manager {
	l.t.Helper()
	cfg := Config{
		Prefix: l.prefix, Links: netip.MustParsePrefix("169.254.128.0/20"), StateFile: l.state,
		Upstreams: []string{outsideAddr}, Log: quietLog,
	}
	for _, c := range change {
		c(&cfg)
	}
	m, err := Open(context.Background(), cfg)
	check(l.t, err)
	l.t.Cleanup(func() { m.Close() })
	return m
}

// nft runs a command of nft on the lab's host.
func (l *lab) nft(command string) {
	l.t.Helper()
	nftIn(l.t, l.host, command)
}

func nftIn(t testing.TB, s *space, command string) {
	t.Helper()
	check(t, s.within(func() error {
		if out, err := exec.Command("nft", command).CombinedOutput(); err != nil {
			return fmt.Errorf("nft %s: %s", command, out)
		}
		return nil
	}))
}

var quietLog = slog.New(slog.NewTextHandler(io.Discard, nil))

// vpc is the usual VPC.
func (l *lab) vpc(id string) VPC {
	return VPC{ID: id, CIDR: netip.MustParsePrefix("10.77.0.0/16"), CIDR6: cidr6(id), HostReachable: true, DNS: l.names}
}

// cidr6 is a /48 that only the VPC has.
func cidr6(vpc string) netip.Prefix {
	sum := sha256.Sum256([]byte(vpc))
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x77, sum[0], sum[1], sum[2], sum[3]}), 48)
}

// dual gives the NIC of nicAt an IPv6 address that ends as the other does.
func (n NIC) dual() NIC {
	a := cidr6(n.VPC).Addr().As16()
	a[15] = n.Address.As4()[3]
	n.Address6 = netip.AddrFrom16(a)
	return n
}

// at is an address and a port, as dials take them.
func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// in puts the NIC into other groups.
func (n NIC) in(groups ...string) NIC {
	n.Groups = groups
	return n
}

// openGroup lets everything pass.
var openGroup = Group{ID: "open", Ingress: []Rule{{}}, Egress: []Rule{{}}}

// ensure makes a VPC with its groups; one that is open if there are none.
func (l *lab) ensure(m *Manager, v VPC, groups ...Group) {
	l.t.Helper()
	check(l.t, m.EnsureVPC(ctx, v))
	if groups == nil {
		groups = []Group{openGroup}
	}
	check(l.t, m.SetGroups(ctx, v.ID, groups))
}

// wants is one usual VPC, all open, with the NICs.
func (l *lab) wants(vpc string, nics ...NIC) State {
	return State{VPCs: []VPC{l.vpc(vpc)}, Groups: map[string][]Group{vpc: {openGroup}}, NICs: nics}
}

// nicAt is a NIC of the VPC by the last byte of its addresses.
func nicAt(vpc string, last byte) NIC {
	return NIC{
		ID: fmt.Sprintf("i-%s-%d", vpc, last), VPC: vpc, Groups: []string{openGroup.ID},
		Address: netip.AddrFrom4([4]byte{10, 77, 0, last}),
	}
}

// attach attaches a NIC and returns its namespace, as a sandbox would find it, or that
// of a guest on its tap.
func (l *lab) attach(m *Manager, n NIC) *space {
	l.t.Helper()
	link, err := m.Attach(context.Background(), n)
	check(l.t, err)
	return l.start(link, n.Kind)
}

// start is enter, or boot.
func (l *lab) start(link Link, kind NICKind) *space {
	l.t.Helper()
	if kind == Tap {
		return l.boot(link).space
	}
	return l.enter(link)
}

func (l *lab) enter(link Link) *space {
	l.t.Helper()
	fd, err := findSpace(filepath.Base(link.NetNS))
	check(l.t, err)
	s, err := openSpace(fd)
	check(l.t, err)
	l.t.Cleanup(s.close)
	return s
}

// serve answers each connection, and each datagram, with the caller's address.
func (l *lab) serve(s *space, address string) {
	l.t.Helper()
	check(l.t, s.within(func() error {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		pc, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { ln.Close(); pc.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go talk(c)
			}
		}()
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := pc.ReadFrom(buf)
				if err != nil {
					return
				}
				pc.WriteTo([]byte(from.String()+"\n"), from)
			}
		}()
		return nil
	}))
}

// timeFor is how long to wait for an answer that is wanted, or that must not come.
func timeFor(wanted bool) time.Duration {
	if wanted {
		return patience
	}
	return blocked
}

// talk says who the caller is, then repeats what it says.
func talk(c net.Conn) {
	defer c.Close()
	fmt.Fprintln(c, c.RemoteAddr())
	io.Copy(c, c)
}

// connect opens a connection to a server of serve within a time, and returns it with
// the address that the server sees.
func connect(s *space, network, address string, within time.Duration) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := dialWithin(ctx, s.fd, network, address)
	if err != nil {
		return nil, "", err
	}
	c.SetDeadline(time.Now().Add(within))
	if network == "udp" {
		fmt.Fprintln(c, "hello")
	}
	line, err := bufio.NewReader(io.LimitReader(c, 64)).ReadString('\n')
	if err != nil {
		c.Close()
		return nil, "", err
	}
	c.SetDeadline(time.Now().Add(patience))
	seen, _, err := net.SplitHostPort(strings.TrimSpace(line))
	return c, seen, err
}

// reaches checks that the server answers and sees the caller as given.
func (l *lab) reaches(s *space, network, address, as string) {
	l.t.Helper()
	c, seen, err := connect(s, network, address, patience)
	if err != nil {
		l.t.Errorf("%s %s: %v", network, address, err)
		return
	}
	c.Close()
	if seen != as {
		l.t.Errorf("%s %s: the server sees %s, want %s", network, address, seen, as)
	}
}

// never checks that the server does not answer.
func (l *lab) never(s *space, network, address string) {
	l.t.Helper()
	c, seen, err := connect(s, network, address, blocked)
	if err == nil {
		c.Close()
		l.t.Errorf("%s %s answered (it saw %s)", network, address, seen)
	}
}

// flow is a TCP connection that must survive.
type flow struct {
	t testing.TB
	c net.Conn
}

func (l *lab) flow(s *space, address string) *flow {
	l.t.Helper()
	c, _, err := connect(s, "tcp", address, patience)
	check(l.t, err)
	l.t.Cleanup(func() { c.Close() })
	return &flow{l.t, c}
}

func (f *flow) alive(when string) {
	f.t.Helper()
	f.c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(f.c, "still there?")
	if _, err := bufio.NewReader(f.c).ReadString('\n'); err != nil {
		f.t.Errorf("the connection died: %s: %v", when, err)
	}
}

// names is a Resolver over maps.
type names struct {
	mu   sync.Mutex
	byID map[string]netip.Addr // "vpc/name"
}

func (n *names) set(vpc, name string, a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID == nil {
		n.byID = map[string]netip.Addr{}
	}
	n.byID[vpc+"/"+name] = a
}

func (n *names) Lookup(vpc, name string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.byID[vpc+"/"+name]; ok {
		return []netip.Addr{a}
	}
	return nil
}

func (n *names) Reverse(vpc string, a netip.Addr) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, v := range n.byID {
		if name, ok := strings.CutPrefix(k, vpc+"/"); ok && v == a {
			return []string{name}
		}
	}
	return nil
}

// eventually waits for what the kernel does in its own time.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func has(t testing.TB, err error, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want %v", err, target)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func udpAddr(a string, port int) *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP(a), Port: port} }

func soon(ms int) time.Time { return time.Now().Add(time.Duration(ms) * time.Millisecond) }
