package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"cis/api"
)

// policyOf reads the spec of one in the namespace default; its name is its UID.
func policyOf(t *testing.T, name, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func namespacesOf(names ...string) (all []*corev1.Namespace) {
	for _, name := range names {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name, "team": name[:1]}}})
	}
	return all
}

// podOf has the labels app=NAME and tier=TIER, and ports http and dns.
func podOf(namespace, name, tier string, http int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), Labels: map[string]string{"app": name, "tier": tier}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: http}, {Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}}}}},
	}
}

func peerOf(pod *corev1.Pod, addresses ...string) *peer {
	p := &peer{namespace: pod.Namespace, labels: pod.Labels, ports: portsOf(pod)}
	for _, a := range addresses {
		p.addresses = append(p.addresses, netip.MustParseAddr(a))
	}
	return p
}

// shown are rules as the command line of cis writes them.
func shown(rules []api.Rule) string {
	var out []string
	for _, r := range rules {
		text := string(r.Protocol)
		if r.Ports != "" {
			text += ":" + r.Ports
		}
		if r.CIDR != "" {
			text += "," + r.CIDR
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// TestRules: what becomes of the policies of the pod web, among other pods.
func TestRules(t *testing.T) {
	web := podOf("default", "web", "front", 8080)
	peers := []*peer{
		peerOf(web, "10.0.0.2"), peerOf(podOf("default", "db", "back", 80), "10.0.0.3", "fd00::3"),
		peerOf(podOf("default", "cache", "back", 81), "10.0.0.4"), peerOf(podOf("shop", "till", "front", 8080), "10.0.0.8"), clusterDNS,
	}
	for _, test := range []struct {
		name            string
		specs           []string
		ingress, egress string
		problems        []string
	}{
		{"no policy", nil, "any", "any", nil},
		{"one for others", []string{`{podSelector: {matchLabels: {app: db}}}`}, "any", "any", nil},
		{"all is denied", []string{`{podSelector: {}, policyTypes: [Ingress, Egress]}`}, "", "", nil},
		{"ingress by default", []string{`{podSelector: {}}`}, "", "any", nil},
		{"egress by its rules", []string{`{podSelector: {}, egress: [{}]}`}, "", "any", nil},
		{"egress alone", []string{`{podSelector: {}, policyTypes: [Egress]}`}, "any", "", nil},
		{"all is allowed", []string{`{podSelector: {}, ingress: [{}]}`}, "any", "any", nil},
		{"pods", []string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {tier: back}}}]}]}`}, "any,10.0.0.3/32 any,10.0.0.4/32 any,fd00::3/128", "any", nil},
		{"all pods of the namespace", []string{`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`}, "any,10.0.0.2/31 any,10.0.0.4/32 any,fd00::3/128", "any", nil},
		{"pods by an expression", []string{`{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db, web]}]}}]}]}`}, "any,10.0.0.4/32", "any", nil},
		{"a namespace", []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: s}}}]}]}`}, "any,10.0.0.8/32", "any", nil},
		{"pods of a namespace", []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: d}}, podSelector: {matchLabels: {tier: front}}}]}]}`}, "any,10.0.0.2/32", "any", nil},
		{"pods or a namespace", []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: s}}}, {podSelector: {matchLabels: {app: db}}}]}]}`},
			"any,10.0.0.3/32 any,10.0.0.8/32 any,fd00::3/128", "any", nil},
		{"a namespace without pods", []string{`{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}]}]}`}, "", "any", nil},
		{"a block", []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25, 192.0.2.0/26]}}]}]}`}, "any,192.0.2.64/26", "any", nil},
		{"a port", []string{`{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]}`}, "tcp:80 udp:53", "any", nil},
		{"all ports of a protocol", []string{`{podSelector: {}, ingress: [{ports: [{protocol: UDP}, {}]}]}`}, "tcp udp", "any", nil},
		{"a range", []string{`{podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8999}]}]}`}, "tcp:8000-8999", "any", nil},
		{"a port with a name", []string{`{podSelector: {}, ingress: [{ports: [{port: http}, {port: dns, protocol: UDP}, {port: dns}]}]}`}, "tcp:8080 udp:5353", "any", nil},
		{"SCTP", []string{`{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 81, protocol: SCTP}]}]}`}, "tcp:80", "any",
			[]string{"p0: spec.ingress[0].ports[1].protocol: SCTP stays closed: security groups know TCP and UDP"}},
		{"a block that is none", []string{`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/09]}}, {ipBlock: {cidr: 192.0.2.0/24}}]}]}`}, "any,192.0.2.0/24", "any",
			[]string{`p0: spec.ingress[0].from[0].ipBlock stays closed: netip.ParsePrefix("10.0.0.0/09"): bad bits after slash: "09"`}},
		{"several policies add up", []string{
			`{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 80}]}]}`,
			`{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 80}, {port: 81}]}]}`,
		}, "tcp:80 tcp:81,10.0.0.3/32 tcp:81,fd00::3/128", "", nil},
		{"egress to pods", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}`},
			"any", "tcp:5432,10.0.0.3/32 tcp:5432,fd00::3/128", nil},
		{"egress to a port with a name is to whom has it", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {tier: back}}}], ports: [{port: http}]}]}`},
			"any", "tcp:80,10.0.0.3/32 tcp:80,fd00::3/128 tcp:81,10.0.0.4/32", nil},
		{"egress to everyone with it", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: dns, protocol: UDP}]}]}`},
			"any", "udp:53,198.18.0.1/32 udp:5353,10.0.0.2/31 udp:5353,10.0.0.4/32 udp:5353,10.0.0.8/32 udp:5353,fd00::3/128", nil},
		{"egress to a block has no named ports", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]}`}, "any", "", nil},
		{"egress to the cluster's DNS", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}],
			ports: [{port: 53, protocol: UDP}, {port: 443}]}]}`}, "any", "udp:53,198.18.0.1/32", nil},
		{"its namespace has DNS and no API server", []string{`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: k}}}]}]}`}, "any", "tcp:53,198.18.0.1/32 udp:53,198.18.0.1/32", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var policies []*networkingv1.NetworkPolicy
			for i, spec := range test.specs {
				policies = append(policies, policyOf(t, fmt.Sprintf("p%d", i), spec))
			}
			s := newState(policies, namespacesOf("default", "shop", "kube-system"))
			s.peers = peers
			r, problems := s.rulesOf(s.classOf(web))
			if got := shown(r.ingress); got != test.ingress {
				t.Errorf("ingress %q, want %q", got, test.ingress)
			}
			if got := shown(r.egress); got != test.egress {
				t.Errorf("egress %q, want %q", got, test.egress)
			}
			var told []string
			for _, p := range problems {
				told = append(told, p.policy.Name+": "+p.what)
			}
			if !slices.Equal(told, test.problems) {
				t.Errorf("problems %q, want %q", told, test.problems)
			}
			for _, list := range [][]api.Rule{r.ingress, r.egress} {
				g := api.SecurityGroup{Name: "g", Ingress: list, Egress: list}
				if err := g.Validate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestTooManyRules: what does not fit stays closed, and each policy is told.
func TestTooManyRules(t *testing.T) {
	s := newState([]*networkingv1.NetworkPolicy{policyOf(t, "p", `{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)}, namespacesOf("default"))
	for i := range 1200 {
		s.peers = append(s.peers, &peer{namespace: "default", labels: labels.Set{}, addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i / 100), byte(2 * (i % 100))})}})
	}
	r, problems := s.rulesOf(s.classOf(podOf("default", "web", "front", 80)))
	if len(r.ingress) != maxRules || len(problems) != 1 || !strings.Contains(problems[0].what, "1200") {
		t.Errorf("%d rules, problems %v", len(r.ingress), problems)
	}
}

// TestClasses: pods share a group if the same policies and ports by name are theirs.
func TestClasses(t *testing.T) {
	byName := policyOf(t, "named", `{podSelector: {matchLabels: {tier: back}}, ingress: [{ports: [{port: http}]}]}`)
	all := policyOf(t, "all", `{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [free]}]}, policyTypes: [Egress]}`)
	s := newState([]*networkingv1.NetworkPolicy{byName, all}, namespacesOf("default", "shop"))
	group := func(pod *corev1.Pod) string { return s.classOf(pod).group("n1") }
	web, db := group(podOf("default", "web", "front", 80)), group(podOf("default", "db", "back", 80))
	for _, test := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"nobody selects it", podOf("default", "free", "front", 80), "pods"},
		{"nobody in its namespace", podOf("shop", "web", "front", 80), "pods"},
		{"as web", podOf("default", "other", "front", 80), web},
		{"its ports have no names in egress", podOf("default", "other", "front", 81), web},
		{"as db", podOf("default", "cache", "back", 80), db},
	} {
		if got := group(test.pod); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	other := group(podOf("default", "cache", "back", 81))
	if web == db || db == other || s.classOf(podOf("default", "web", "front", 80)).group("n2") == web {
		t.Errorf("web %s, db %s, another port %s", web, db, other)
	}
	if d := s.classOf(podOf("default", "db", "back", 80)).description(); d != "network policies of namespace default: named, all" {
		t.Error(d)
	}
}
