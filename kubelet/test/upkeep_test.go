package test

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"time"
)

// drain empties the node, as far as a disruption budget lets it.
func drain(c *cluster) {
	c.kubectl("create", "deployment", "drained", "--image="+c.stage.Image, "--replicas=2", "--", "sleep", "100000")
	c.kubectl("rollout", "status", "deployment/drained", "--timeout=120s")
	c.kubectl("create", "poddisruptionbudget", "drained", "--selector=app=drained", "--min-available=2")
	c.await("the budget's count", func() bool { return c.get("pdb/drained", ".status.currentHealthy") == "2" })
	pods := func() string { return c.kubectl("get", "pods", "-l", "app=drained", "-o", "name") }
	before := pods()
	if out, code := c.kube("", "kubectl", "drain", c.node, "--pod-selector=app=drained", "--timeout=3s"); code == 0 || !strings.Contains(out, "disruption budget") {
		c.Errorf("drain against the budget: %d, %s", code, out)
	}
	c.equal("the pods that the budget keeps", pods(), before)
	c.equal("cordoned", c.get("node/"+c.node, ".spec.unschedulable"), "true")

	c.kubectl("delete", "poddisruptionbudget", "drained")
	c.kubectl("drain", c.node, "--pod-selector=app=drained", "--timeout=120s")
	c.await("pods that wait for a node", func() bool {
		return c.kubectl("get", "pods", "-l", "app=drained", "-o", "jsonpath={.items[*].status.conditions[*].reason}") == "Unschedulable Unschedulable"
	})
	for name := range strings.FieldsSeq(before) {
		if strings.Contains(pods(), name) {
			c.Errorf("%s is still there", name)
		}
	}
	c.kubectl("uncordon", c.node)
	c.kubectl("rollout", "status", "deployment/drained", "--timeout=120s")
	c.kubectl("delete", "deployment", "drained", "--cascade=foreground")
}

// certificateLife is that of the node's certificates in these tests.
const certificateLife = time.Minute

// certificates: the node goes on when the ones that it has end.
func certificates(c *cluster) {
	client, serving := c.certificate("client"), c.certificate("server")
	time.Sleep(time.Until(client.NotAfter.Add(time.Second)))
	time.Sleep(time.Until(serving.NotAfter.Add(time.Second)))
	c.await("other certificates", func() bool {
		return !c.certificate("client").Equal(client) && !c.certificate("server").Equal(serving)
	})
	c.equal("the node", c.certificate("client").Subject.CommonName, "system:node:"+c.node)
	c.apply(pod("renewed", forever, ""))
	c.kubectl("wait", "--for=condition=Ready", "pod/renewed", "--timeout=120s")
	c.await("exec", func() bool {
		out, code := c.kube("", "kubectl", "exec", "renewed", "--", "echo", "hi")
		return code == 0 && out == "hi\n"
	})
	c.kubectl("delete", "pod", "renewed")
	if strings.Contains(c.read("kubelet.log"), "Unauthorized") {
		c.Error("cis-kubelet used a certificate that had ended")
	}
}

// certificate is the one that cis-kubelet uses now.
func (c *cluster) certificate(use string) *x509.Certificate {
	c.Helper()
	file := filepath.Join(c.stage.Dir, "pki", "cis-kubelet-"+use+"-current.pem")
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		c.Fatal(err)
	}
	return pair.Leaf
}
