package cloud

import (
	"math"

	"cis/api"
)

// The largest amounts that are read; no host has them.
const (
	maxCores = 1 << 20
	maxGiB   = 1 << 20
)

// CPU reads an amount of cores: a multiple of 0.05, more than zero.
func CPU(path string, cores float64) (api.CPU, error) {
	milli := math.Round(cores * 1000)
	if !(cores > 0 && cores <= maxCores) || math.Abs(cores*1000-milli) > 1e-6 || int64(milli)%int64(api.CPUStep) != 0 {
		return 0, Bad(path, "must be a multiple of %s cores from %s, not %v", api.CPUStep, api.MinCPU, cores)
	}
	return api.CPU(milli), nil
}

// Memory reads an amount of GiB: a whole number of MiB, more than zero.
func Memory(path string, gib float64) (api.Bytes, error) {
	mib := math.Round(gib * 1024)
	if !(gib > 0 && gib <= maxGiB) || math.Abs(gib*1024-mib) > 1e-6 {
		return 0, Bad(path, "must be a multiple of 1/1024 GiB (1 MiB), not %v", gib)
	}
	return api.Bytes(mib) * api.MiB, nil
}

// GiB is an amount of memory as the cloud API has it.
func GiB(b api.Bytes) float64 { return float64(b) / float64(api.GiB) }
