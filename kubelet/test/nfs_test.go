package test

import (
	"os"
	"path/filepath"
	"strings"

	"cis/test/stage"
)

// nfs: pods share the directory of a server, by themselves and by a claim, where they are
// virtual machines.
func nfs(c *cluster) {
	server, err := c.stage.NFSServer(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if err := server.End(); err != nil {
			c.Error(err)
		}
	})
	inline := "runtimeClassName: %s\nvolumes: [{name: v, nfs: {server: " + server.Address + ", path: " + stage.NFSExport + "}}]"
	c.apply(strings.Replace(pod("nfs-gvisor", forever, strings.Replace(inline, "%s", "cis-gvisor", 1)), "command:", "volumeMounts: [{name: v, mountPath: /v}], command:", 1))
	c.await("the refusal", func() bool {
		out := c.kubectl("get", "events", "--field-selector", "involvedObject.name=nfs-gvisor,reason=Refused", "-o", "jsonpath={.items[*].message}")
		return strings.Contains(out, "volumes[0].nfs: only a virtual machine can mount NFS") && strings.Contains(out, "runtimeClassName: cis-vm")
	})
	c.kubectl("delete", "pod", "nfs-gvisor")

	c.apply(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: shared}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  storageClassName: ""
  mountOptions: [nfsvers=4.1, hard]
  nfs: {server: ` + server.Address + `, path: ` + stage.NFSExport + `}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared}
spec: {storageClassName: "", volumeName: shared, accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
`)
	c.apply(strings.Replace(pod("nfs-write", "echo written >/v/file; "+forever, strings.Replace(inline, "%s", "cis-vm", 1)), "command:", "volumeMounts: [{name: v, mountPath: /v}], command:", 1))
	c.kubectl("wait", "--for=condition=Ready", "pod/nfs-write", "--timeout=120s")
	c.await("what the pod wrote", func() bool {
		data, _ := os.ReadFile(filepath.Join(server.Dir, "file"))
		return string(data) == "written\n"
	})
	c.apply(strings.Replace(pod("nfs-read", "cat /v/file; grep -o vers=4.1 /proc/mounts; touch /v/no", "runtimeClassName: cis-vm\nrestartPolicy: Never\n"+
		"volumes: [{name: v, persistentVolumeClaim: {claimName: shared, readOnly: true}}]"), "command:", "volumeMounts: [{name: v, mountPath: /v}], command:", 1))
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/nfs-read", "--timeout=120s")
	if out := c.kubectl("logs", "nfs-read"); !strings.Contains(out, "written\n") || !strings.Contains(out, "vers=4.1\n") || !strings.Contains(out, "Read-only file system") {
		c.Errorf("what the other saw: %s", out)
	}
	c.kubectl("delete", "pod", "nfs-read", "nfs-write")
	c.kubectl("delete", "pvc/shared", "pv/shared")
}
