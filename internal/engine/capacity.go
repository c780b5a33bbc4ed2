package engine

import (
	"sync"

	"cis/api"
)

// demand is what an instance takes of the host.
type demand struct {
	cpu    api.CPU
	memory api.Bytes
	// overhead is memory beside the instance's own.
	overhead api.Bytes
}

// demandOf is what an instance of a size takes of the host, with the sandbox it gets.
func (e *Engine) demandOf(iso api.Isolation, cpu api.CPU, memory api.Bytes) demand {
	d := demand{cpu: cpu, memory: memory}
	if m, err := e.machine(iso); err == nil { // without its machine it does not come to live
		d.overhead = m.Overhead(memory)
	}
	return d
}

// capacity counts what live instances were given of the host.
type capacity struct {
	mu     sync.Mutex
	limits Limits
	cpu    api.CPU
	memory api.Bytes
}

func newCapacity(l Limits) *capacity { return &capacity{limits: l} }

// total is what may be given in all.
func (c *capacity) total() (api.CPU, api.Bytes) {
	return api.CPU(float64(c.limits.CPUs) * 1000 * c.limits.CPUOvercommit), c.limits.Memory - c.limits.Reserved
}

// admit takes what is demanded, or says what is missing and what would fit.
func (c *capacity) admit(d demand) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	allCPU, allMemory := c.total()
	freeCPU, freeMemory := allCPU-c.cpu, allMemory-c.memory
	fits := max(0, (freeMemory-d.overhead)/api.MiB*api.MiB)
	if d.cpu > freeCPU {
		return api.Errorf(api.Exhausted, "not enough cpu: %s cores asked for, %s of %s free", d.cpu, max(0, freeCPU), allCPU).
			WithNext("ask for at most %s cores, wait for an instance to end, or raise cpuOvercommit", max(0, freeCPU/50*50))
	}
	if d.memory+d.overhead > freeMemory {
		return api.Errorf(api.Exhausted, "not enough memory: %s asked for (and %s for its sandbox), %d MiB of %d MiB free",
			d.memory, d.overhead, max(0, freeMemory/api.MiB), allMemory/api.MiB).
			WithNext("ask for at most %s, or wait for an instance to end", fits)
	}
	c.cpu += d.cpu
	c.memory += d.memory + d.overhead
	return nil
}

// take counts an instance that is on record already.
func (c *capacity) take(d demand) { c.add(d.cpu, d.memory+d.overhead) }

// release gives back what admit or take took.
func (c *capacity) release(d demand) { c.add(-d.cpu, -d.memory-d.overhead) }

func (c *capacity) add(cpu api.CPU, memory api.Bytes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cpu += cpu
	c.memory += memory
}

// info describes it for people.
func (c *capacity) info() api.Capacity {
	c.mu.Lock()
	defer c.mu.Unlock()
	cpu, memory := c.total()
	return api.Capacity{
		CPU: cpu, CPUUsed: c.cpu, CPUOvercommit: c.limits.CPUOvercommit,
		Memory: memory, MemoryUsed: c.memory, MemoryReserved: c.limits.Reserved,
	}
}

// free is the memory not given to instances.
func (c *capacity) free() api.Bytes {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, memory := c.total()
	return memory - c.memory
}
