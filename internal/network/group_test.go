package network

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/testbox"
)

func tcp(first, last uint16, from string) Rule {
	r := Rule{Protocol: TCP, First: first, Last: last}
	if from != "" {
		r.Peer = netip.MustParsePrefix(from)
	}
	return r
}

// TestGroups is a table of who reaches whom by which rules, in both families and with
// both kinds of NIC, as real traffic and as Check has it.
func TestGroups(t *testing.T) { eachKind(t, testGroups) }

func testGroups(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	client, server := nicAt("default", 2).dual().as(kind), nicAt("default", 3).dual()
	cases := map[string]struct {
		out, in []Rule // of the client, of the server
		pass    string // what reaches the server: the letters of probes
	}{
		"no rules":          {nil, nil, ""},
		"egress only":       {[]Rule{{}}, nil, ""},
		"ingress only":      {nil, []Rule{{}}, ""},
		"everything":        {[]Rule{{}}, []Rule{{}}, "tTuUpP"},
		"one port":          {[]Rule{{}}, []Rule{tcp(80, 80, "")}, "tT"},
		"a range":           {[]Rule{{}}, []Rule{tcp(79, 81, "")}, "tT"},
		"beside":            {[]Rule{{}}, []Rule{tcp(1, 79, ""), tcp(81, 65535, "")}, ""},
		"udp":               {[]Rule{{}}, []Rule{{Protocol: UDP}}, "uU"},
		"IPv4 only":         {[]Rule{{}}, []Rule{tcp(80, 80, "0.0.0.0/0")}, "t"},
		"IPv6 only":         {[]Rule{{}}, []Rule{tcp(80, 80, "::/0")}, "T"},
		"the client":        {[]Rule{{}}, []Rule{tcp(0, 0, client.Address.String()+"/32")}, "t"},
		"another":           {[]Rule{{}}, []Rule{tcp(0, 0, "10.77.0.4/32")}, ""},
		"narrow egress":     {[]Rule{tcp(80, 80, server.Address.String()+"/32")}, []Rule{{}}, "t"},
		"egress to another": {[]Rule{tcp(80, 80, "10.77.0.4/32")}, []Rule{{}}, ""},
		"a group":           {[]Rule{{}}, []Rule{{Protocol: UDP, First: 80, Last: 80, Group: "clients"}}, "uU"},
		"another group":     {[]Rule{{}}, []Rule{{Group: "servers"}}, ""},
		"egress to a group": {[]Rule{{Protocol: TCP, Group: "servers"}}, []Rule{{}}, "tT"},
		"a second group":    {[]Rule{{}}, []Rule{{Group: "both"}}, "tTuUpP"},
		"ping":              {[]Rule{{}}, []Rule{{Protocol: ICMP, ICMPType: 8, ICMPCode: 0}}, "p"},
		"any ICMPv6":        {[]Rule{{}}, []Rule{{Protocol: ICMPv6, ICMPType: -1, ICMPCode: -1}}, "P"},
		"timestamps":        {[]Rule{{}}, []Rule{{Protocol: ICMP, ICMPType: 13, ICMPCode: -1}}, ""},
		"overlapping":       {[]Rule{{}}, []Rule{tcp(1, 80, "10.0.0.0/8"), tcp(80, 90, "10.77.0.0/24"), tcp(0, 0, "0.0.0.0/0")}, "t"},
	}
	groups := func(out, in []Rule) []Group {
		return []Group{{ID: "clients", Egress: out}, {ID: "servers", Ingress: in}, {ID: "both"}}
	}
	l.ensure(m, l.vpc("default"), groups(nil, nil)...)
	a := l.attach(m, client.in("clients", "both"))
	b := l.attach(m, server.in("both", "servers"))
	l.serve(b, ":80")
	for name, c := range cases {
		check(t, m.SetGroups(ctx, "default", groups(c.out, c.in)))
		var all sync.WaitGroup
		for letter, p := range probes(client, server) {
			want := strings.Contains(c.pass, letter)
			all.Go(func() {
				if got := p.reaches(l, a, want); got != want {
					t.Errorf("%s: %s %s reached: %v, want %v", name, p.protocol, p.to, got, want)
				}
			})
			verdicts, err := m.Check(ctx, Endpoint{NIC: client.ID, Address: p.from}, Endpoint{NIC: server.ID, Address: p.to}, p.protocol, p.port)
			if err != nil || allowed(verdicts) != want {
				t.Errorf("%s: check of %s %s: %v %v, want %v", name, p.protocol, p.to, verdicts, err, want)
			}
		}
		all.Wait()
	}
}

