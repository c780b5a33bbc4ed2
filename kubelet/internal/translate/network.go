package translate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// network is the host name, name resolution and published ports.
func (t *translation) network(s *api.InstanceSpec) {
	spec := &t.Pod.Spec
	for field, on := range map[string]bool{"hostNetwork": spec.HostNetwork, "hostPID": spec.HostPID, "hostIPC": spec.HostIPC} {
		if on {
			t.problems.refuse("spec."+field, "an instance has no part in the host's namespaces")
		}
	}
	t.hostname(s)
	t.dns(s)
	for _, a := range spec.HostAliases {
		s.HostAliases = append(s.HostAliases, api.HostAlias{IP: a.IP, Hostnames: a.Hostnames})
	}
}

// dns follows the kubelet: cluster names first, if there is a cluster DNS.
func (t *translation) dns(s *api.InstanceSpec) {
	s.DNSPolicy = api.DNSDefault
	config := &api.DNSConfig{}
	switch t.Pod.Spec.DNSPolicy {
	case corev1.DNSNone:
		s.DNSPolicy = api.DNSNone
	case corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, "":
		if len(t.DNS.Servers) > 0 {
			s.DNSPolicy = api.DNSNone
			config.Nameservers = append(config.Nameservers, t.DNS.Servers...)
			config.Searches = t.searches()
			config.Options = []api.DNSOption{{Name: "ndots", Value: "5"}}
		}
	}
	if own := t.Pod.Spec.DNSConfig; own != nil {
		config.Nameservers = union(config.Nameservers, own.Nameservers)
		config.Searches = union(config.Searches, own.Searches)
		config.Options = withOptions(config.Options, own.Options)
	}
	for i := range config.Searches {
		config.Searches[i] = strings.TrimSuffix(config.Searches[i], ".")
	}
	if len(config.Nameservers)+len(config.Searches)+len(config.Options) > 0 {
		s.DNSConfig = config
	}
}

func (t *translation) searches() []string {
	domain := t.DNS.Domain
	return []string{fmt.Sprintf("%s.svc.%s", t.Pod.Namespace, domain), "svc." + domain, domain}
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// withOptions lets a pod's own options win.
func withOptions(options []api.DNSOption, own []corev1.PodDNSConfigOption) []api.DNSOption {
	for _, o := range own {
		option := api.DNSOption{Name: o.Name}
		if o.Value != nil {
			option.Value = *o.Value
		}
		kept := options[:0:0]
		for _, old := range options {
			if old.Name != o.Name {
				kept = append(kept, old)
			}
		}
		options = append(kept, option)
	}
	return options
}

// ports of a container; those of the host are the instance's.
func (t *translation) ports(ports []corev1.ContainerPort, field string) (out []api.ContainerPort) {
	for i, p := range ports {
		if p.Protocol == corev1.ProtocolSCTP {
			t.problems.refuse(fmt.Sprintf("%s[%d].protocol", field, i), "SCTP is not supported")
		}
		out = append(out, api.ContainerPort{Name: p.Name, ContainerPort: int(p.ContainerPort), Protocol: string(p.Protocol)})
		if p.HostPort != 0 {
			n := &t.out.Request.Network
			n.Ports = append(n.Ports, api.PublishedPort{HostAddress: p.HostIP, HostPort: int(p.HostPort), Port: int(p.ContainerPort), Protocol: string(p.Protocol), Guarded: true})
		}
	}
	return out
}
