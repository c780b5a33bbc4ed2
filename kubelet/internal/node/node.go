// Package node shows the machines behind a cis endpoint as one node: it registers it,
// says that it lives, and what it has.
package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"

	"cis/api"
)

// Config of a node.
type Config struct {
	Kube kubernetes.Interface
	// Info asks cis for what there is.
	Info func(context.Context) (api.Info, error)
	// Images asks cis for those that are there.
	Images func(context.Context) ([]api.Image, error)
	Log    *slog.Logger
	Name   string
	// Addresses of the node; the first is where the API server calls us.
	Addresses []string
	// Port of our own server.
	Port   int32
	Labels map[string]string
	Taints []corev1.Taint
	// CPU, Memory, Storage, which is ephemeral, and Pods bound the node; zero, but for Pods: what
	// cis tells.
	CPU     api.CPU
	Memory  api.Bytes
	Storage api.Bytes
	Pods    int64
	// Version of the kubelet that we stand for.
	Version string
}

// Node keeps the API server's idea of the node true.
type Node struct {
	Config
	// news wakes the status.
	news chan struct{}

	mu     sync.Mutex
	info   api.Info
	images []api.Image
	// down is why cis does not answer; nil: it does.
	down error
	// pressed are the conditions of pressure that hold.
	pressed map[corev1.NodeConditionType]bool
}

// New makes a node; Register and Run show it.
func New(c Config) *Node {
	return &Node{Config: c, news: make(chan struct{}, 1), down: errNotAsked}
}

var errNotAsked = fmt.Errorf("cis has not been asked yet")

// Connected tells the node whether cis answers.
func (n *Node) Connected(err error) {
	n.mu.Lock()
	changed := (err == nil) != (n.down == nil)
	n.down = err
	n.mu.Unlock()
	if changed {
		n.poke()
	}
}

// Pressed tells the node what it runs short of.
func (n *Node) Pressed(conditions map[corev1.NodeConditionType]bool) {
	n.mu.Lock()
	changed := false
	for _, p := range pressures {
		changed = changed || n.pressed[p.condition] != conditions[p.condition]
	}
	n.pressed = conditions
	n.mu.Unlock()
	if changed {
		n.poke()
	}
}

func (n *Node) poke() {
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// Host is what sizes pods: the default, and the node's own.
func (n *Node) Host() (defaultSize api.Size, cpu api.CPU, memory api.Bytes) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cpu, memory = n.size()
	return n.info.DefaultSize, cpu, memory
}

// size is the operator's word, else that of cis.
func (n *Node) size() (api.CPU, api.Bytes) {
	cpu, memory := n.CPU, n.Memory
	if cpu == 0 {
		cpu = n.info.Capacity.CPU
	}
	if memory == 0 {
		memory = n.info.Capacity.Memory
	}
	return cpu, memory
}

// Learn asks cis for its sizes; without them no pod can be sized.
func (n *Node) Learn(ctx context.Context) error {
	info, err := n.Info(ctx)
	if err != nil {
		return fmt.Errorf("ask cis: %w", err)
	}
	images, err := n.Images(ctx)
	if err != nil {
		return fmt.Errorf("ask cis for its images: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.info, n.images, n.down = info, images, nil
	if cpu, memory := n.size(); cpu == 0 || memory == 0 {
		return fmt.Errorf("cis does not tell this key what the host has: say what the node shall have with -cpu and -memory")
	}
	return nil
}

const (
	// statusPeriod is how often a status is written that has not changed.
	statusPeriod = 5 * time.Minute
	// retryPeriod is the wait after a failed write.
	retryPeriod = 10 * time.Second
)

// Run registers the node, then writes its status when it changes and now and then.
func (n *Node) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := statusPeriod
		if err := n.Register(ctx); err != nil && ctx.Err() == nil {
			n.Log.Warn("the node's status is not written", "error", err, "again in", retryPeriod)
			wait = retryPeriod
		}
		select {
		case <-n.news:
		case <-time.After(wait):
			if err := n.Learn(ctx); err != nil {
				n.Connected(err)
			}
		case <-ctx.Done():
		}
	}
}

