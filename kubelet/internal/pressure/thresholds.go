// Package pressure says when the node runs short of something and which pod then has to
// go, as a kubelet does it: by quality of service, priority and use. It ends no pod
// itself, and frees nothing but by ending pods.
package pressure

import (
	"fmt"
	"strconv"
	"strings"
	"time"

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
	// soft ones may be missed for a while: grace.
	soft  bool
	grace time.Duration
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

// ParseSoft reads thresholds as Parse does, and SIGNAL=DURATION,… for how long each of them may
// be missed.
func ParseSoft(text, graces string) ([]Threshold, error) {
	all, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].soft, all[i].grace = true, -1
	}
	for one := range strings.SplitSeq(graces, ",") {
		if one == "" {
			continue
		}
		if err := setGrace(all, one); err != nil {
			return nil, err
		}
	}
	for _, t := range all {
		if t.grace < 0 {
			return nil, fmt.Errorf("%s needs a grace period", t.signal.name)
		}
	}
	return all, nil
}

func setGrace(all []Threshold, text string) error {
	name, value, _ := strings.Cut(text, "=")
	grace, err := time.ParseDuration(value)
	if err != nil || grace < 0 {
		return fmt.Errorf("%q must be SIGNAL=DURATION, such as memory.available=1m30s", text)
	}
	found := false
	for i := range all {
		if all[i].signal.name == name {
			all[i].grace, found = grace, true
		}
	}
	if !found {
		return fmt.Errorf("%q must be of a signal with a soft threshold", text)
	}
	return nil
}

func signalOf(name string) *signal {
	for _, s := range signals {
		if s.name == name {
			return s
		}
	}
	return nil
}

func signalNames() string {
	var names []string
	for _, s := range signals {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func parse(text string) (t Threshold, err error) {
	name, value, ok := strings.Cut(text, "<")
	t.signal = signalOf(name)
	if !ok || t.signal == nil {
		return t, fmt.Errorf("%q must be SIGNAL<QUANTITY, where SIGNAL is one of %s", text, signalNames())
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
	Threshold
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
				all = append(all, Shortage{t, wanted, left})
			}
		}
	}
	return all
}
