package test

// subPaths: containers of a pod have parts of its volumes.
func subPaths(c *cluster, class string) {
	name := "parts-" + class
	c.kubectl("create", "configmap", name, "--from-literal=conf=from a map")
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  restartPolicy: Never
  volumes:
  - {name: c, configMap: {name: ` + name + `}}
  - {name: e, emptyDir: {}}
  - {name: p, projected: {sources: [{serviceAccountToken: {path: dir/token}}]}}
  initContainers:
  - {name: init, image: IMAGE, command: [sh, -c, "echo made > /e/init/x"], volumeMounts: [{name: e, mountPath: /e/init, subPath: for/init}]}
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "cat /etc/app.conf; echo; find /e -type f; test -s /token && echo token; echo $NAME >/own/name; cat /e/pods/$NAME/name"]
    env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts:
    - {name: c, mountPath: /etc/app.conf, subPath: conf}
    - {name: e, mountPath: /e}
    - {name: e, mountPath: /own, subPathExpr: pods/$(NAME)}
    - {name: p, mountPath: /token, subPath: dir/token}
`)
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+name, "--timeout=120s")
	c.equal("what it saw", c.kubectl("logs", name, "-c", "a"), "from a map\n/e/for/init/x\ntoken\n"+name)
	c.kubectl("delete", "pod", name)
}
