package translate

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"cis/api"
)

// pod reads a spec in YAML, as it would come from the API server.
func pod(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "shop", UID: "u-1",
		Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"note": "a\nb"}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func input(p *corev1.Pod) Input {
	return Input{
		Pod: p, Node: "n1", HostIPs: []string{"192.0.2.1"}, Isolation: api.IsolationAuto,
		DefaultSize: api.Size{CPU: 500, Memory: 256 * api.MiB}, NodeCPU: 8000, NodeMemory: 16 * api.GiB,
		Material: Material{
			ConfigMaps: map[string]*corev1.ConfigMap{"c": {Data: map[string]string{"k": "v", "j": "w"}, BinaryData: map[string][]byte{"b": {0, 1}}}},
			Secrets: map[string]*corev1.Secret{
				"s":    {Data: map[string][]byte{"p": []byte("word")}},
				"pull": {Data: map[string][]byte{".dockerconfigjson": []byte(`{"auths":{"r.test":{"auth":"eDp5"}}}`)}},
				"old":  {Data: map[string][]byte{".dockercfg": []byte(`{"r.test":{"auth":"other"},"q.test":{"auth":"eDp5"}}`)}},
			},
			Claims: map[string]Claim{
				"data": claim("data", "v", corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: DiskDriver, VolumeHandle: "disk-1"}}),
				"nfs":  mountedWith(claim("nfs", "w", corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nas", Path: "/b"}}), "nfsvers=4.1", "hard,ro"),
				"soft": mountedWith(claim("soft", "x", corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nas", Path: "/b"}}), "soft"),
				"host": claim("host", "y", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{}}),
				"new":  {PersistentVolumeClaim: &corev1.PersistentVolumeClaim{}},
			},
			Tokens: map[TokenRequest]string{{Seconds: 3607}: "token"},
			Services: []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"},
				Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: "TCP"}}}}},
		},
	}
}

// claim is bound to a volume.
func claim(name, volume string, source corev1.PersistentVolumeSource) Claim {
	return Claim{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound}},
		Volume:                &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: volume}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: source}},
	}
}

// mountedWith gives the volume of a claim mount options.
func mountedWith(c Claim, options ...string) Claim {
	c.Volume.Spec.MountOptions = options
	return c
}

