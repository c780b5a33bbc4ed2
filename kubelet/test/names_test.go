package test

import "strings"

// hostnames: what a pod says of its names is in the host's name and in /etc/hosts.
func hostnames(c *cluster, class string) {
	const script = "hostname; cat /etc/hostname; awk -v n=$(hostname -i | cut -d' ' -f1) '$1 == n {print $2, $3}' /etc/hosts"
	spec := func(name, more string) string {
		return pod(name+class, script, "runtimeClassName: "+class+"\nrestartPolicy: Never\n"+more)
	}
	domain := ".sub.default.svc.cluster.local"
	for name, test := range map[string]struct{ spec, want string }{
		"dots.in.":   {"", "dots.in." + class + "\ndots.in." + class + "\ndots.in." + class},
		"subdomain-": {"hostname: h\nsubdomain: sub", "h\nh\nh" + domain + " h"},
		"fqdn-":      {"hostname: h\nsubdomain: sub\nsetHostnameAsFQDN: true", "h" + domain + "\nh" + domain + "\nh" + domain + " h"},
		"override-":  {"hostnameOverride: h.test", "h.test\nh.test\nh.test"},
	} {
		c.apply(spec(name, test.spec))
		c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+name+class, "--timeout=120s")
		c.equal("names of "+name, c.kubectl("logs", name+class), test.want)
		c.kubectl("delete", "pod", name+class)
	}
	c.apply(spec("long-", "hostname: "+strings.Repeat("h", 40)+"\nsubdomain: sub\nsetHostnameAsFQDN: true"))
	c.await("the event of a name that is too long", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector", "involvedObject.name=long-"+class+",reason=FailedCreatePodSandBox", "-o", "jsonpath={.items[*].message}"),
			"is too long (64 characters is the max, 70 characters requested)")
	})
	c.equal("phase", c.get("pod/long-"+class, ".status.phase"), "Pending")
	c.kubectl("delete", "pod", "long-"+class)
}
