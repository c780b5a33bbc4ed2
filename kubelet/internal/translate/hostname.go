package translate

import (
	"fmt"

	"cis/api"
)

// maxFQDN is the longest full name that can be the host's, in characters.
const maxFQDN = 64

// hostname follows the kubelet, in its words where a name is too long.
func (t *translation) hostname(s *api.InstanceSpec) {
	spec := &t.Pod.Spec
	name := t.Pod.Name
	switch {
	case spec.HostnameOverride != nil:
		s.Hostname = LabelText(*spec.HostnameOverride)
		return
	case spec.Hostname != "":
		name = spec.Hostname
	}
	s.Hostname = LabelText(name)
	if spec.Subdomain == "" {
		return
	}
	s.Domain = fmt.Sprintf("%s.%s.svc.%s", spec.Subdomain, t.Pod.Namespace, t.DNS.Domain)
	s.SetHostnameAsFQDN = is(spec.SetHostnameAsFQDN)
	if full := s.FQDN(); s.SetHostnameAsFQDN && len(full) > maxFQDN {
		t.problems.fails("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			full, maxFQDN, len(full))
	}
}
