package command

import (
	"slices"

	"cis/kube/internal/plane"
)

var programs = []string{plane.Etcd, plane.APIServer, plane.ControllerManager, plane.Scheduler, plane.KubeProxy, plane.MetricsServer}

// Program tells whether the call is one of a program in cis-kube, and of which.
func (e Env) Program() (string, bool) {
	if len(e.Args) == 0 || !slices.Contains(programs, e.Args[0]) {
		return "", false
	}
	return e.Args[0], true
}
