package pressure

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"cis/api"
)

var calm = api.HostUsage{Memory: 8 * api.GiB, MemoryAvailable: 4 * api.GiB, Disk: 100 * api.GiB, DiskAvailable: 50 * api.GiB,
	Inodes: 1000, InodesAvailable: 500, Pids: 100, PidsLimit: 1000}

func parsed(t *testing.T, text string) []Threshold {
	t.Helper()
	all, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestMet(t *testing.T) {
	for name, test := range map[string]struct {
		thresholds string
		change     func(*api.HostUsage)
		want       []corev1.NodeConditionType
	}{
		"calm":         {Default, func(*api.HostUsage) {}, nil},
		"memory":       {Default, func(h *api.HostUsage) { h.MemoryAvailable = 99 * api.MiB }, []corev1.NodeConditionType{corev1.NodeMemoryPressure}},
		"just enough":  {Default, func(h *api.HostUsage) { h.MemoryAvailable = 100 * api.MiB }, nil},
		"disk, a part": {Default, func(h *api.HostUsage) { h.DiskAvailable = 9 * api.GiB }, []corev1.NodeConditionType{corev1.NodeDiskPressure}},
		"inodes":       {Default, func(h *api.HostUsage) { h.InodesAvailable = 49 }, []corev1.NodeConditionType{corev1.NodeDiskPressure}},
		"processes":    {"pid.available<10%", func(h *api.HostUsage) { h.Pids = 950 }, []corev1.NodeConditionType{corev1.NodePIDPressure}},
		"memory is seen to first": {"nodefs.available<90%,memory.available<5Gi", func(*api.HostUsage) {},
			[]corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure}},
		"none are watched": {"", func(h *api.HostUsage) { h.MemoryAvailable = 0 }, nil},
		"nothing is known": {Default, func(h *api.HostUsage) { *h = api.HostUsage{} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := calm
			test.change(&h)
			var got []corev1.NodeConditionType
			for _, s := range Met(parsed(t, test.thresholds), h) {
				got = append(got, s.Condition())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestParseSoftRefuses(t *testing.T) {
	for _, test := range []struct{ thresholds, graces, says string }{
		{"memory.available<1Gi", "", "memory.available needs a grace period"},
		{"memory.available<1Gi", "memory.available=x", "such as"},
		{"memory.available<1Gi", "memory.available=-1s", "such as"},
		{"memory.available<1Gi", "memory.available=1s,pid.available=1s", "soft threshold"},
		{"memory<1Gi", "", "must be"},
	} {
		if _, err := ParseSoft(test.thresholds, test.graces); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: %v", test, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"memory.available", "memory<1Gi", "memory.available<x", "memory.available<-1", "nodefs.available<101%", "nodefs.available<x%"} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), "must be") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// candidate asks for and uses so many MiB.
func candidate(name string, priority int32, asks, uses int64) Candidate {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{Priority: &priority, Containers: []corev1.Container{{Name: "main"}}}}
	if asks > 0 {
		quantity := *resource.NewQuantity(asks<<20, resource.BinarySI)
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: quantity, corev1.ResourceEphemeralStorage: quantity}
	}
	used := api.Bytes(uses) * api.MiB
	return Candidate{pod, api.Stats{Memory: used, Pids: uses, Containers: []api.ContainerStats{{Name: "main", Memory: used, Disk: used}}}}
}

func TestRank(t *testing.T) {
	for name, test := range map[string]struct {
		threshold string
		all       []Candidate
		want      string
	}{
		"beyond what was asked for": {"memory.available<5Gi", []Candidate{candidate("guaranteed", 0, 100, 90), candidate("burstable", 0, 10, 20), candidate("best-effort", 0, 0, 15)}, "best-effort burstable guaranteed"},
		"priority":                  {"memory.available<5Gi", []Candidate{candidate("high", 10, 0, 90), candidate("low", 1, 0, 20), candidate("modest", 0, 30, 20)}, "low high modest"},
		"critical ones stay":        {"memory.available<5Gi", []Candidate{candidate("critical", 2_000_001_000, 0, 900), candidate("other", 0, 50, 20)}, "other"},
		"disk":                      {"nodefs.available<90%", []Candidate{candidate("a", 0, 10, 20), candidate("b", 0, 10, 30), candidate("c", 0, 100, 90)}, "b a c"},
		"processes":                 {"pid.available<95%", []Candidate{candidate("few", 0, 0, 2), candidate("many", 0, 0, 30)}, "many few"},
	} {
		t.Run(name, func(t *testing.T) {
			short := Met(parsed(t, test.threshold), calm)
			var got []string
			for _, c := range Rank(short[0], test.all) {
				got = append(got, c.Pod.Name)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	short := Met(parsed(t, "memory.available<5Gi"), calm)[0]
	want := "The node was low on resource: memory. Threshold quantity: 5Gi, available: 4Gi. " +
		"Container main was using 20Mi, request is 10Mi, has larger consumption of memory. "
	if got := Message(short, candidate("a", 0, 10, 20)); got != want {
		t.Errorf("%q", got)
	}
	if got := Message(short, candidate("a", 0, 30, 20)); got != want[:len("The node was low on resource: memory. Threshold quantity: 5Gi, available: 4Gi. ")] {
		t.Errorf("%q", got)
	}
}

// fakeNode has pods that end when they are evicted, and with each gives memory back.
type fakeNode struct {
	host    api.HostUsage
	pods    []Candidate
	evicted []string
}

func (f *fakeNode) Pods() (all []*corev1.Pod) {
	for _, c := range f.pods {
		all = append(all, c.Pod)
	}
	return all
}

func (f *fakeNode) Instance(pod *corev1.Pod) (api.Instance, bool) {
	phase := api.PhaseRunning
	if slices.Contains(f.evicted, pod.Name) {
		phase = api.PhaseFailed
	}
	return api.Instance{ID: pod.Name, Status: api.InstanceStatus{Phase: phase}}, true
}

func (f *fakeNode) Evict(pod *corev1.Pod, _ string, _ time.Duration) {
	f.evicted = append(f.evicted, pod.Name)
	f.host.MemoryAvailable += 60 * api.MiB
}

func (f *fakeNode) stats(_ context.Context, ref string) (api.Stats, error) {
	i := slices.IndexFunc(f.pods, func(c Candidate) bool { return c.Pod.Name == ref })
	return f.pods[i].Stats, nil
}

// TestLook: pods go one at a time until there is enough, and the node tells of the shortage
// for a while longer.
func TestLook(t *testing.T) {
	f := &fakeNode{host: calm, pods: []Candidate{candidate("a", 0, 0, 10), candidate("b", 0, 0, 30), candidate("c", 0, 0, 20)}}
	f.host.MemoryAvailable = 0
	var told map[corev1.NodeConditionType]bool
	m := New(Config{
		Info:  func(context.Context) (api.Info, error) { return api.Info{HostUsage: f.host}, nil },
		Stats: f.stats, Pods: f, Thresholds: parsed(t, Default), Transition: time.Minute,
		Tell: func(c map[corev1.NodeConditionType]bool) { told = c }, Log: slog.New(slog.DiscardHandler),
	})
	for range 3 {
		pod, err := m.look(t.Context())
		if err != nil || pod != nil && !m.gone(t.Context(), pod) {
			t.Fatalf("%v, %v", pod, err)
		}
	}
	if !slices.Equal(f.evicted, []string{"b", "c"}) || !told[corev1.NodeMemoryPressure] || told[corev1.NodeDiskPressure] {
		t.Errorf("evicted %v, told %v", f.evicted, told)
	}
	if late := m.conditions(nil, time.Now().Add(2*time.Minute)); late[corev1.NodeMemoryPressure] {
		t.Error("told for ever")
	}
}

// TestSoft: the node tells of a soft shortage at once, and pods go when it has lasted, with grace.
func TestSoft(t *testing.T) {
	soft, err := ParseSoft("memory.available<5Gi", "memory.available=1m")
	if err != nil {
		t.Fatal(err)
	}
	m := New(Config{Thresholds: append(parsed(t, Default), soft...), MaxGrace: 20 * time.Second})
	now := time.Now()
	at := func(after time.Duration, h api.HostUsage, want int) {
		t.Helper()
		short := Met(m.Thresholds, h)
		if due := m.due(short, now.Add(after)); len(due) != want {
			t.Errorf("after %s: %d are due, want %d", after, len(due), want)
		}
	}
	if short := Met(m.Thresholds, calm); !m.conditions(short, now)[corev1.NodeMemoryPressure] {
		t.Error("the node does not tell of it")
	}
	none := calm
	none.MemoryAvailable = 8 * api.GiB
	at(0, calm, 0)
	at(59*time.Second, calm, 0)
	at(60*time.Second, calm, 1)
	at(61*time.Second, none, 0)
	at(62*time.Second, calm, 0) // from the beginning
	none.MemoryAvailable = 0
	at(63*time.Second, none, 1) // the hard one
	s, hard := Met(soft, calm)[0], Met(parsed(t, "memory.available<5Gi"), calm)[0]
	for own, want := range map[int64]time.Duration{5: 5 * time.Second, 30: 20 * time.Second, 0: time.Second} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &own}}
		if got := m.grace(s, pod); got != want {
			t.Errorf("a pod's %d s become %s", own, got)
		}
		if got := m.grace(hard, pod); got != time.Second {
			t.Errorf("a hard one leaves %s", got)
		}
	}
}
