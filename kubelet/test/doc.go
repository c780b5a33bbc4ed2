// Package test drives a real cluster whose node is cis-kubelet with real kubectl: a
// control plane (CIS_KUBE is the path of cis-kube, with what make kube builds beside it), a cisd of its own and a registry.
// scripts/test-kubelet builds what it needs.
package test
