package test

import (
	"encoding/json"
	"strconv"
	"strings"

	"cis/api"
)

// claims: what pods of a StatefulSet write stays with their names, until the claims go.
func claims(c *cluster, runtime, class string, replicas int) {
	name := "db-" + runtime
	c.apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ` + name + `}
spec:
  replicas: ` + strconv.Itoa(replicas) + `
  serviceName: ` + name + `
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: ` + name + `}}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: ` + class + `, accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      runtimeClassName: ` + runtime + `
      terminationGracePeriodSeconds: 1
      securityContext: {fsGroup: 2000}
      containers:
      - name: a
        image: IMAGE
        command: [sh, -c, "hostname >>/data/log; sync; sleep 100000"]
        readinessProbe: {exec: {command: [test, -s, /data/log]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data, subPath: sub}]
`)
	claim, pod := "pvc/data-"+name+"-0", name+"-0"
	c.kubectl("rollout", "status", "statefulset/"+name, "--timeout=180s")
	c.equal("the claim", c.get(claim, ".status.phase"), "Bound")
	volume := c.get(claim, ".spec.volumeName")
	c.equal("its disk", c.disk(volume), "32Mi")

	c.kubectl("delete", "pod", pod)
	c.kubectl("rollout", "status", "statefulset/"+name, "--timeout=180s")
	c.kubectl("scale", "statefulset/"+name, "--replicas=0")
	c.kubectl("wait", "--for=delete", "pod", "-l", "app="+name, "--timeout=120s")
	c.equal("while there is no pod", c.disk(volume), "32Mi")
	c.kubectl("scale", "statefulset/"+name, "--replicas="+strconv.Itoa(replicas))
	c.kubectl("rollout", "status", "statefulset/"+name, "--timeout=180s")
	c.equal("what three pods of the name wrote", c.kubectl("exec", pod, "--", "cat", "/data/log"), strings.TrimSpace(strings.Repeat(pod+"\n", 3)))

	c.kubectl("patch", claim, "-p", `{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}`)
	c.await("the wait for the pod's end", func() bool {
		return strings.Contains(c.get(claim, ".status.conditions[*].type"), "FileSystemResizePending")
	})
	c.kubectl("delete", "pod", pod)
	c.kubectl("rollout", "status", "statefulset/"+name, "--timeout=180s")
	c.equal("the grown claim", c.get(claim, ".status.capacity.storage"), "128Mi")
	if conditions := c.get(claim, ".status.conditions[*].type"); strings.Contains(conditions, "FileSystemResizePending") {
		c.Errorf("conditions of the grown claim: %s", conditions)
	}
	c.equal("the grown disk", c.kubectl("exec", pod, "--", "sh", "-c", "df -m /data | awk 'END {print ($2 > 90)}'"), "1")

	c.kubectl("delete", "statefulset", name, "--cascade=foreground")
	c.kubectl("delete", "pvc", "-l", "app="+name)
	c.kubectl("wait", "--for=delete", "pv/"+volume, "--timeout=120s")
	c.equal("the disk of a claim that is gone", c.disk(volume), "")
}

// ephemeral: a disk that a pod brings for itself goes with it.
func ephemeral(c *cluster, runtime, class string) {
	name := "ephemeral-" + runtime
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + runtime + `
  terminationGracePeriodSeconds: 1
  volumes:
  - name: scratch
    ephemeral:
      volumeClaimTemplate:
        metadata: {labels: {app: ` + name + `}}
        spec: {storageClassName: ` + class + `, accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo kept >/scratch/x; sleep 100000"], volumeMounts: [{name: scratch, mountPath: /scratch}]}
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
	claim := "pvc/" + name + "-scratch"
	c.equal("the claim's label", c.get(claim, ".metadata.labels.app"), name)
	volume := c.get(claim, ".spec.volumeName")
	c.equal("its disk", c.disk(volume), "32Mi")
	c.equal("what is on it", c.kubectl("exec", name, "--", "sh", "-c", "cat /scratch/x; df -m /scratch | awk 'END {print ($2 < 33)}'"), "kept\n1")
	c.kubectl("delete", "pod", name)
	c.kubectl("wait", "--for=delete", claim, "pv/"+volume, "--timeout=120s")
	c.equal("the disk of a pod that is gone", c.disk(volume), "")
}

// disk is the size of one, empty if there is none.
func (c *cluster) disk(name string) string {
	c.Helper()
	r, err := c.stage.Cis(c.Context(), "", "disk", "list", "-o", "json")
	var disks []api.Disk
	if err == nil {
		err = json.Unmarshal([]byte(r.Stdout), &disks)
	}
	if err != nil {
		c.Fatal(err)
	}
	for _, d := range disks {
		if d.Name == name {
			return d.Size.String()
		}
	}
	return ""
}

// ownDisks: a volume that names a disk, and claims that no disk can be for.
func ownDisks(c *cluster) {
	if r, err := c.stage.Cis(c.Context(), "", "disk", "create", "own", "--size", "32Mi"); err != nil || r.Code != 0 {
		c.Fatal(err, r.Stderr)
	}
	c.apply(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: own}
spec:
  capacity: {storage: 32Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  csi: {driver: disk.cis.io, volumeHandle: own}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: own}
spec: {storageClassName: "", volumeName: own, accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: many}
spec: {storageClassName: cis-disk, accessModes: [ReadWriteMany], resources: {requests: {storage: 32Mi}}}
`)
	volume := func(claim string) string {
		return "restartPolicy: Never\nvolumes: [{name: d, persistentVolumeClaim: {claimName: " + claim + "}}]"
	}
	mounted := func(name, script, claim string) string {
		return strings.Replace(pod(name, script, volume(claim)), "image: IMAGE,", "image: IMAGE, volumeMounts: [{name: d, mountPath: /d}],", 1)
	}
	for _, name := range []string{"first", "second"} {
		c.apply(mounted(name, "hostname >>/d/log; cat /d/log", "own"))
		c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+name, "--timeout=120s")
	}
	c.equal("what was there", c.kubectl("logs", "second"), "first\nsecond")
	c.apply(mounted("many", "true", "many"))
	c.await("the refusal of a claim for many", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector", "involvedObject.name=many,reason=ProvisioningFailed", "-o", "jsonpath={.items[*].message}"), "spec.accessModes[0]")
	})
	c.kubectl("delete", "pod", "first", "second", "many")
	c.kubectl("delete", "pvc", "own", "many")
	c.equal("a disk that somebody made", c.disk("own"), "32Mi")
	c.kubectl("delete", "pv", "own")
}

// defaultClass: a claim that names no class gets a disk.
func defaultClass(c *cluster) {
	c.apply(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: plain}
spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 16Mi}}}
`)
	c.apply(pod("plain", "true", "restartPolicy: Never\nvolumes: [{name: d, persistentVolumeClaim: {claimName: plain}}]"))
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/plain", "--timeout=120s")
	c.equal("its disk", c.disk(c.get("pvc/plain", ".spec.volumeName")), "16Mi")
	c.kubectl("delete", "pod,pvc", "plain")
}
