package api_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"cis/api"
)

var offered = api.Defaults{
	Size:   api.Size{CPU: 500, Memory: 256 * api.MiB},
	Sizes:  []api.Size{{Name: "small", CPU: 250, Memory: 512 * api.MiB}, {Name: "large", CPU: 2000, Memory: 4 * api.GiB}},
	MaxCPU: 4000, MaxMemory: 8 * api.GiB, MaxEphemeralStorage: 100 * api.GiB,
}

func decoded(t *testing.T, yaml string) api.CreateInstance {
	t.Helper()
	var req api.CreateInstance
	if err := api.Decode([]byte(yaml), &req); err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	return req
}

func TestDefault(t *testing.T) {
	req := decoded(t, `
name: web
volumes: [{name: d, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}, {name: f, files: {items: [{path: a}]}}, {name: s, secret: {secretName: s}}]
containers:
- image: nginx
  ports: [{containerPort: 80}]
  readinessProbe: {httpGet: {port: 80}}
`)
	req.Default(offered)
	c := req.Containers[0]
	got := fmt.Sprint(req.CPU, req.Memory, req.EphemeralStorage, req.Hostname, req.RestartPolicy, req.Isolation, *req.TerminationGracePeriodSeconds,
		c.Name, c.ImagePullPolicy, c.Ports[0].Protocol, c.ReadinessProbe.PeriodSeconds, c.ReadinessProbe.TimeoutSeconds, c.ReadinessProbe.SuccessThreshold,
		c.ReadinessProbe.FailureThreshold, c.ReadinessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Scheme,
		req.Volumes[0].EmptyDir.SizeLimit, req.Volumes[1].EmptyDir.SizeLimit, req.Volumes[2].Files.Items[0].Mode, req.Volumes[3].Secret.DefaultMode)
	want := "0.5 256Mi 10Gi web Never auto 10main Always TCP 10 1 1 3 / HTTP10Gi 128Mi 0644 0400"
	if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := req.Validate(offered); err != nil {
		t.Error(err)
	}
	once := fmt.Sprintf("%+v", req)
	req.Default(offered)
	if again := fmt.Sprintf("%+v", req); again != once {
		t.Errorf("a second Default changes %s\nto %s", once, again)
	}
}

func TestDefaultSize(t *testing.T) {
	tests := []struct {
		yaml   string
		cpu    api.CPU
		memory api.Bytes
	}{
		{"containers: [{image: a}]", 500, 256 * api.MiB},
		{"{cpu: 1, containers: [{image: a}]}", 1000, 256 * api.MiB},
		{"{size: small, containers: [{image: a}]}", 250, 512 * api.MiB},
		{"containers: [{name: a, image: a, resources: {limits: {cpu: 130m, memory: 100Mi}}}, {name: b, image: b, resources: {limits: {cpu: 1, memory: 1000001}}}]", 1150, 101 * api.MiB},
		{"containers: [{image: a, resources: {limits: {cpu: 10m, memory: 1Mi}}}]", 50, 32 * api.MiB},
		{"containers: [{image: a, resources: {limits: {cpu: 1}}}]", 1000, 256 * api.MiB},
		{"initContainers: [{name: i, image: a, resources: {limits: {cpu: 2, memory: 1Gi}}}]\ncontainers: [{image: a, resources: {limits: {cpu: 1, memory: 2Gi}}}]", 2000, 2 * api.GiB},
		{"initContainers: [{name: s, image: a, restartPolicy: Always, resources: {limits: {cpu: 1, memory: 64Mi}}}, {name: i, image: a, resources: {limits: {cpu: 2, memory: 64Mi}}}]\ncontainers: [{image: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]", 3000, 1088 * api.MiB},
	}
	for _, tt := range tests {
		text := tt.yaml
		if text[0] == '{' {
			text = "# not JSON\n" + text
		}
		req := decoded(t, text)
		req.Default(offered)
		if req.CPU != tt.cpu || req.Memory != tt.memory {
			t.Errorf("%s\ngets %s, %s; want %s, %s", tt.yaml, req.CPU, req.Memory, tt.cpu, tt.memory)
		}
		if err := req.Validate(offered); err != nil {
			t.Errorf("%s\n%v", tt.yaml, err)
		}
	}
}