// Register makes the node if there is none, and patches its status.
func (n *Node) Register(ctx context.Context) error {
	nodes := n.Kube.CoreV1().Nodes()
	old, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		old, err = nodes.Create(ctx, n.wanted(), metav1.CreateOptions{})
	}
	if err == nil {
		old, err = n.relabel(ctx, old)
	}
	if err != nil {
		return fmt.Errorf("register the node: %w", err)
	}
	next := old.DeepCopy()
	n.status(&next.Status)
	patch, err := patchOf(old, next)
	if err != nil {
		return err
	}
	_, err = nodes.Patch(ctx, n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// relabel keeps our labels on a node that was registered before.
func (n *Node) relabel(ctx context.Context, old *corev1.Node) (*corev1.Node, error) {
	next := old.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, n.labels())
	if maps.Equal(next.Labels, old.Labels) {
		return old, nil
	}
	patch, err := patchOf(old, next)
	if err != nil {
		return nil, err
	}
	return n.Kube.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
}

func patchOf(old, next *corev1.Node) ([]byte, error) {
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
}

func (n *Node) wanted() *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.labels()}, Spec: corev1.NodeSpec{Taints: n.Taints}}
	n.status(&node.Status)
	return node
}

func (n *Node) labels() map[string]string {
	labels := map[string]string{
		corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
		corev1.LabelInstanceTypeStable: "cis",
	}
	maps.Copy(labels, n.Labels)
	return labels
}

// status fills in what we know; the rest stays.
func (n *Node) status(s *corev1.NodeStatus) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cpu, memory := n.size()
	s.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(cpu), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(memory), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(n.Pods, resource.DecimalSI),
	}
	if storage := cmp.Or(n.Storage, n.info.HostUsage.Disk); storage > 0 {
		s.Capacity[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(storage), resource.BinarySI)
	}
	s.Allocatable = s.Capacity.DeepCopy()
	s.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: n.Name}}
	for _, ip := range n.Addresses {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	s.DaemonEndpoints.KubeletEndpoint.Port = n.Port
	s.NodeInfo = corev1.NodeSystemInfo{
		KubeletVersion: n.Version, ContainerRuntimeVersion: "cis://" + n.info.Version, KernelVersion: n.info.Kernel,
		OperatingSystem: "linux", Architecture: runtime.GOARCH, OSImage: "cis",
		MachineID: cmp.Or(n.info.MachineID, n.Name), SystemUUID: cmp.Or(n.info.MachineID, n.Name), BootID: cmp.Or(n.info.BootID, n.Name),
	}
	s.Images = imagesOf(n.images)
	s.Features = &corev1.NodeFeatures{SupplementalGroupsPolicy: new(true)}
	s.RuntimeHandlers = nil
	for _, name := range []string{"", "cis-gvisor", "cis-vm"} {
		s.RuntimeHandlers = append(s.RuntimeHandlers, corev1.NodeRuntimeHandler{Name: name,
			Features: &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: new(false), UserNamespaces: new(false)}})
	}
	now := metav1.Now()
	for _, c := range n.conditions() {
		s.Conditions = put(s.Conditions, c, now)
	}
}

// pressures in a kubelet's words, while they do not hold and while they do.
var pressures = []struct {
	condition                                corev1.NodeConditionType
	calmReason, calmMessage, reason, message string
}{
	{corev1.NodeMemoryPressure, "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
		"KubeletHasInsufficientMemory", "kubelet has insufficient memory available"},
	{corev1.NodeDiskPressure, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "KubeletHasDiskPressure", "kubelet has disk pressure"},
	{corev1.NodePIDPressure, "KubeletHasSufficientPID", "kubelet has sufficient PID available",
		"KubeletHasInsufficientPID", "kubelet has insufficient PID available"},
}

// conditions that a kubelet gives.
func (n *Node) conditions() (all []corev1.NodeCondition) {
	for _, p := range pressures {
		c := corev1.NodeCondition{Type: p.condition, Status: corev1.ConditionFalse, Reason: p.calmReason, Message: p.calmMessage}
		if n.pressed[p.condition] {
			c.Status, c.Reason, c.Message = corev1.ConditionTrue, p.reason, p.message
		}
		all = append(all, c)
	}
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "cis answers"}
	if n.down != nil {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", n.down.Error()
	}
	return append(all, ready)
}

func put(list []corev1.NodeCondition, c corev1.NodeCondition, now metav1.Time) []corev1.NodeCondition {
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	for i := range list {
		if list[i].Type == c.Type {
			if list[i].Status == c.Status {
				c.LastTransitionTime = list[i].LastTransitionTime
			}
			list[i] = c
			return list
		}
	}
	return append(list, c)
}