// TestPod compares what a spec becomes with what is expected of it, both in JSON. The
// environment that services make is left out.
func TestPod(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"a program": {
			`{restartPolicy: Always, terminationGracePeriodSeconds: 30, containers: [{name: a, image: i, command: [sh, -c], args: ["echo $(X) $$(X) $(Y)"], env: [{name: X, value: "1"}, {name: Z, value: "$(X)2"}], workingDir: /w, tty: true, stdin: true}]}`,
			`{"containers":[{"name":"a","image":"i","command":["sh","-c"],"args":["echo 1 $(X) $(Y)"],"env":[{"name":"X","value":"1"},{"name":"Z","value":"12"}],"workingDir":"/w","tty":true,"stdin":true}],"restartPolicy":"Always","terminationGracePeriodSeconds":30}`,
		},
		"size": {
			`{containers: [{name: a, image: i, resources: {limits: {cpu: 210m, memory: 100M, ephemeral-storage: 1Gi}}}, {name: b, image: i, resources: {requests: {cpu: 100m}}}]}`,
			`{"containers":[{"name":"a","image":"i","resources":{"limits":{"cpu":"0.21","memory":"100000000"}}},{"name":"b","image":"i"}],"cpu":"0.35","memory":"352Mi","ephemeralStorage":"1Gi"}`,
		},
		"the size of the pod as a whole": {
			`{resources: {limits: {cpu: "2", memory: 1Gi}}, containers: [{name: a, image: i}]}`,
			`{"containers":[{"name":"a","image":"i"}],"cpu":"2","memory":"1Gi"}`,
		},
		"who it runs as": {
			`{securityContext: {runAsUser: 5, runAsGroup: 6, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: i, securityContext: {runAsUser: 7, readOnlyRootFilesystem: true, capabilities: {add: [NET_ADMIN], drop: [ALL]}, privileged: false, allowPrivilegeEscalation: true}}]}`,
			`{"containers":[{"name":"a","image":"i","user":"7:6","securityContext":{"readOnlyRootFilesystem":true,"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]}}}]}`,
		},
		"more of probes and hooks": {
			`{containers: [{name: a, image: i, livenessProbe: {grpc: {port: 9, service: s}, terminationGracePeriodSeconds: 3}, readinessProbe: {grpc: {port: 9}}, startupProbe: {tcpSocket: {port: 7, host: 192.0.2.1}}, lifecycle: {preStop: {sleep: {seconds: 5}}}}]}`,
			`{"containers":[{"name":"a","image":"i","livenessProbe":{"grpc":{"port":9,"service":"s"},"terminationGracePeriodSeconds":3},"readinessProbe":{"grpc":{"port":9}},"startupProbe":{"tcpSocket":{"port":7,"host":"192.0.2.1"}},"lifecycle":{"preStop":{"sleep":{"seconds":5}}}}]}`,
		},
		"ends and what follows": {
			`{containers: [{name: a, image: i, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [3, 4]}}], lifecycle: {stopSignal: SIGUSR1}}]}`,
			`{"containers":[{"name":"a","image":"i","restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"NotIn","values":[3,4]}}],"lifecycle":{"stopSignal":"SIGUSR1"}}]}`,
		},
		"sidecars": {
			`{initContainers: [{name: s, image: i, restartPolicy: Always, readinessProbe: {tcpSocket: {port: 80}}, resources: {requests: {cpu: 100m, memory: 64Mi}}}, {name: i, image: i, resources: {limits: {cpu: 500m, memory: 32Mi}}}], containers: [{name: a, image: i, restartPolicy: Never, resources: {requests: {cpu: 200m, memory: 64Mi}}}]}`,
			`{"containers":[{"name":"a","image":"i","restartPolicy":"Never"}],"initContainers":[{"name":"s","image":"i","restartPolicy":"Always","readinessProbe":{"tcpSocket":{"port":80}}},{"name":"i","image":"i","resources":{"limits":{"cpu":"0.5","memory":"32Mi"}}}],"cpu":"0.6","memory":"128Mi"}`,
		},
		"the group of volumes": {
			`{securityContext: {fsGroup: 2000, fsGroupChangePolicy: OnRootMismatch}, volumes: [{name: e, emptyDir: {}}], containers: [{name: a, image: i}]}`,
			`{"containers":[{"name":"a","image":"i"}],"volumes":[{"name":"e","emptyDir":{}}],"securityContext":{"fsGroup":2000,"fsGroupChangePolicy":"OnRootMismatch"}}`,
		},
		"the group of volumes, always": {
			`{securityContext: {fsGroup: 2000}, containers: [{name: a, image: i}]}`,
			`{"containers":[{"name":"a","image":"i"}],"securityContext":{"fsGroup":2000,"fsGroupChangePolicy":"Always"}}`,
		},
		"settings of its kernel": {
			`{securityContext: {sysctls: [{name: net/ipv4/tcp_rmem, value: 1 2 3}]}, containers: [{name: a, image: i}]}`,
			`{"containers":[{"name":"a","image":"i"}],"securityContext":{"sysctls":[{"name":"net.ipv4.tcp_rmem","value":"1 2 3"}]}}`,
		},
		"its groups alone": {
			`{securityContext: {supplementalGroups: [7], supplementalGroupsPolicy: Strict}, containers: [{name: a, image: i}]}`,
			`{"containers":[{"name":"a","image":"i","securityContext":{"supplementalGroups":[7],"supplementalGroupsPolicy":"Strict"}}]}`,
		},
		"nothing confines it": {
			`{securityContext: {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, seLinuxOptions: {}}, containers: [{name: a, image: i, securityContext: {appArmorProfile: {type: Unconfined}, seLinuxOptions: {}, procMount: Default}}, {name: b, image: i, securityContext: {seccompProfile: {type: RuntimeDefault}}}]}`,
			`{"containers":[{"name":"a","image":"i","securityContext":{"seccompProfile":{"type":"Unconfined"}}},{"name":"b","image":"i"}]}`,
		},
		"no new privileges": {
			`{containers: [{name: a, image: i, securityContext: {allowPrivilegeEscalation: false}}, {name: b, image: i, securityContext: {allowPrivilegeEscalation: true}}]}`,
			`{"containers":[{"name":"a","image":"i","securityContext":{"allowPrivilegeEscalation":false}},{"name":"b","image":"i"}]}`,
		},
		"probes and hooks": {
			`{containers: [{name: a, image: i, ports: [{name: http, containerPort: 80, hostPort: 8080, protocol: TCP}], livenessProbe: {httpGet: {port: http, path: /x, scheme: HTTP}, periodSeconds: 3, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 2}, readinessProbe: {tcpSocket: {port: 80}}, lifecycle: {preStop: {exec: {command: [a]}}}}]}`,
			`{"containers":[{"name":"a","image":"i","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"livenessProbe":{"httpGet":{"path":"/x","port":80,"scheme":"HTTP"},"periodSeconds":3,"timeoutSeconds":1,"successThreshold":1,"failureThreshold":2},"readinessProbe":{"tcpSocket":{"port":80}},"lifecycle":{"preStop":{"exec":{"command":["a"]}}}}],"network":{"ports":[{"hostPort":8080,"port":80,"protocol":"TCP","guarded":true}]}}`,
		},
		"the environment": {
			`{containers: [{name: a, image: i, envFrom: [{prefix: C_, configMapRef: {name: c}}, {secretRef: {name: absent, optional: true}}], env: [
				{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}},
				{name: H, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}, {name: S, valueFrom: {secretKeyRef: {name: s, key: p}}},
				{name: G, valueFrom: {configMapKeyRef: {name: c, key: absent, optional: true}}},
				{name: M, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}, {name: P, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}],
				resources: {requests: {cpu: 250m}}}]}`,
			`{"containers":[{"name":"a","image":"i","env":[{"name":"C_j","value":"w"},{"name":"C_k","value":"v"},{"name":"NAME","value":"web-0"},{"name":"L","value":"web"},{"name":"H","value":"192.0.2.1"},{"name":"S","value":"word"},{"name":"M","value":"16384"},{"name":"P","value":"250"}]}],"cpu":"0.25","memory":"256Mi"}`,
		},
		"the address within texts": {
			`{containers: [{name: a, image: i, command: [sh, "$(IP):$(M) $$(IP) $x $(Y)"], env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: M, value: $1}, {name: U, value: "$(M)@$(IP)"}, {name: V, value: "<$(U)>"}]}, {name: b, image: i, args: [$]}]}`,
			`{"containers":[{"name":"a","image":"i","command":["sh","$(status.address):$$1 $$(IP) $$x $$(Y)"],"env":[{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.address"}}},{"name":"M","value":"$$1"},{"name":"U","value":"$$1@$(status.address)"},{"name":"V","value":"<$$1@$(status.address)>"}],"expandFields":true},{"name":"b","image":"i","args":["$"]}]}`,
		},
		"volumes": {
			`{volumes: [{name: e, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: c, configMap: {name: c, defaultMode: 256, items: [{key: k, path: d/k, mode: 292}, {key: b, path: b}]}}, {name: s, secret: {secretName: s}},
				{name: none, configMap: {name: absent, optional: true}}],
			  containers: [{name: a, image: i, volumeMounts: [{name: c, mountPath: /c/, readOnly: true}]}]}`,
			`{"containers":[{"name":"a","image":"i","volumeMounts":[{"name":"c","mountPath":"/c","readOnly":true}]}],"volumes":[{"name":"e","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}},{"name":"c","secret":{"secretName":"pod.n1.u-1.c","defaultMode":"0400","items":[{"key":"0","path":"d/k","mode":"0444"},{"key":"1","path":"b","mode":"0400"}],"optional":true}},{"name":"s","secret":{"secretName":"pod.n1.u-1.s","defaultMode":"0644","optional":true}},{"name":"none","secret":{"secretName":"pod.n1.u-1.none","defaultMode":"0644","optional":true}}]}`,
		},
		"messages of ends": {
			`{containers: [{name: a, image: i, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: FallbackToLogsOnError}]}`,
			`{"containers":[{"name":"a","image":"i","terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"FallbackToLogsOnError"}]}`,
		},
		"claims": {
			`{volumes: [{name: d, persistentVolumeClaim: {claimName: data, readOnly: true}}], containers: [{name: a, image: i, volumeMounts: [{name: d, mountPath: /d}]}]}`,
			`{"containers":[{"name":"a","image":"i","volumeMounts":[{"name":"d","mountPath":"/d","readOnly":true}]}],"volumes":[{"name":"d","disk":{"name":"disk-1"}}]}`,
		},
		"parts of volumes": {
			`{volumes: [{name: e, emptyDir: {}}], containers: [{name: a, image: i, env: [{name: A, value: x/y}], volumeMounts: [{name: e, mountPath: /a, subPath: a/./b/}, {name: e, mountPath: /b, subPathExpr: "$(A)/$$(A)"}, {name: e, mountPath: /c, subPath: .}]}]}`,
			`{"containers":[{"name":"a","image":"i","env":[{"name":"A","value":"x/y"}],"volumeMounts":[{"name":"e","mountPath":"/a","subPath":"a/b"},{"name":"e","mountPath":"/b","subPath":"x/y/$(A)"},{"name":"e","mountPath":"/c"}]}],"volumes":[{"name":"e","emptyDir":{}}]}`,
		},
		"names": {
			`{hostAliases: [{ip: 192.0.2.1, hostnames: [x, z]}], securityContext: {runAsNonRoot: true, supplementalGroups: [7]}, hostname: h, dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.9], searches: [x.test.], options: [{name: ndots, value: "2"}]}, activeDeadlineSeconds: 9, containers: [{name: a, image: i, env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}]}`,
			`{"hostAliases":[{"ip":"192.0.2.1","hostnames":["x","z"]}],"containers":[{"name":"a","image":"i","env":[{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.address"}}}],"securityContext":{"runAsNonRoot":true,"supplementalGroups":[7]}}],"hostname":"h","dnsPolicy":"None","dnsConfig":{"nameservers":["192.0.2.9"],"searches":["x.test"],"options":[{"name":"ndots","value":"2"}]},"activeDeadlineSeconds":9}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(pod(t, test.spec))
			in.Material.Services = nil
			out, err := Pod(in)
			if err != nil {
				t.Fatal(err)
			}
			var want api.InstanceSpec
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			got := out.Request.InstanceSpec
			if got.Name != InstanceName(in.Pod) || got.Labels[LabelUID] != "u-1" || out.Request.ClientToken != "u-1" {
				t.Errorf("the instance cannot be found again: %s %v", got.Name, got.Labels)
			}
			want.Name, want.Labels, want.Isolation = got.Name, got.Labels, api.IsolationAuto
			if want.Hostname == "" {
				want.Hostname = "web-0"
			}
			if want.DNSPolicy == "" {
				want.DNSPolicy = api.DNSDefault
			}
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(want)
			if string(g) != string(w) {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
}

func TestProjected(t *testing.T) {
	in := input(pod(t, `{serviceAccountName: default, volumes: [{name: p, projected: {defaultMode: 420, sources: [
		{serviceAccountToken: {expirationSeconds: 3607, path: token}}, {configMap: {name: c, items: [{key: k, path: ca.crt}]}},
		{downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}, {path: notes, fieldRef: {fieldPath: metadata.annotations}}]}}]}}],
		containers: [{name: a, image: i}]}`))
	if needs := NeedsOf(in.Pod); !needs.Tokens[TokenRequest{Seconds: 3607}] || !needs.ConfigMaps["c"] {
		t.Errorf("needs %+v", needs)
	}
	out, err := Pod(in)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, item := range out.Request.Volumes[0].Secret.Items {
		got[item.Path] = string(out.Secrets[0].Data[item.Key])
	}
	for path, want := range map[string]string{"token": "token", "ca.crt": "v", "namespace": "shop", "notes": `note="a\nb"`} {
		if got[path] != want {
			t.Errorf("%s holds %q, want %q", path, got[path], want)
		}
	}
	env := out.Request.Containers[0].Env
	for _, want := range []api.EnvVar{{Name: "KUBERNETES_SERVICE_HOST", Value: "10.96.0.1"}, {Name: "KUBERNETES_PORT_443_TCP", Value: "tcp://10.96.0.1:443"}} {
		if !slices.Contains(env, want) {
			t.Errorf("%v is not in %v", want, env)
		}
	}
}

func TestClusterDNS(t *testing.T) {
	in := input(pod(t, `{dnsPolicy: ClusterFirst, containers: [{name: a, image: i}], dnsConfig: {searches: [more.test], options: [{name: ndots, value: "1"}]}}`))
	in.DNS = ClusterDNS{Servers: []string{"10.96.0.10"}, Domain: "cluster.local"}
	out, err := Pod(in)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(out.Request.DNSConfig)
	want := `{"nameservers":["10.96.0.10"],"searches":["shop.svc.cluster.local","svc.cluster.local","cluster.local","more.test"],"options":[{"name":"ndots","value":"1"}]}`
	if string(got) != want || out.Request.DNSPolicy != api.DNSNone {
		t.Errorf("%s: %s", out.Request.DNSPolicy, got)
	}
}

func TestHostname(t *testing.T) {
	long := strings.Repeat("a", 62) + ".b.c"
	for spec, want := range map[string]api.InstanceSpec{
		`{}`:                               {Hostname: "web.0"},
		`{hostname: h}`:                    {Hostname: "h"},
		`{subdomain: s}`:                   {Hostname: "web.0", Domain: "s.shop.svc.cluster.local"},
		`{setHostnameAsFQDN: true}`:        {Hostname: "web.0"},
		`{hostnameOverride: a.test}`:       {Hostname: "a.test"},
		`{hostnameOverride: ` + long + `}`: {Hostname: strings.Repeat("a", 62)},
		`{hostname: h, subdomain: s, setHostnameAsFQDN: true}`: {Hostname: "h", Domain: "s.shop.svc.cluster.local", SetHostnameAsFQDN: true},
	} {
		in := input(pod(t, spec))
		in.Pod.Name, in.DNS.Domain = "web.0", "cluster.local"
		out, err := Pod(in)
		got := out.Request.InstanceSpec
		if err != nil || got.Hostname != want.Hostname || got.Domain != want.Domain || got.SetHostnameAsFQDN != want.SetHostnameAsFQDN {
			t.Errorf("%s: %q in %q, %t, %v", spec, got.Hostname, got.Domain, got.SetHostnameAsFQDN, err)
		}
	}
	in := input(pod(t, `{hostname: `+strings.Repeat("h", 50)+`, subdomain: s, setHostnameAsFQDN: true}`))
	in.DNS.Domain = "cluster.local"
	var refusal *Refusal
	if _, err := Pod(in); err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "is too long (64 characters is the max") {
		t.Errorf("a full name that is too long: %v", err)
	}
}

func TestNFS(t *testing.T) {
	out, err := Pod(input(pod(t, `{volumes: [{name: v, nfs: {server: NAS.lan, path: /a/}}, {name: w, persistentVolumeClaim: {claimName: nfs}}],
		containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}]}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	volumes, _ := json.Marshal(out.Request.Volumes)
	if want := `[{"name":"v","nfs":{"server":"nas.lan","path":"/a"}},{"name":"w","nfs":{"server":"nas","path":"/b","readOnly":true,"version":"4.1"}}]`; string(volumes) != want {
		t.Errorf("got  %s\nwant %s", volumes, want)
	}
	_, err = Pod(input(pod(t, `{volumes: [{name: v, persistentVolumeClaim: {claimName: soft}}], containers: [{name: a, image: i}]}`)))
	if err == nil || !strings.Contains(err.Error(), `volume x: its mount option "soft" cannot be honoured`) {
		t.Error(err)
	}
}

