// Command cis-kube is a Kubernetes control plane in one program: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kube-proxy and metrics-server, and what
// starts, keeps and stops them.
package main

import (
	"os"

	"k8s.io/component-base/version"

	"cis/kube/internal/command"
	"cis/kube/internal/program"
)

func main() {
	env := command.Env{
		Args: os.Args[1:], Out: os.Stdout, Err: os.Stderr,
		Getenv: os.Getenv, Version: version.Get().GitVersion,
	}
	if name, ok := env.Program(); ok {
		os.Args = os.Args[1:]
		program.All[name]()
		return
	}
	os.Exit(command.Main(env))
}
