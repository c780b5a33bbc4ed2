package translate

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestEphemeral(t *testing.T) {
	const rest = `, volumes: [{name: v, emptyDir: {}}, {name: gone, configMap: {name: absent}}], containers: [{name: a, image: i}]}`
	for spec, want := range map[string]string{
		`{name: d, image: i, command: [sh], stdin: true, tty: true, targetContainerName: a, securityContext: {capabilities: {add: [SYS_PTRACE]}}}`: `{"name":"d","image":"i","command":["sh"],"tty":true,"stdin":true,` +
			`"securityContext":{"capabilities":{"add":["SYS_PTRACE"]}},"targetContainerName":"a"}`,
		`{name: d, image: i, volumeMounts: [{name: v, mountPath: /v}]}`: `{"name":"d","image":"i","volumeMounts":[{"name":"v","mountPath":"/v"}]}`,
	} {
		out, err := Ephemeral(input(pod(t, `{ephemeralContainers: [`+spec+`]`+rest)), 0)
		if err != nil {
			t.Fatal(err)
		}
		out.Env = nil // has the services
		if got, _ := json.Marshal(out); string(got) != want {
			t.Errorf("%s:\n%s\nwant\n%s", spec, got, want)
		}
	}
	for spec, field := range map[string]string{
		`{name: d, securityContext: {privileged: true}}`: "spec.ephemeralContainers[0].securityContext.privileged",
		`{name: d, ports: [{containerPort: 1}]}`:         "spec.ephemeralContainers[0].ports",
	} {
		in := input(pod(t, `{ephemeralContainers: [`+spec+`]`+rest))
		_, err := Ephemeral(in, 0)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Fields[0].Field != field {
			t.Errorf("%s: %v", spec, err)
		}
		if _, err := Pod(input(pod(t, `{ephemeralContainers: [`+spec+`], containers: [{name: a, image: i}]}`))); err != nil {
			t.Errorf("it keeps the pod back: %v", err)
		}
	}
	var missing *Missing
	_, err := Ephemeral(input(pod(t, `{ephemeralContainers: [{name: d, envFrom: [{configMapRef: {name: absent}}]}]`+rest)), 0)
	if !errors.As(err, &missing) {
		t.Error(err)
	}
	out, err := Pod(input(pod(t, `{shareProcessNamespace: true, containers: [{name: a, image: i}]}`)))
	if err != nil || !out.Request.ShareProcessNamespace {
		t.Errorf("%+v, %v", out.Request, err)
	}
}
