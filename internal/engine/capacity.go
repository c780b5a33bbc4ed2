package engine

import (
	"fmt"
	"strconv"
	"sync"

	"cis/api"
	"cis/internal/store"
)

// demand is what an instance takes of the host, and of its account's quota.
type demand struct {
	account string
	cpu     api.CPU
	memory  api.Bytes
	// overhead is memory beside the instance's own.
	overhead api.Bytes
}

// demandOf is what an instance of a size takes of the host, with the sandbox it gets.
func (e *Engine) demandOf(owner string, spec api.InstanceSpec) demand {
	d := demand{account: owner, cpu: spec.CPU, memory: spec.Memory}
	if m, err := e.machine(spec.Isolation); err == nil { // without its machine it does not come to live
		d.overhead = m.Overhead(spec.Memory)
	}
	return d
}

// heldBy is what an instance on record takes: while a resize is under way, the larger of what
// it has and what it is to have.
func (e *Engine) heldBy(in *store.Instance) demand {
	spec := in.Spec
	spec.CPU, spec.Memory = max(spec.CPU, in.Status.Resources.CPU), max(spec.Memory, in.Status.Resources.Memory)
	return e.demandOf(in.Account, spec)
}

// capacity counts what live instances were given of the host, and of their accounts' quotas.
type capacity struct {
	mu       sync.Mutex
	limits   Limits
	cpu      api.CPU
	memory   api.Bytes
	accounts map[string]holding
}

// holding is what an account's live instances were promised.
type holding struct {
	instances int
	cpu       api.CPU
	memory    api.Bytes
}

func newCapacity(l Limits) *capacity { return &capacity{limits: l, accounts: map[string]holding{}} }

// total is what may be given in all.
func (c *capacity) total() (api.CPU, api.Bytes) {
	return api.CPU(float64(c.limits.CPUs) * 1000 * c.limits.CPUOvercommit), c.limits.Memory - c.limits.Reserved
}

// admit takes what is demanded, or says what is missing and what would fit.
func (c *capacity) admit(d demand, q api.Quota) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.room(d, q); err != nil {
		return err
	}
	c.add(d, 1)
	return nil
}

// exchange is admit of what takes the place of what an instance holds. There is always room
// for no more than that.
func (c *capacity) exchange(held, d demand, q api.Quota) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(held, -1)
	if d.cpu > held.cpu || d.memory > held.memory {
		if err := c.room(d, q); err != nil {
			c.add(held, 1)
			return err
		}
	}
	c.add(d, 1)
	return nil
}

// room says what is missing; mu is held.
func (c *capacity) room(d demand, q api.Quota) error {
	if err := c.accounts[d.account].fits(d, q); err != nil {
		return err
	}
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
	return nil
}

// fits refuses what is beyond the quota, and says by how much.
func (h holding) fits(d demand, q api.Quota) error {
	switch {
	case q.Instances != nil && h.instances+1 > *q.Instances:
		return overQuota(d.account, "quota.instances", fmt.Sprintf("%d instances", *q.Instances), "one more", strconv.Itoa(h.instances), "end another instance")
	case q.CPU != nil && h.cpu+d.cpu > *q.CPU:
		return overQuota(d.account, "quota.cpu", q.CPU.String()+" cores", d.cpu, h.cpu, "end another instance")
	case q.Memory != nil && h.memory+d.memory > *q.Memory:
		return overQuota(d.account, "quota.memory", q.Memory.String()+" of memory", d.memory, h.memory, "end another instance")
	}
	return nil
}

// take counts an instance that is on record already.
func (c *capacity) take(d demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(d, 1)
}

// release gives back what admit or take took.
func (c *capacity) release(d demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(d, -1)
}

// add counts a demand once more or less; mu is held.
func (c *capacity) add(d demand, times int) {
	c.cpu += d.cpu * api.CPU(times)
	c.memory += (d.memory + d.overhead) * api.Bytes(times)
	h := c.accounts[d.account]
	h.instances += times
	h.cpu += d.cpu * api.CPU(times)
	h.memory += d.memory * api.Bytes(times)
	c.accounts[d.account] = h
}

// held is what an account's live instances were promised.
func (c *capacity) held(account string) holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accounts[account]
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
