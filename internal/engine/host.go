package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// hostUsage reads what the host uses; disk is that of a directory's file system.
func hostUsage(dir string) (u api.HostUsage, err error) {
	u.Time = time.Now().UTC()
	u.Memory, u.MemoryAvailable, err = hostMemory()
	if err == nil {
		u.CPUSeconds, err = hostCPU()
	}
	if err == nil {
		u.Pids, u.PidsLimit, err = hostPids()
	}
	var disk unix.Statfs_t
	if err == nil {
		err = unix.Statfs(dir, &disk)
	}
	if err != nil {
		return u, fmt.Errorf("read what the host uses: %w", err)
	}
	u.Disk, u.DiskAvailable = api.Bytes(disk.Blocks)*api.Bytes(disk.Bsize), api.Bytes(disk.Bavail)*api.Bytes(disk.Bsize)
	u.Inodes, u.InodesAvailable = int64(disk.Files), int64(disk.Ffree)
	return u, nil
}

// hostMemory is all memory, and what could be had without swapping.
func hostMemory() (all, available api.Bytes, err error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	found := map[string]api.Bytes{}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			kib, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes numbers
			found[fields[0]] = api.Bytes(kib) * api.KiB
		}
	}
	return found["MemTotal:"], found["MemAvailable:"], nil
}

// availableMemory is that of the host, or everything if it cannot be read.
func availableMemory() api.Bytes {
	_, available, err := hostMemory()
	if err != nil {
		return 1 << 62
	}
	return available
}

// ticks of /proc/stat in a second, on every architecture of Linux that Go knows.
const ticks = 100

// hostCPU is how long the processors have worked, in seconds.
func hostCPU() (float64, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	// cpu user nice system idle iowait irq softirq steal, and guests' time, which is in user.
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var sum int64
	for i, field := range fields[1:8] {
		if i == 3 || i == 4 { // idle
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += n
	}
	return float64(sum) / ticks, nil
}

// hostPids counts processes and threads, and how many there may be.
func hostPids() (n, limit int64, err error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, 0, err
	}
	for _, file := range []string{"pid_max", "threads-max"} {
		data, err := os.ReadFile("/proc/sys/kernel/" + file)
		if err != nil {
			return 0, 0, err
		}
		most, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", file, err)
		}
		if limit == 0 || most < limit {
			limit = most
		}
	}
	return int64(info.Procs), limit, nil
}
