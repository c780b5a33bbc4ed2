package network

import "testing"

// TestServicesAddress: what runs in a VPC's namespace serves its instances at Services, as
// far as their egress rules go, and nobody else.
func TestServicesAddress(t *testing.T) { eachKind(t, testServicesAddress) }

func testServicesAddress(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("default")
	open, shut := Group{ID: "open", Egress: []Rule{tcp(80, 80, "198.18.0.1/32")}}, Group{ID: "shut"}
	l.ensure(m, v, open, shut)
	na, nb := nicAt("default", 2).in("open").as(kind), nicAt("default", 3).in("shut").as(kind)
	a, b := l.attach(m, na), l.attach(m, nb)
	l.serve(m.vpcs["default"].space, at(Services, 80))
	l.serve(m.vpcs["default"].space, at(Services, 81))
	to := Endpoint{Address: Services}

	l.reaches(a, "tcp", at(Services, 80), "10.77.0.2")
	l.never(a, "tcp", at(Services, 81))
	l.never(b, "tcp", at(Services, 80))
	l.never(l.host, "tcp", at(Services, 80))
	for port, want := range map[uint16]bool{80: true, 81: false} {
		verdicts, err := m.Check(ctx, Endpoint{NIC: na.ID}, to, TCP, port)
		if err != nil || allowed(verdicts) != want {
			t.Errorf("check of port %d: %v %v", port, verdicts, err)
		}
	}

	// The VPC's egress is about what is outside of it.
	f := l.flow(a, at(Services, 80))
	v.Egress = Egress{Mode: EgressOff}
	check(t, m.EnsureVPC(ctx, v))
	f.alive("after egress was turned off")
	na = na.in("shut")
	check(t, m.UpdateNIC(ctx, na))
	l.never(a, "tcp", at(Services, 80))
}
