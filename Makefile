# The ways to use this repository; what they do is in scripts/.
#
#   make up          install, build, start a registry and cisd, run a first instance
#   make down        stop all of that
#   make clean-host  remove every trace of cis from this machine
#   make test        all tests, real sandboxes included
#   make bench       the benchmarks, beside podman
#   make build       the programs, into bin/
#   make lint        formatting, vet, static analysis

.PHONY: up down clean-host test bench build lint
.DEFAULT_GOAL := build

up down clean-host test bench build lint:
	@scripts/$@