func TestPullPolicyDefault(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0", 64)
	for image, want := range map[string]api.PullPolicy{
		"a": api.PullAlways, "a:latest": api.PullAlways, "localhost:5000/a": api.PullAlways,
		"a:1": api.PullIfNotPresent, "localhost:5000/a:1": api.PullIfNotPresent, "a" + digest: api.PullIfNotPresent,
		"a:latest" + digest: api.PullIfNotPresent,
	} {
		s := api.InstanceSpec{Containers: []api.Container{{Image: image}}}
		s.Default(offered)
		if got := s.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%s gets %s, want %s", image, got, want)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	// Each text is added to (or stands for, with "!") a valid spec with one container.
	tests := []struct{ yaml, field, says string }{
		{"name: Web", "name", "lower-case"},
		{"name: " + strings.Repeat("a", 64), "name", "1 to 63"},
		{"name: i-12ab", "name", "instance ID"},
		{"!containers: [{image: b, lifecycle: {stopSignal: SIGNOPE}}]", "containers[0].lifecycle.stopSignal", "SIGUSR1"},
		{"!containers: [{image: b, restartPolicyRules: [{action: Restart, exitCodes: {operator: In}}]}]", "containers[0].restartPolicyRules", "need restartPolicy"},
		{"!containers: [{image: b, restartPolicy: Never, restartPolicyRules: [{action: Restart}]}]", "containers[0].restartPolicyRules[0].exitCodes", "is needed"},
		{"!containers: [{image: b, restartPolicy: Never, restartPolicyRules: [{action: Stop, exitCodes: {operator: In}}]}]", "containers[0].restartPolicyRules[0].action", "Restart"},
		{"!containers: [{image: b, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: Is}}]}]", "containers[0].restartPolicyRules[0].exitCodes.operator", "NotIn"},
		{"!containers: [{image: b, securityContext: {supplementalGroupsPolicy: None}}]", "containers[0].securityContext.supplementalGroupsPolicy", "Strict"},
		{"isolation: gvisor\nsecurityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: a}]}", "securityContext.sysctls", "isolation vm"},
		{"securityContext: {sysctls: [{name: kernel.core_pattern, value: a}]}", "securityContext.sysctls[0].name", "must be one of"},
		{`securityContext: {sysctls: [{name: net.ipv4.tcp_rmem, value: "a\n"}]}`, "securityContext.sysctls[0].value", "printable"},
		{"securityContext: {fsGroupChangePolicy: Never}", "securityContext.fsGroupChangePolicy", "Always"},
		{"!containers: [{image: b, securityContext: {seccompProfile: {type: Localhost}}}]", "containers[0].securityContext.seccompProfile.type", "Unconfined"},
		{"hostname: a_b", "hostname", "lower-case"},
		{"hostname: " + strings.Repeat("a.", 32) + "b", "hostname", "at most 64"},
		{"domain: a..b", "domain", "lower-case"},
		{"setHostnameAsFQDN: true", "setHostnameAsFQDN", "needs domain"},
		{"{domain: a, setHostnameAsFQDN: true}", "setHostnameAsFQDN", "hostname or name"},
		{"{hostname: a, setHostnameAsFQDN: true, domain: " + strings.Repeat("b", 63) + "}", "setHostnameAsFQDN", "has 65 characters"},
		{"labels: {-a: b}", "labels[-a]", "the key"},
		{"labels: {a: -b}", "labels[a]", "the value"},
		{"cpu: 0.07", "cpu", "multiple of 0.05 cores from 0.05, not 0.07"},
		{"cpu: 0.01", "cpu", "from 0.05"},
		{"cpu: 5", "cpu", "at most the host's 4 cores, not 5"},
		{"memory: 31Mi", "memory", "from 32Mi"},
		{"memory: 33554433", "memory", "multiple of 1Mi"},
		{"memory: 9Gi", "memory", "at most the host's 8Gi"},
		{"size: smal", "size", `did you mean "small"`},
		{"{size: small, cpu: 1}", "cpu", "excludes size"},
		{"{size: small, memory: 1Gi}", "memory", "excludes size"},
		{"ephemeralStorage: 1Ki", "ephemeralStorage", "at least 1Mi"},
		{"ephemeralStorage: 1Ti", "ephemeralStorage", "at most 100Gi"},
		{"restartPolicy: always", "restartPolicy", `one of Never, OnFailure, Always, not "always" (did you mean "Always"?)`},
		{"isolation: kvm", "isolation", "auto, vm, gvisor"},
		{"terminationGracePeriodSeconds: 3601", "terminationGracePeriodSeconds", "0 to 3600"},
		{"terminationGracePeriodSeconds: -1", "terminationGracePeriodSeconds", "0 to 3600"},
		{"activeDeadlineSeconds: 0", "activeDeadlineSeconds", "must be 1 to"},
		{"ttlSecondsAfterFinished: -1", "ttlSecondsAfterFinished", "must be 0 to"},
		{"imagePullSecrets: [A]", "imagePullSecrets[0]", "lower-case"},
		{"clientToken: " + strings.Repeat("a", 65), "clientToken", "at most 64"},
		{"registryAuth: {username: a, token: b}", "registryAuth.token", "excludes"},
		{"registryAuth: {}", "registryAuth", "must have"},
		{"!containers: []", "containers", "at least one"},
		{"!containers: [" + strings.Repeat("{image: a},", 33) + "]", "containers", "at most 32, not 33"},
		{"!containers: [{image: a}, {name: b, image: b}]", "containers[0].name", "1 to 63"},
		{"!containers: [{name: b, image: a}, {name: b, image: b}]", "containers[1].name", "twice"},
		{"initContainers: [{name: main, image: b}]", "containers[0].name", "twice"},
		{"initContainers: [{name: i, image: b, livenessProbe: {tcpSocket: {port: 1}}}]", "initContainers[0].livenessProbe", "no probes"},
		{"initContainers: [{name: i, image: b, restartPolicy: OnFailure, lifecycle: {}}]", "initContainers[0].lifecycle", "Always"},
		{"!containers: [{image: a, livenessProbe: {httpGet: {port: 1, host: example.org}}}]", "containers[0].livenessProbe.httpGet.host", "IP address"},
		{"!containers: [{image: a, livenessProbe: {tcpSocket: {port: 1, host: \"fe80::1%a\"}}}]", "containers[0].livenessProbe.tcpSocket.host", "IP address"},
		{"!containers: [{image: a, livenessProbe: {grpc: {port: 0}}}]", "containers[0].livenessProbe.grpc.port", "1 to 65535"},
		{"!containers: [{image: a, livenessProbe: {sleep: {seconds: 1}}}]", "containers[0].livenessProbe.sleep", "hooks only"},
		{"!containers: [{image: a, readinessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 1}}]", "containers[0].readinessProbe.terminationGracePeriodSeconds", "startup and liveness"},
		{"!containers: [{image: a, livenessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 0}}]", "containers[0].livenessProbe.terminationGracePeriodSeconds", "1 to 3600"},
		{"!containers: [{image: a, lifecycle: {preStop: {sleep: {seconds: 3601}}}}]", "containers[0].lifecycle.preStop.sleep.seconds", "0 to 3600"},
		{"!containers: [{image: a, lifecycle: {preStop: {grpc: {port: 1}}}}]", "containers[0].lifecycle.preStop.grpc", "probes only"},
		{"securityContext: {fsGroup: -1}", "securityContext.fsGroup", "0 to 4294967294"},
		{"initContainers: [{name: i, image: b, restartPolicy: Sometimes}]", "initContainers[0].restartPolicy", "OnFailure"},
		{"initContainers: [{name: i, image: b, lifecycle: {}}]", "initContainers[0].lifecycle", "no hooks"},
		{"volumes: [{name: A, emptyDir: {}}]", "volumes[0].name", "1 to 63"},
		{"volumes: [{name: a, emptyDir: {}}, {name: a, emptyDir: {}}]", "volumes[1].name", "twice"},
		{"volumes: [{name: a}]", "volumes[0]", "exactly one of emptyDir, files, secret, projected, disk and nfs, not 0"},
		{"volumes: [{name: a, emptyDir: {}, secret: {secretName: b}}]", "volumes[0]", "not 2"},
		{"volumes: [{name: a, emptyDir: {medium: memory}}]", "volumes[0].emptyDir.medium", "Memory"},
		{"volumes: [{name: a, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]", "volumes[0].emptyDir.sizeLimit", "memory of 256Mi"},
		{"volumes: [{name: a, secret: {secretName: ''}}]", "volumes[0].secret.secretName", "lower-case"},
		{"volumes: [{name: a, secret: {secretName: b, defaultMode: '0999'}}]", "volumes[0].secret.defaultMode", "octal"},
		{"hostAliases: [{ip: x, hostnames: [a]}]", "hostAliases[0].ip", "IP address"},
		{"hostAliases: [{ip: 192.0.2.1, hostnames: []}]", "hostAliases[0].hostnames", "1 to 64"},
		{"hostAliases: [{ip: 192.0.2.1, hostnames: ['a b']}]", "hostAliases[0].hostnames[0]", "lower-case"},
		{"!containers: [{image: a, env: [{name: X, value: a, valueFrom: {fieldRef: {fieldPath: status.address}}}]}]", "containers[0].env[0].valueFrom", "excludes"},
		{"!containers: [{image: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: spec.name}}}]}]", "containers[0].env[0].valueFrom.fieldRef.fieldPath", "status.address"},
		{"!containers: [{image: a, securityContext: {supplementalGroups: [-1]}}]", "containers[0].securityContext.supplementalGroups[0]", "4294967294"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: a/b, path: c}]}}]", "volumes[0].secret.items[0].key", "letters"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: a, path: ../c}]}}]", "volumes[0].secret.items[0].path", "relative"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: ..a, path: c}]}}]", "volumes[0].secret.items[0].key", "begin with"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: a, path: ..c}]}}]", "volumes[0].secret.items[0].path", "begin with"},
		{"volumes: [{name: a, projected: {sources: []}}]", "volumes[0].projected.sources", "at least one"},
		{"volumes: [{name: a, projected: {sources: [{}]}}]", "volumes[0].projected.sources[0].secret", "set"},
		{"volumes: [{name: a, projected: {sources: [{secret: {name: b, items: [{key: a, path: /c}]}}]}}]", "volumes[0].projected.sources[0].secret.items[0].path", "relative"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: a, path: c}, {key: b, path: c/d}]}}]", "volumes[0].secret.items[1].path", "directory"},
		{"volumes: [{name: a, secret: {secretName: b, items: [{key: a, path: c, mode: '8'}]}}]", "volumes[0].secret.items[0].mode", "octal"},
		{"volumes: [{name: a, files: {items: []}}]", "volumes[0].files.items", "at least one"},
		{"volumes: [{name: a, disk: {}}]", "volumes[0].disk.name", "name or ID of a disk"},
		{"volumes: [{name: a, disk: {name: d}}, {name: b, disk: {name: d}}]", "volumes[1].disk.name", "twice"},
		{"volumes: [{name: a, nfs: {path: /}}]", "volumes[0].nfs.server", "IP address"},
		{"volumes: [{name: a, nfs: {server: 'a:b', path: /}}]", "volumes[0].nfs.server", "DNS name"},
		{"volumes: [{name: a, nfs: {server: 0.0.0.0, path: /}}]", "volumes[0].nfs.server", "one host"},
		{"volumes: [{name: a, nfs: {server: 10.0.0.256, path: /}}]", "volumes[0].nfs.server", "IP address"},
		{"volumes: [{name: a, nfs: {server: 'fe80::1%eth0', path: /}}]", "volumes[0].nfs.server", "IP address"},
		{"volumes: [{name: a, nfs: {server: b}}]", "volumes[0].nfs.path", "absolute"},
		{"volumes: [{name: a, nfs: {server: b, path: c}}]", "volumes[0].nfs.path", "absolute"},
		{"volumes: [{name: a, nfs: {server: b, path: /c/../d}}]", "volumes[0].nfs.path", "shortest"},
		{"volumes: [{name: a, nfs: {server: b, path: /c/}}]", "volumes[0].nfs.path", "shortest"},
		{"volumes: [{name: a, nfs: {server: b, path: /" + strings.Repeat("c", 1024) + "}}]", "volumes[0].nfs.path", "1024"},
		{"volumes: [{name: a, nfs: {server: b, path: /c, version: '2'}}]", "volumes[0].nfs.version", "one of 4, 4.2"},
		{"volumes: [{name: a, nfs: {server: b, path: /c}, emptyDir: {}}]", "volumes[0]", "not 2"},
		{"volumes: [{name: a, files: {items: [{path: ../b}]}}]", "volumes[0].files.items[0].path", "relative"},
		{"volumes: [{name: a, files: {items: [{path: /b}]}}]", "volumes[0].files.items[0].path", "relative"},
		{"volumes: [{name: a, files: {items: [{path: b}, {path: b}]}}]", "volumes[0].files.items[1].path", "twice"},
		{"volumes: [{name: a, files: {items: [{path: b}, {path: b/c}]}}]", "volumes[0].files.items[1].path", "directory"},
		{"volumes: [{name: a, files: {items: [{path: b, mode: '7777'}]}}]", "volumes[0].files.items[0].mode", "0777"},
		{"volumes: [{name: a, files: {items: [{path: b, content: x, contentBase64: eA==}]}}]", "volumes[0].files.items[0].contentBase64", "excludes"},
		{"volumes: [{name: a, files: {items: [{path: b, contentBase64: '!'}]}}]", "volumes[0].files.items[0].contentBase64", "base64"},
		{"volumes: [{name: a, files: {items: [{path: b, content: " + strings.Repeat("x", 1<<20+1) + "}]}}]", "volumes", "1048577 bytes; at most 1Mi"},
	}
	for field, list := range containerMistakes {
		for yaml, says := range list {
			tests = append(tests, struct{ yaml, field, says string }{"!containers: [{image: a, " + yaml + "}]", "containers[0]." + field, says})
		}
	}
	for _, tt := range tests {
		text, alone := strings.CutPrefix(tt.yaml, "!")
		if !alone {
			if inner, ok := strings.CutPrefix(text, "{"); ok {
				text = strings.ReplaceAll(strings.TrimSuffix(inner, "}"), ", ", "\n")
			}
			text += "\ncontainers: [{image: a}]"
		}
		req := decoded(t, text)
		req.Default(offered)
		e, ok := errors.AsType[*api.Error](req.Validate(offered))
		if !ok {
			t.Errorf("%.200s: no error", tt.yaml)
			continue
		}
		if e.Code != api.Invalid || e.Field != tt.field || !strings.Contains(e.Error(), tt.says) {
			t.Errorf("%.200s\ngives field %q: %s\nwant  field %q: %s", tt.yaml, e.Field, e, tt.field, tt.says)
		}
	}
}

