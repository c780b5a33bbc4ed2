package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// entry is what of the host leads to the VPC's router.
type entry struct {
	ports  []api.PublishedPort
	routes []string
}

func (e *entry) equals(o *entry) bool {
	return o != nil && slices.Equal(e.ports, o.ports) && slices.Equal(e.routes, o.routes)
}

// syncEntry gives the VPC the node ports and the route to the Services. A port of the host
// that somebody has is left out, its Service is told, and it is tried again.
func (c *Controller) syncEntry(ctx context.Context, all []*corev1.Service) error {
	owners := map[api.PublishedPort]*corev1.Service{}
	for _, s := range all {
		for _, p := range nodePorts(s) {
			owners[p] = s
		}
	}
	want := &entry{routes: []string{c.CIDR}}
	for p := range owners {
		want.ports = append(want.ports, p)
	}
	slices.SortFunc(want.ports, func(a, b api.PublishedPort) int {
		return cmp.Or(cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.Protocol, b.Protocol))
	})
	if want.equals(c.entry) {
		return nil
	}
	c.entry = nil
	var taken []error
	given := &entry{slices.Clone(want.ports), want.routes}
	for {
		err := c.give(ctx, given)
		i, isPort := refusedPort(err)
		if !isPort || i >= len(given.ports) {
			if err == nil && taken == nil {
				c.entry = want
			}
			return errors.Join(append(taken, err)...)
		}
		err = fmt.Errorf("node port %d/%s: %w", given.ports[i].HostPort, given.ports[i].Protocol, err)
		c.warn(owners[given.ports[i]], "NodePortTaken", err)
		taken = append(taken, err)
		given.ports = slices.Delete(given.ports, i, i+1)
	}
}

// give changes the VPC, unless it is so already.
func (c *Controller) give(ctx context.Context, e *entry) error {
	v, err := c.Cis.VPC(ctx, vpc)
	if err != nil {
		return fmt.Errorf("read VPC %s: %w", vpc, err)
	}
	if e.equals(&entry{v.Ports, v.Routes}) {
		return nil
	}
	u := api.VPCUpdate{Ports: e.ports, Routes: e.routes, Revision: v.Revision}
	if u.Ports == nil {
		u.Ports = []api.PublishedPort{}
	}
	if _, err := c.Cis.UpdateVPC(ctx, vpc, u); err != nil {
		return fmt.Errorf("change VPC %s: %w", vpc, err)
	}
	return nil
}

// refusedPort is the place in the list of a port that cannot be had.
func refusedPort(err error) (i int, is bool) {
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != api.Conflict {
		return 0, false
	}
	n, _ := fmt.Sscanf(e.Field, "ports[%d]", &i)
	return i, n == 1
}

// nodePorts are the ports of the host that a Service asks for. SCTP is not led in.
func nodePorts(s *corev1.Service) (ports []api.PublishedPort) {
	if s.Spec.Type != corev1.ServiceTypeNodePort && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	for _, p := range s.Spec.Ports {
		if protocol := cmp.Or(p.Protocol, corev1.ProtocolTCP); p.NodePort != 0 && protocol != corev1.ProtocolSCTP {
			ports = append(ports, api.PublishedPort{HostPort: int(p.NodePort), Port: int(p.NodePort), Protocol: string(protocol)})
		}
	}
	return ports
}
