// Package pressure says when the node runs short of something and which pod then has to
// go, as a kubelet does it: by quality of service, priority and use. It ends no pod
// itself, and frees nothing but by ending pods.
package pressure

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"cis/api"
)

// Default are a kubelet's thresholds.
const Default = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%"

// signal is what can run short, by the name that a kubelet has for it.
type signal struct {
	name string
	// condition of the node, resource in words, and how both are told.
	condition corev1.NodeConditionType
	resource  corev1.ResourceName
	// read gives what is left and what there is.
	read func(api.HostUsage) (left, all int64)
	// bytes are shown as such.
	format resource.Format
}

// signals in the order in which shortages are seen to.
var signals = []*signal{
	{"memory.available", corev1.NodeMemoryPressure, corev1.ResourceMemory,
		func(h api.HostUsage) (int64, int64) { return int64(h.MemoryAvailable), int64(h.Memory) }, resource.BinarySI},
	{"nodefs.available", corev1.NodeDiskPressure, corev1.ResourceEphemeralStorage,
		func(h api.HostUsage) (int64, int64) { return int64(h.DiskAvailable), int64(h.Disk) }, resource.BinarySI},
	{"nodefs.inodesFree", corev1.NodeDiskPressure, "inodes",
		func(h api.HostUsage) (int64, int64) { return h.InodesAvailable, h.Inodes }, resource.DecimalSI},
	{"pid.available", corev1.NodePIDPressure, "pids",
		func(h api.HostUsage) (int64, int64) { return h.PidsLimit - h.Pids, h.PidsLimit }, resource.DecimalSI},
}

// Threshold is how much of something has to be left.
type Threshold struct {
	signal *signal
	// One of them is set.
	quantity int64
	percent  float64
}

// Parse reads SIGNAL<QUANTITY,…, where a quantity may be a part in percent.
func Parse(text string) (all []Threshold, err error) {
	for one := range strings.SplitSeq(text, ",") {
		if one == "" {
			continue
		}
		t, err := parse(one)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func parse(text string) (t Threshold, err error) {
	name, value, ok := strings.Cut(text, "<")
	var names []string
	for _, s := range signals {
		names = append(names, s.name)
		if s.name == name {
			t.signal = s
		}
	}
	if !ok || t.signal == nil {
		return t, fmt.Errorf("%q must be SIGNAL<QUANTITY, where SIGNAL is one of %s", text, strings.Join(names, ", "))
	}
	if part, ok := strings.CutSuffix(value, "%"); ok {
		if t.percent, err = strconv.ParseFloat(part, 64); err != nil || t.percent < 0 || t.percent > 100 {
			return t, fmt.Errorf("%q: a part must be from 0%% to 100%%", text)
		}
		return t, nil
	}
	q, err := resource.ParseQuantity(value)
	if err != nil || q.Sign() < 0 {
		return t, fmt.Errorf("%q: must be a quantity such as 100Mi, or a part such as 10%%", text)
	}
	t.quantity = q.Value()
	return t, nil
}

// Shortage is a threshold that is not kept.
type Shortage struct {
	signal         *signal
	wanted, actual int64
}

// Condition of the node that tells of it.
func (s Shortage) Condition() corev1.NodeConditionType { return s.signal.condition }

// Met are the shortages of a host, those first that are seen to first.
func Met(thresholds []Threshold, h api.HostUsage) (all []Shortage) {
	for _, s := range signals {
		for _, t := range thresholds {
			left, whole := s.read(h)
			if t.signal != s || whole == 0 {
				continue
			}
			wanted := t.quantity
			if t.percent > 0 {
				wanted = int64(float64(whole) * t.percent / 100)
			}
			if left < wanted {
				all = append(all, Shortage{s, wanted, left})
			}
		}
	}
	return all
}