// containerMistakes by field, then by what is said of the container.
var containerMistakes = map[string]map[string]string{
	"imagePullPolicy":               {"imagePullPolicy: Sometimes": "Always, IfNotPresent, Never"},
	"command[1]":                    {`command: [a, "\0"]`: "NUL"},
	"command[0]":                    {`command: [""]`: "program"},
	"args[0]":                       {`args: ["\0"]`: "NUL"},
	"env[0].name":                   {"env: [{name: a=b}]": "without '='", "env: [{value: b}]": "printable"},
	"env[0].value":                  {`env: [{name: a, value: "\0"}]`: "NUL"},
	"workingDir":                    {"workingDir: a": "absolute", "workingDir: /a/../b": "'..'"},
	"user":                          {"user: 'a b'": "such as app", "user: ':1'": "such as app"},
	"stdinOnce":                     {"stdinOnce: true": "needs stdin"},
	"ports[0].containerPort":        {"ports: [{containerPort: 0}]": "1 to 65535, not 0", "ports: [{containerPort: 65536}]": "1 to 65535"},
	"ports[1].containerPort":        {"ports: [{containerPort: 1}, {containerPort: 1}]": "twice"},
	"ports[0].protocol":             {"ports: [{containerPort: 1, protocol: tcp}]": `did you mean "TCP"`},
	"ports[0].name":                 {"ports: [{containerPort: 1, name: '80'}]": "letter", "ports: [{containerPort: 1, name: a--b}]": "single"},
	"ports[1].name":                 {"ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]": "twice"},
	"volumeMounts[0].name":          {"volumeMounts: [{name: b, mountPath: /b}]": `no volume "b"`},
	"terminationMessagePath":        {"terminationMessagePath: log": "absolute", "terminationMessagePath: /": "root"},
	"terminationMessagePolicy":      {"terminationMessagePolicy: Never": "File, FallbackToLogsOnError"},
	"startupProbe":                  {"startupProbe: {}": "exactly one of exec, httpGet, tcpSocket and grpc, not 0"},
	"livenessProbe":                 {"livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}": "not 2"},
	"lifecycle.preStop":             {"lifecycle: {preStop: {}}": "exec, httpGet and sleep, not 0"},
	"lifecycle.postStart":           {"lifecycle: {postStart: {exec: {command: [a]}, httpGet: {port: 1}}}": "not 2"},
	"readinessProbe.exec.command":   {"readinessProbe: {exec: {command: []}}": "program"},
	"readinessProbe.httpGet.port":   {"readinessProbe: {httpGet: {}}": "1 to 65535"},
	"readinessProbe.httpGet.scheme": {"readinessProbe: {httpGet: {port: 1, scheme: http}}": "HTTP, HTTPS"},
	"readinessProbe.httpGet.path":   {"readinessProbe: {httpGet: {port: 1, path: a}}": "begin with '/'", `readinessProbe: {httpGet: {port: 1, path: "/a\r\n"}}`: "control"},
	"readinessProbe.httpGet.httpHeaders[0].name":  {"readinessProbe: {httpGet: {port: 1, httpHeaders: [{name: 'a b', value: c}]}}": "header name"},
	"readinessProbe.httpGet.httpHeaders[0].value": {`readinessProbe: {httpGet: {port: 1, httpHeaders: [{name: a, value: "b\nc"}]}}`: "control"},
	"readinessProbe.tcpSocket.port":               {"readinessProbe: {tcpSocket: {port: 70000}}": "1 to 65535"},
	"readinessProbe.periodSeconds":                {"readinessProbe: {tcpSocket: {port: 1}, periodSeconds: -1}": "1 to 86400"},
	"readinessProbe.timeoutSeconds":               {"readinessProbe: {tcpSocket: {port: 1}, timeoutSeconds: 9999}": "1 to 3600"},
	"readinessProbe.initialDelaySeconds":          {"readinessProbe: {tcpSocket: {port: 1}, initialDelaySeconds: -1}": "0 to 86400"},
	"readinessProbe.failureThreshold":             {"readinessProbe: {tcpSocket: {port: 1}, failureThreshold: -1}": "1 to 10000"},
	"livenessProbe.successThreshold":              {"livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}": "1 to 1"},
	"lifecycle.preStop.tcpSocket":                 {"lifecycle: {preStop: {tcpSocket: {port: 1}}}": "probes only"},
	"securityContext.capabilities.add[0]":         {"securityContext: {capabilities: {add: [CAP_NET_ADMIN]}}": `did you mean "NET_ADMIN"`},
	"securityContext.capabilities.drop[1]":        {"securityContext: {capabilities: {drop: [ALL, NETRAW]}}": `did you mean "NET_RAW"`},
}