// probe is a connection that is tried.
type probe struct {
	protocol Protocol
	from, to netip.Addr
	port     uint16
}

// probes have a letter each: t, u and p for TCP, UDP and ping, capital for IPv6.
func probes(client, server NIC) map[string]probe {
	return map[string]probe{
		"t": {TCP, client.Address, server.Address, 80}, "T": {TCP, client.Address6, server.Address6, 80},
		"u": {UDP, client.Address, server.Address, 80}, "U": {UDP, client.Address6, server.Address6, 80},
		"p": {ICMP, client.Address, server.Address, icmpEcho << 8}, "P": {ICMPv6, client.Address6, server.Address6, icmp6Echo << 8},
	}
}

func (p probe) reaches(l *lab, s *space, wanted bool) bool {
	if p.protocol.isICMP() {
		return s.within(func() error {
			return exec.Command(testbox.Busybox(l.t), "ping", "-c", "1", "-W", "1", p.to.String()).Run()
		}) == nil
	}
	c, _, err := connect(s, p.protocol.String(), at(p.to, p.port), timeFor(wanted))
	if err == nil {
		c.Close()
	}
	return err == nil
}

// A change of rules cuts what it no longer allows, and nothing else, and what was cut
// does not come back by the way of the answers.
func TestRuleChangeCutsOnlyWhatItForbids(t *testing.T) { eachKind(t, testRuleChangeCuts) }

func testRuleChangeCuts(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	group := func(in ...Rule) []Group { return []Group{{ID: "g", Ingress: in, Egress: []Rule{{}}}} }
	l.ensure(m, l.vpc("default"), group(Rule{})...)
	na, nb := nicAt("default", 2).dual().as(kind).in("g"), nicAt("default", 3).dual().in("g")
	a, b := l.attach(m, na), l.attach(m, nb)
	for _, port := range []string{":80", ":81"} {
		l.serve(b, port)
		l.serve(l.outside, port)
	}
	stays, goes := l.flow(a, "10.77.0.3:80"), l.flow(a, "10.77.0.3:81")
	stays6, goes6 := l.flow(a, at(nb.Address6, 80)), l.flow(a, at(nb.Address6, 81))
	out, host := l.flow(a, outsideAddr+":80"), l.flow(l.host, "10.77.0.3:81")
	// The server may begin connections to any port of the client, as the answers go.
	check(t, m.SetGroups(ctx, "default", group(tcp(80, 80, ""), tcp(1024, 65535, ""))))
	for what, f := range map[string]*flow{"IPv4": stays, "IPv6": stays6, "to the outside": out, "from the host": host} {
		f.alive("after a change that allows it: " + what)
	}
	goes.dead("that is no longer allowed")
	goes6.dead("that is no longer allowed")
	l.never(a, "tcp", "10.77.0.3:81")

	// By the NIC's groups.
	check(t, m.SetGroups(ctx, "default", append(group(tcp(80, 80, ""), tcp(1024, 65535, "")), Group{ID: "none"})))
	check(t, m.UpdateNIC(ctx, nb.in("none", "g")))
	stays.alive("in one group more")
	check(t, m.UpdateNIC(ctx, nb.in("none")))
	stays.dead("of a NIC without rules")
	stays6.dead("of a NIC without rules")
	out.alive("beside")
	host.alive("beside")
}

