// Package translate turns a pod into the instance that runs it. It asks nobody: what
// it needs beside the pod is given to it. What cis cannot give is refused by the name
// of the field; nothing of a pod is passed over.
package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// The labels of an instance that runs a pod. A pod's name may be longer than a label's
// value: then it is cut.
const (
	LabelNode      = "cis.io/node"
	LabelNamespace = "cis.io/pod-namespace"
	LabelName      = "cis.io/pod-name"
	LabelUID       = "cis.io/pod-uid"
)

// Input is a pod with all that its instance depends on.
type Input struct {
	Pod *corev1.Pod
	// Node is the node's name, HostIPs are its addresses.
	Node    string
	HostIPs []string
	// Isolation that the pod's runtime class asks for; empty: auto.
	Isolation api.Isolation
	// DefaultSize counts for a container that says nothing of resources.
	DefaultSize api.Size
	// NodeCPU and NodeMemory stand for limits that a container does not have.
	NodeCPU    api.CPU
	NodeMemory api.Bytes
	DNS        ClusterDNS
	Material   Material
}

// ClusterDNS is how pods find services. Without servers they have the VPC's.
type ClusterDNS struct {
	Servers []string
	Domain  string
}

// Material is what a pod names: objects by name, absent ones left out.
type Material struct {
	ConfigMaps map[string]*corev1.ConfigMap
	Secrets    map[string]*corev1.Secret
	// Claims for volumes.
	Claims map[string]Claim
	// Tokens of the pod's service account, by what they were asked for.
	Tokens map[TokenRequest]string
	// Services of the pod's namespace, and the one of the API server.
	Services []*corev1.Service
}

// Output is what is asked of cis. The secrets are kept before the instance is made.
type Output struct {
	Request api.CreateInstance
	Secrets []api.Secret
}

// translation is one pod on its way.
type translation struct {
	Input
	out      Output
	problems problems
	// readOnly volumes, whatever their mounts say.
	readOnly map[string]bool
}

// Pod translates. The error is a *Refusal, a *Missing where something that the pod
// names does not exist, or another where a kubelet, too, makes no sandbox of it.
func Pod(in Input) (Output, error) {
	t := &translation{Input: in, readOnly: map[string]bool{}}
	t.problems.unknown(in.Pod)
	spec := &in.Pod.Spec
	t.out.Request = api.CreateInstance{ClientToken: string(in.Pod.UID)}
	s := &t.out.Request.InstanceSpec
	s.Name, s.Labels = InstanceName(in.Pod), t.labels()
	s.ShareProcessNamespace = is(spec.ShareProcessNamespace)
	s.RestartPolicy, s.Isolation = api.RestartPolicy(spec.RestartPolicy), in.Isolation
	t.times(s)
	t.network(s)
	t.size(s)
	s.Volumes = t.volumes()
	s.SecurityContext = t.instanceSecurity(spec.SecurityContext)
	s.InitContainers = t.containers(spec.InitContainers, "spec.initContainers")
	s.Containers = t.containers(spec.Containers, "spec.containers")
	t.pullSecrets(s)
	return t.out, t.problems.err()
}

// Files are the volumes of a pod, and the secrets that they show, as they are to be now. Of
// Input.Material it wants what VolumeNeeds names. Errors are those of Pod.
func Files(in Input) (volumes []api.Volume, secrets []api.Secret, err error) {
	t := &translation{Input: in, readOnly: map[string]bool{}}
	volumes = t.volumes()
	return volumes, t.out.Secrets, t.problems.err()
}

// InstanceName is the same for the same pod, and another for each pod.
func InstanceName(pod *corev1.Pod) string {
	sum := sha256.Sum256([]byte(pod.UID))
	name := strings.ReplaceAll(pod.Namespace+"-"+pod.Name, ".", "-")
	return strings.Trim(cut(name, 54), "-") + "-" + hex.EncodeToString(sum[:4])
}

// SecretsOf begins the names of the secrets that cis keeps for the pods of a node; the
// pod's UID and a dot come next.
func SecretsOf(node string) string { return "pod." + node + "." }

// secretName of a part of the pod.
func (t *translation) secretName(part string) string {
	return SecretsOf(t.Node) + string(t.Pod.UID) + "." + part
}

func (t *translation) labels() map[string]string {
	return map[string]string{
		LabelNode:      t.Node,
		LabelNamespace: t.Pod.Namespace,
		LabelName:      LabelText(t.Pod.Name),
		LabelUID:       string(t.Pod.UID),
	}
}

// LabelText is as much of an object's name as a label's value, or a host's name, can have.
func LabelText(name string) string { return strings.TrimRight(cut(name, 63), "-.") }

const maxGrace = 3600

func (t *translation) times(s *api.InstanceSpec) {
	if grace := t.Pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		if *grace > maxGrace {
			t.problems.refuse("spec.terminationGracePeriodSeconds", "must be at most 3600")
		}
		s.TerminationGracePeriodSeconds = new(max(*grace, 1))
	}
	s.ActiveDeadlineSeconds = t.Pod.Spec.ActiveDeadlineSeconds
}

func cut(s string, n int) string { return s[:min(len(s), n)] }
