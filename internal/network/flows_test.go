package network

import (
	"testing"
	"time"
)

func TestFlows(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"), Group{ID: "g", Egress: []Rule{{}}, Ingress: []Rule{tcp(80, 80, "")}})
	na, nb := nicAt("default", 2).dual().in("g"), nicAt("default", 3).dual().in("g")
	a, b := l.attach(m, na), l.attach(m, nb)
	l.serve(b, ":80")
	l.serve(l.outside, ":80")
	start := time.Now()
	for range 3 {
		l.flow(a, "10.77.0.3:80").alive("once") // more packets, no more connections
	}
	l.reaches(a, "tcp", at(nb.Address6, 80), na.Address6.String())
	l.never(a, "tcp", "10.77.0.3:81")
	l.never(a, "udp", at(nb.Address6, 80))
	l.reaches(a, "udp", outsideAddr+":80", hostAddr)
	l.never(a, "tcp", "169.254.169.254:80")

	flows, err := m.Flows(ctx, "default")
	check(t, err)
	for what, want := range map[string]struct {
		Flow
		exact bool
	}{
		"allowed":    {Flow{Destination: nb.Address, Protocol: TCP, Port: 80, Allowed: true, Connections: 3}, true},
		"IPv6":       {Flow{Destination: nb.Address6, Protocol: TCP, Port: 80, Allowed: true, Connections: 1}, true},
		"refused":    {Flow{Destination: nb.Address, Protocol: TCP, Port: 81}, false},
		"IPv6 too":   {Flow{Destination: nb.Address6, Protocol: UDP, Port: 80}, false},
		"to outside": {Flow{Destination: addr(outsideAddr), Protocol: UDP, Port: 80, Allowed: true, Connections: 1}, true},
		"guarded":    {Flow{Destination: addr("169.254.169.254"), Protocol: TCP, Port: 80}, false},
	} {
		found := false
		for _, f := range flows {
			if f.Destination != want.Destination || f.Protocol != want.Protocol || f.Port != want.Port {
				continue
			}
			found = true
			if f.Source != na.Address && f.Source != na.Address6 || f.Allowed != want.Allowed || want.exact && f.Connections != want.Connections || f.Connections == 0 {
				t.Errorf("%s: %+v", what, f)
			}
			if f.LastSeen.Before(start.Add(-time.Second)) || f.LastSeen.After(time.Now().Add(time.Second)) {
				t.Errorf("%s: seen at %v, now %v", what, f.LastSeen, time.Now())
			}
		}
		if !found {
			t.Errorf("%s: not in %+v", what, flows)
		}
	}
	if len(flows) != 6 {
		t.Errorf("%d flows: %+v", len(flows), flows)
	}
}

// A scan fills the memory of what is refused, and neither stops traffic nor hides what
// is allowed.
func TestFlowsAreBounded(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"), Group{ID: "g", Egress: []Rule{{}}, Ingress: []Rule{tcp(80, 80, "")}})
	a, b := l.attach(m, nicAt("default", 2).in("g")), l.attach(m, nicAt("default", 3).in("g"))
	l.serve(b, ":80")
	pc := listen(t, a, "10.77.0.2:9")
	for port := 1; port <= 10000; port++ {
		pc.WriteTo([]byte("?"), udpAddr("10.77.0.3", port))
	}
	l.reaches(a, "tcp", "10.77.0.3:80", "10.77.0.2")
	flows, err := m.Flows(ctx, "default")
	check(t, err)
	refused := 0
	for _, f := range flows {
		if !f.Allowed {
			refused++
		}
	}
	if refused > maxFlows || refused < maxFlows/2 || len(flows) != refused+1 {
		t.Errorf("%d flows, %d of them refused", len(flows), refused)
	}
}