// TestMoveOfSilent: a NIC that has received and never answered gets nothing more once its
// groups let nothing in, on a flow that the old ones let in.
func TestMoveOfSilent(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"), Group{ID: "open", Ingress: []Rule{{}}, Egress: []Rule{{}}}, Group{ID: "none"}, Group{ID: "fresh"})
	na, nb := nicAt("default", 2).in("open"), nicAt("default", 3).in("open")
	a, b := l.attach(m, na), l.attach(m, nb)
	l.attach(m, nicAt("default", 4).in("none"))
	var got net.PacketConn
	check(t, b.within(func() (err error) { got, err = net.ListenPacket("udp", ":80"); return err }))
	t.Cleanup(func() { got.Close() })
	c, err := dialWithin(ctx, a.fd, "udp", "10.77.0.3:80")
	check(t, err)
	t.Cleanup(func() { c.Close() })
	for _, step := range []struct {
		group   string
		arrives bool
	}{{"open", true}, {"none", false}, {"open", true}, {"fresh", false}} {
		check(t, m.UpdateNIC(ctx, nb.in(step.group)))
		_, err := c.Write([]byte(step.group))
		check(t, err)
		got.SetReadDeadline(time.Now().Add(timeFor(step.arrives)))
		if _, _, err := got.ReadFrom(make([]byte, 100)); (err == nil) != step.arrives {
			t.Errorf("in group %s a datagram arrives: %v", step.group, err)
		}
	}
}

// dead checks that the connection carries nothing any more.
func (f *flow) dead(why string) {
	f.t.Helper()
	for range 2 { // what the other end sent meanwhile is not asked for
		f.c.SetDeadline(time.Now().Add(blocked))
		fmt.Fprintln(f.c, "still there?")
		if n, err := f.c.Read(make([]byte, 100)); err == nil {
			f.t.Errorf("a connection %s carried %d bytes", why, n)
			return
		}
	}
}

// An answer that the client never asked for does not revive a connection that was cut.
func TestCutConnectionStaysCut(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	na, nb := nicAt("default", 2), nicAt("default", 3)
	a, b := l.attach(m, na), l.attach(m, nb)
	accepted := make(chan net.Conn, 1)
	check(t, b.within(func() error {
		ln, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			c, err := ln.Accept()
			if err == nil {
				accepted <- c
			}
		}()
		return nil
	}))
	c, err := dialWithin(ctx, a.fd, "tcp", "10.77.0.3:80")
	check(t, err)
	defer c.Close()
	s := <-accepted
	defer s.Close()
	check(t, m.SetGroups(ctx, "default", []Group{{ID: "open", Egress: []Rule{{}}, Ingress: []Rule{tcp(1024, 65535, "")}}}))
	fmt.Fprintln(s, "from the server, to a port that it may reach")
	c.SetDeadline(time.Now().Add(2 * blocked))
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes", n)
	}
}

func TestGroupRefusals(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := nicAt("default", 2)
	l.attach(m, a)
	attach := func(n NIC) error { _, err := m.Attach(ctx, n); return err }
	rule := func(r Rule) error {
		return m.SetGroups(ctx, "default", []Group{openGroup, {ID: "x", Ingress: []Rule{r}}})
	}
	for name, c := range map[string]struct {
		err  error
		code api.Code
	}{
		"unknown VPC":            {m.SetGroups(ctx, "x", nil), api.NotFound},
		"group in use":           {m.SetGroups(ctx, "default", nil), api.Conflict},
		"twice":                  {m.SetGroups(ctx, "default", []Group{openGroup, openGroup}), api.Invalid},
		"unknown group":          {attach(nicAt("default", 3).in("x")), api.Invalid},
		"update: unknown group":  {m.UpdateNIC(ctx, a.in("x")), api.Invalid},
		"update: not attached":   {m.UpdateNIC(ctx, nicAt("default", 9)), api.NotFound},
		"update: other address":  {m.UpdateNIC(ctx, a.dual()), api.Conflict},
		"update: other VPC":      {m.UpdateNIC(ctx, NIC{ID: a.ID, VPC: "x"}), api.NotFound},
		"protocol":               {rule(Rule{Protocol: 99}), api.Invalid},
		"ports of any":           {rule(Rule{First: 1, Last: 2}), api.Invalid},
		"ports of ICMP":          {rule(Rule{Protocol: ICMP, First: 1, Last: 2}), api.Invalid},
		"ports backwards":        {rule(tcp(2, 1, "")), api.Invalid},
		"port 0":                 {rule(tcp(0, 1, "")), api.Invalid},
		"type":                   {rule(Rule{Protocol: ICMP, ICMPType: 256}), api.Invalid},
		"code without a type":    {rule(Rule{Protocol: ICMP, ICMPType: -1, ICMPCode: 3}), api.Invalid},
		"host bits":              {rule(tcp(1, 2, "10.0.0.1/8")), api.Invalid},
		"address and group":      {rule(Rule{Group: "x", Peer: netip.MustParsePrefix("10.0.0.0/8")}), api.Invalid},
		"an id that is no group": {rule(Rule{Group: "a b"}), api.Invalid},
	} {
		if got := api.CodeOf(c.err); got != c.code {
			t.Errorf("%s: code %s (%v), want %s", name, got, c.err, c.code)
		}
	}
	l.serve(l.outside, ":80")
	b := l.attach(m, nicAt("default", 4)) // nothing that was refused has had an effect
	l.reaches(b, "tcp", outsideAddr+":80", hostAddr)
}