func TestValidateTellsEveryMistake(t *testing.T) {
	req := decoded(t, "name: A\nrestartPolicy: x\ncpu: 1\nvolumes: [{name: v, emptyDir: {}}]\n"+
		"containers: [{image: A, resources: {limits: {cpu: 2}}, volumeMounts: [{name: v, mountPath: /}, {name: v, mountPath: /a}, {name: v, mountPath: /a, subPath: a/../b}]}]")
	req.Default(offered)
	e, _ := errors.AsType[*api.Error](req.Validate(offered))
	var fields []string
	for _, one := range e.Errors {
		fields = append(fields, one.Field)
	}
	want := []string{"name", "restartPolicy", "containers[0].image", "containers[0].resources.limits.cpu",
		"containers[0].volumeMounts[0].mountPath", "containers[0].volumeMounts[2].mountPath", "containers[0].volumeMounts[2].subPath"}
	if !reflect.DeepEqual(fields, want) || e.Field != "name" {
		t.Errorf("got  %q\nwant %q", fields, want)
	}
}

func TestSizesOnly(t *testing.T) {
	only := offered
	only.SizesOnly = true
	for yaml, ok := range map[string]bool{"size: small": true, "cpu: 0.25\nmemory: 512Mi": true, "name: a": true, "cpu: 1": false} {
		req := decoded(t, yaml+"\ncontainers: [{image: a}]")
		req.Default(only)
		if err := req.Validate(only); (err == nil) != ok {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func TestImageRefs(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, ref := range []string{
		"nginx", "nginx:1.27", "docker.io/library/nginx:1.27", "localhost:5000/busybox", "localhost/a", "a/b/c", "a__b",
		"registry.example.com:5000/a/b:tag" + digest, "a" + digest, "10.0.0.1:5000/a", "[::1]:5000/a", "a--b", "a.b/c", "x/y_z:A.b-c_d",
		"Registry.Example.com/a",
	} {
		if err := api.ValidateImageRef("image", ref); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []string{
		"", "A", "a b", "/a", "a/", "a//b", "a:", ":a", "a:-b", "a@b", "a@sha256:abc", "a@sha256:" + strings.Repeat("A", 64),
		"http://a/b", "a..b", "a___b", "-a", "a-", "a.b:x/c", "a.b:123456/c", "[::1/a", "a:" + strings.Repeat("b", 129), strings.Repeat("a", 256), "ä",
	} {
		if err := api.ValidateImageRef("image", ref); err == nil {
			t.Errorf("%q is accepted", ref)
		}
	}
}

func TestOtherRequests(t *testing.T) {
	good := api.Secret{Name: "a", Data: map[string][]byte{"k": []byte("v")}}
	good.Default()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	pull := api.ImagePull{Ref: "a"}
	pull.Default()
	if err := pull.Validate(); err != nil {
		t.Error(err)
	}
	exec := api.ExecRequest{Command: []string{"ls"}}
	if err := exec.Validate(); err != nil {
		t.Error(err)
	}
	for field, err := range map[string]error{
		"name":                    (&api.Secret{Type: "Opaque", Data: good.Data}).Validate(),
		"type":                    (&api.Secret{Name: "a", Type: "x", Data: good.Data}).Validate(),
		"data":                    (&api.Secret{Name: "a", Type: "Opaque", Data: map[string][]byte{"a": make([]byte, api.MaxFiles+1)}}).Validate(),
		"data[..]":                (&api.Secret{Name: "a", Type: "Opaque", Data: map[string][]byte{"..": nil}}).Validate(),
		"data[.dockerconfigjson]": (&api.Secret{Name: "a", Type: api.SecretRegistry, Data: good.Data}).Validate(),
		"ref":                     (&api.ImagePull{Ref: "A", Policy: api.PullAlways}).Validate(),
		"policy":                  (&api.ImagePull{Ref: "a", Policy: "x"}).Validate(),
		"secrets[0]":              (&api.ImagePull{Ref: "a", Policy: api.PullAlways, Secrets: []string{"A"}}).Validate(),
		"command":                 (&api.ExecRequest{}).Validate(),
		"user":                    (&api.ExecRequest{Command: []string{"a"}, User: " "}).Validate(),
	} {
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Field != field {
			t.Errorf("got %v, want an error about %s", err, field)
		}
	}
}
