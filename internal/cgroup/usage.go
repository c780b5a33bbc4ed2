package cgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"cis/api"
)

// Usage reads what a group uses now.
func (t *Tree) Usage(group string) (Usage, error) {
	read := t.usageV1
	if t.v2 {
		read = t.usageV2
	}
	usage, err := read(group)
	if err != nil {
		return Usage{}, fmt.Errorf("usage of cgroup %s: %w", group, err)
	}
	return usage, nil
}

func (t *Tree) usageV1(group string) (Usage, error) {
	nanoseconds, err := readNumber(t.file("cpuacct", group, "cpuacct.usage"))
	if err != nil {
		return Usage{}, err
	}
	memory, err := readNumber(t.file("memory", group, "memory.usage_in_bytes"))
	if err != nil {
		return Usage{}, err
	}
	return usage(float64(nanoseconds)/1e9, memory, t.file("memory", group, "memory.stat"), "total_inactive_file", "total_rss")
}

func (t *Tree) usageV2(group string) (Usage, error) {
	microseconds, err := readKey(t.file("cpu", group, "cpu.stat"), "usage_usec")
	if err != nil {
		return Usage{}, err
	}
	memory, err := readNumber(t.file("memory", group, "memory.current"))
	if err != nil {
		return Usage{}, err
	}
	return usage(float64(microseconds)/1e6, memory, t.file("memory", group, "memory.stat"), "inactive_file", "anon")
}

// usage takes the rest from a file with lines "key number".
func usage(seconds float64, memory int64, stat, cacheKey, rssKey string) (Usage, error) {
	values, err := readKeys(stat, cacheKey, rssKey)
	if err != nil {
		return Usage{}, err
	}
	return Usage{CPUSeconds: seconds, Memory: api.Bytes(max(0, memory-values[0])), MemoryUsage: api.Bytes(memory), MemoryRSS: api.Bytes(values[1])}, nil
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// readKey finds a line "key number".
func readKey(path, key string) (int64, error) {
	values, err := readKeys(path, key)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// readKeys finds such a line for each key.
func readKeys(path string, keys ...string) ([]int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = value
	}
	values := make([]int64, len(keys))
	for i, key := range keys {
		value, ok := found[key]
		if !ok {
			return nil, fmt.Errorf("%s: no line %q", path, key)
		}
		if values[i], err = strconv.ParseInt(value, 10, 64); err != nil {
			return nil, err
		}
	}
	return values, nil
}
