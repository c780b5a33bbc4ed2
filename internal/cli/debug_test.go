package cli

import (
	"strings"
	"testing"

	"cis/api"
)

func TestDebug(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "debug", "web", "--image", "both", "--target", "main", "--", "ps", "-a"), 3, "out\n", "err\n")
	l.want(l.cis("in", "debug", "-i", "web", "--image", "cat"), 0, "in", "")
	l.want(l.cis("", "debug", "-d", "-c", "own", "web", "--", "sh"), 0, "own\n", "")
	in, err := l.engine.Get(t.Context(), "web")
	if err != nil || len(in.Spec.EphemeralContainers) != 3 {
		t.Fatalf("%+v, %v", in.Spec.EphemeralContainers, err)
	}
	first, second, third := in.Spec.EphemeralContainers[0], in.Spec.EphemeralContainers[1], in.Spec.EphemeralContainers[2]
	if !strings.HasPrefix(first.Name, "debugger-") || first.TargetContainerName != "main" || strings.Join(first.Command, " ") != "ps -a" ||
		first.SecurityContext.Capabilities.Add[0] != "SYS_PTRACE" {
		t.Errorf("%+v", first)
	}
	if !second.Stdin || !second.StdinOnce || len(second.Command) > 0 {
		t.Errorf("%+v", second)
	}
	if third.Name != "own" || third.Image != "sleep" {
		t.Errorf("%+v", third)
	}
	if r := l.cis("", "inspect", "web"); !strings.Contains(r.out, "Added containers:\n  debugger-") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "debug", "web", "--pull", "always", "--image", "absent"), 125, "",
		"cis: pulling image \"absent\"\ncis: ErrImagePull: the registry has no such image\n  → check the name, and try 'cis image pull absent'")
	in, err = l.engine.Get(t.Context(), "web")
	if err != nil || in.Spec.EphemeralContainers[3].ImagePullPolicy != api.PullAlways {
		t.Errorf("%+v, %v", in.Spec.EphemeralContainers, err)
	}
	l.want(l.cis("", "debug", "web", "--pull", "now", "--image", "cat"), 2, "", "cis: --pull")
	l.want(l.cis("", "debug", "web"), 2, "", "cis: give --image, a command, or both")
	l.want(l.cis("", "debug", "web", "--image", "cat", "sh"), 2, "", "cis: after the name only flags")
	l.want(l.cis("", "debug", "web", "--target", "other", "--", "sh"), 125, "", "cis: targetContainerName: the instance has no container \"other\"")
	l.want(l.cis("", "debug", "job", "--", "sh"), 125, "", "cis: instance job does not run")
	l.want(l.cis("", "debug", "-it", "web", "--", "sh"), 125, "", "cis: standard input is not a terminal")
}