func TestPullSecrets(t *testing.T) {
	out, err := Pod(input(pod(t, `{imagePullSecrets: [{name: absent}, {name: pull}, {name: old}], containers: [{name: a, image: i}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"auths":{"q.test":{"auth":"eDp5"},"r.test":{"auth":"eDp5"}}}`
	if got := string(out.Secrets[0].Data[".dockerconfigjson"]); got != want || out.Request.ImagePullSecrets[0] != out.Secrets[0].Name {
		t.Errorf("%s of %v", got, out.Request.ImagePullSecrets)
	}
}

// TestRefusals: what cannot be given is refused by its name.
func TestRefusals(t *testing.T) {
	for spec, field := range map[string]string{
		`{hostNetwork: true, containers: [{name: a}]}`:                                                                                                                   "spec.hostNetwork",
		`{hostPID: true, containers: [{name: a}]}`:                                                                                                                       "spec.hostPID",
		`{volumes: [{name: v, hostPath: {path: /}}]}`:                                                                                                                    "spec.volumes[0].hostPath",
		`{volumes: [{name: v, persistentVolumeClaim: {claimName: soft}}]}`:                                                                                               "spec.volumes[0]",
		`{volumes: [{name: v, persistentVolumeClaim: {claimName: host}}]}`:                                                                                               "spec.volumes[0]",
		`{containers: [{name: a}, {name: b, securityContext: {privileged: true}}]}`:                                                                                      "spec.containers[1].securityContext.privileged",
		`{containers: [{name: a, securityContext: {seccompProfile: {type: Localhost, localhostProfile: x}}}]}`:                                                           "spec.containers[0].securityContext.seccompProfile.type",
		`{containers: [{name: a, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers}]}]}`:                                                          "spec.containers[0].restartPolicyRules[0].action",
		`{containers: [{name: a, livenessProbe: {httpGet: {port: none}}}]}`:                                                                                              "spec.containers[0].livenessProbe.httpGet.port",
		`{containers: [{name: a, livenessProbe: {httpGet: {port: 1, host: h}}}]}`:                                                                                        "spec.containers[0].livenessProbe.httpGet.host",
		`{containers: [{name: a, livenessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 3601}}]}`:                                                          "spec.containers[0].livenessProbe.terminationGracePeriodSeconds",
		`{containers: [{name: a, lifecycle: {postStart: {tcpSocket: {port: 1}}}}]}`:                                                                                      "spec.containers[0].lifecycle.postStart.tcpSocket",
		`{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, subPath: a/../../s}]}]}`:                                                                        "spec.containers[0].volumeMounts[0].subPath",
		`{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]}]}`:                                                           "spec.containers[0].volumeMounts[0].mountPropagation",
		`{containers: [{name: a, resources: {limits: {nvidia.com/gpu: 1}}}]}`:                                                                                            "spec.containers[0].resources.limits[nvidia.com/gpu]",
		`{containers: [{name: a, ports: [{containerPort: 1, protocol: SCTP}]}]}`:                                                                                         "spec.containers[0].ports[0].protocol",
		`{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, subPathExpr: "$(IP)"}], env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}]}`: "spec.containers[0].volumeMounts[0].subPathExpr",
		`{terminationGracePeriodSeconds: 4000, containers: [{name: a}]}`:                                                                                                 "spec.terminationGracePeriodSeconds",
		`{resourceClaims: [{name: a}], containers: [{name: a}]}`:                                                                                                         "spec.resourceClaims",
		`{volumes: [{name: v, projected: {sources: [{clusterTrustBundle: {path: a}}]}}], containers: [{name: a}]}`:                                                       "spec.volumes[0].projected.sources[0].clusterTrustBundle",
		`{securityContext: {runAsGroup: 1}, containers: [{name: a}]}`:                                                                                                    "spec.containers[0].securityContext.runAsGroup",
		`{volumes: [{name: v, emptyDir: {medium: HugePages}}], containers: [{name: a}]}`:                                                                                 "spec.volumes[0].emptyDir.medium",
		`{containers: [{name: a, volumeDevices: [{name: d, devicePath: /d}]}]}`:                                                                                          "spec.containers[0].volumeDevices",
		`{containers: [{name: a, securityContext: {procMount: Unmasked}}]}`:                                                                                              "spec.containers[0].securityContext.procMount",
		`{containers: [{name: a, resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]}], hostIPC: true}`:                                                      "spec.hostIPC",
		`{containers: [{name: a, securityContext: {seLinuxOptions: {level: a}}}]}`:                                                                                       "spec.containers[0].securityContext.seLinuxOptions",
		`{containers: [{name: a, securityContext: {appArmorProfile: {type: Localhost, localhostProfile: x}}}]}`:                                                          "spec.containers[0].securityContext.appArmorProfile.type",
		`{containers: [{name: a, resources: {claims: [{name: a}]}}]}`:                                                                                                    "spec.containers[0].resources.claims",
		`{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, subPathExpr: "$(NONE)"}]}]}`:                                                                    "spec.containers[0].volumeMounts[0].subPathExpr",
		`{containers: [{name: a, volumeMounts: [{name: v, mountPath: /v, recursiveReadOnly: Enabled, readOnly: true}]}]}`:                                                "spec.containers[0].volumeMounts[0].recursiveReadOnly",
	} {
		_, err := Pod(input(pod(t, spec)))
		var refusal *Refusal
		if !errors.As(err, &refusal) || !slices.ContainsFunc(refusal.Fields, func(p FieldProblem) bool { return p.Field == field && p.Why != "" }) {
			t.Errorf("%s: %v; want %s to be refused", spec, err, field)
		}
	}
}

func TestSysctlsOfGVisor(t *testing.T) {
	in := input(pod(t, `{securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: 1 2 3}]}}`))
	in.Isolation = api.IsolationGVisor
	var refusal *Refusal
	if _, err := Pod(in); !errors.As(err, &refusal) || refusal.Fields[0].Field != "spec.securityContext.sysctls" {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	for spec, want := range map[string]Missing{
		`{volumes: [{name: v, configMap: {name: absent}}]}`:                                                 {"v", `configmap "absent" not found`},
		`{volumes: [{name: v, secret: {secretName: s, items: [{key: k, path: p}]}}]}`:                       {"v", "references non-existent key: k"},
		`{volumes: [{name: v, persistentVolumeClaim: {claimName: absent}}]}`:                                {"v", `persistentvolumeclaim "absent" not found`},
		`{volumes: [{name: v, persistentVolumeClaim: {claimName: new}}]}`:                                   {"v", `persistentvolumeclaim "new" is not bound to a volume`},
		`{containers: [{name: a, envFrom: [{secretRef: {name: absent}}]}]}`:                                 {"", `secret "absent" not found`},
		`{containers: [{name: a, env: [{name: X, valueFrom: {configMapKeyRef: {name: c, key: absent}}}]}]}`: {"", "couldn't find key absent in ConfigMap shop/c"},
	} {
		_, err := Pod(input(pod(t, spec)))
		var missing *Missing
		if !errors.As(err, &missing) || *missing != want {
			t.Errorf("%s: %v; want %v", spec, err, want)
		}
	}
}

func TestInstanceName(t *testing.T) {
	long := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: strings.Repeat("a.b", 80), Namespace: "n", UID: "1"}}
	other := long.DeepCopy()
	other.UID = "2"
	a, b := InstanceName(long), InstanceName(other)
	if len(a) > 63 || a == b || strings.Contains(a, ".") {
		t.Errorf("%q %q", a, b)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$", "$(B)$(A", "a$b$(A)c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		made := expand(s, func(string) (template, bool) { return "", false })
		none := made.plain()
		if made.late() {
			t.Errorf("%q has the address in it", s)
		}
		if !strings.Contains(s, "$$") && none != s {
			t.Errorf("%q became %q without any variable", s, none)
		}
	})
}