// TestElementsSayWhatTheRulesSay compares, for random groups, what is put into the
// kernel's sets with what Check reads from the rules.
func TestElementsSayWhatTheRulesSay(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		p := newPolicy()
		var groups []Group
		for i := range 4 {
			groups = append(groups, Group{ID: fmt.Sprint("g", i), Ingress: randomRules(r), Egress: randomRules(r)})
		}
		_, err := p.setGroups(groups)
		check(t, err)
		var nics []NIC
		for i := range byte(6) {
			n := nicAt("default", 2+i).dual()
			n.Groups = nil
			for range r.IntN(4) {
				n.Groups = append(n.Groups, groups[r.IntN(4)].ID)
			}
			pr, _, err := p.profileOf(n.sortedGroups())
			check(t, err)
			p.put(n, pr)
			nics = append(nics, n)
		}
		contents, err := p.contents()
		check(t, err)
		for range 300 {
			n, peer, pk := randomPacket(r, nics)
			for _, d := range []direction{ingress, egress} {
				own, address := p.members[n], peer
				got := lookedUp(contents, d, own, p.members[peer], address, pk)
				if want := p.judge(d, own, p.members[peer], address, pk); got != want.Allowed {
					t.Fatalf("seed %d: %s of %v with %v, %+v: the sets say %v, the rules %+v", seed, d, n, peer, pk, got, want)
				}
			}
		}
	}
}

func randomRules(r *rand.Rand) (rules []Rule) {
	peers := []string{"10.77.0.0/24", "10.77.0.4/30", "0.0.0.0/0", "::/0", "198.51.100.0/24", cidr6("default").String(), "fd77::/16"}
	for range r.IntN(5) {
		rule := Rule{Protocol: []Protocol{ProtocolAny, TCP, UDP, ICMP, ICMPv6, SCTP}[r.IntN(6)]}
		if rule.Protocol.hasPorts() && r.IntN(3) > 0 {
			rule.First = uint16(1 + r.IntN(10))
			rule.Last = rule.First + uint16(r.IntN(10))
		}
		if rule.Protocol.isICMP() {
			rule.ICMPType, rule.ICMPCode = r.IntN(4)-1, r.IntN(4)-1
			if rule.ICMPType < 0 {
				rule.ICMPCode = -1
			}
		}
		switch r.IntN(3) {
		case 0:
			rule.Peer = netip.MustParsePrefix(peers[r.IntN(len(peers))])
		case 1:
			rule.Group = fmt.Sprint("g", r.IntN(5)) // the last is nobody's
		}
		rules = append(rules, rule)
	}
	return rules
}

func randomPacket(r *rand.Rand, nics []NIC) (own, peer netip.Addr, pk packet) {
	of := func(n NIC, six bool) netip.Addr {
		if six {
			return n.Address6
		}
		return n.Address
	}
	six := r.IntN(2) == 0
	own = of(nics[r.IntN(len(nics))], six)
	peer = of(nics[r.IntN(len(nics))], six)
	if r.IntN(3) == 0 {
		peer = netip.MustParseAddr(map[bool]string{false: "198.51.100.7", true: "2001:db8::7"}[six])
	}
	pk = packet{protocol: []Protocol{TCP, UDP, ICMP, ICMPv6, SCTP, 47}[r.IntN(6)], port: uint16(r.IntN(22))}
	if pk.protocol.isICMP() {
		pk.icmp, pk.port = uint16(r.IntN(4)<<8|r.IntN(4)), 0
	}
	return own, peer, pk
}

