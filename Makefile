# The ways to use this repository; what they do is in scripts/.
#
#   make up          install, build, start a registry and cisd, run a first instance
#   make down        stop all of that
#   make clean-host  remove every trace of cis from this machine
#   make test        all tests, real sandboxes included
#   make bench       the benchmarks, beside podman
#   make build       the programs, into bin/
#   make lint        formatting, vet, static analysis
#   make kube        cis-kube, the Kubernetes control plane, and kubectl, into bin/ (minutes, the first time)
#   make test-kube   its tests, with a real control plane
#   make test-kubelet  those of cis-kubelet, the node

.PHONY: up down clean-host test bench build lint kube test-kube test-kubelet
.DEFAULT_GOAL := build

up down clean-host test bench build lint kube test-kube test-kubelet:
	@scripts/$@