// lookedUp does what the rules of lookUps do.
func lookedUp(contents []content, d direction, own, peer *profile, address netip.Addr, pk packet) bool {
	head := number{low: uint64(pk.icmp)}
	if pk.protocol.hasPorts() {
		head.low = 40000 // the source's port
	}
	key := func(f family, peer number) []byte {
		return boxKey(nil, []byte{byte(own.number >> 24), byte(own.number >> 16), byte(own.number >> 8), byte(own.number)}, f,
			number{low: uint64(pk.protocol)}, peer, head, number{low: uint64(pk.port)})
	}
	f := familyOf(address)
	for _, c := range contents {
		switch {
		case c.set.Name == peersSet(d, f).Name && holds(c, f, key(f, addrNumber(address))):
			return true
		case c.set.Name == groupsSet(d).Name && peer != nil && holds(c, ip4, key(ip4, number{low: uint64(peer.number)})):
			return true
		}
	}
	return false
}

// holds compares field by field, as the kernel does.
func holds(c content, f family, key []byte) bool {
	n := int(f.address.Bytes)
	cuts := []int{0, n, n + 4, n + 8, n + 12, n + 16}
	return slices.ContainsFunc(c.want, func(e element) bool {
		for i := range cuts[1:] {
			a, b := cuts[i], cuts[i+1]
			if bytes.Compare(key[a:b], e.key[a:b]) < 0 || bytes.Compare(key[a:b], e.end[a:b]) > 0 {
				return false
			}
		}
		return true
	})
}

// Fragments are looked at whole: those of what is allowed pass, and a fragment cannot
// carry what is not.
func TestFragments(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"), Group{ID: "g", Egress: []Rule{{}}, Ingress: []Rule{{Protocol: UDP, First: 9, Last: 9}}})
	na, nb := nicAt("default", 2).dual().in("g"), nicAt("default", 3).dual().in("g")
	a, b := l.attach(m, na), l.attach(m, nb)
	for _, to := range []netip.Addr{nb.Address, nb.Address6} {
		open, closed := listen(t, b, at(to, 9)), listen(t, b, at(to, 10))
		big := bytes.Repeat([]byte("x"), 4000)
		for _, port := range []uint16{10, 9} {
			c, err := dialWithin(ctx, a.fd, "udp", at(to, port))
			check(t, err)
			defer c.Close()
			_, err = c.Write(big)
			if err != nil && err != syscall.ECONNREFUSED {
				check(t, err)
			}
		}
		buf := make([]byte, 5000)
		open.SetDeadline(time.Now().Add(patience))
		if n, _, err := open.ReadFrom(buf); err != nil || n != len(big) {
			t.Errorf("%s: %d bytes (%v)", to, n, err)
		}
		closed.SetDeadline(time.Now().Add(blocked))
		if n, _, err := closed.ReadFrom(buf); err == nil {
			t.Errorf("%s: %d bytes to a closed port", to, n)
		}
	}
	// The second half of a datagram, alone.
	raw := func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		packet := append([]byte{0x45, 0, 0, 60, 0, 1, 0, 1, 64, 17, 0, 0, 10, 77, 0, 2, 10, 77, 0, 3}, make([]byte, 40)...)
		return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{10, 77, 0, 3}})
	}
	seen := l.sniff(b)
	check(t, a.within(raw))
	l.pings(a, Gateway.String())
	if got := seen(); got > 0 {
		t.Errorf("%d packets of a fragment without its beginning", got)
	}
}

// sniff counts the IPv4 packets of UDP that reach the namespace's eth0.
func (l *lab) sniff(s *space) (seen func() int) {
	var fd int
	check(l.t, s.within(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, int(0x0008)) // ETH_P_IP in network order
		return err
	}))
	l.t.Cleanup(func() { unix.Close(fd) })
	return func() (n int) {
		buf := make([]byte, 2000)
		for {
			size, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return n
			}
			if size > 20 && buf[9] == unix.IPPROTO_UDP {
				n++
			}
		}
	}
}
