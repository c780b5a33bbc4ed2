package podstatus

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis/api"
)

// containers are the statuses of a list of the spec, in its order. When the instance is
// gone they stay as they were told last.
func (in *Input) containers(specs []corev1.Container, old []corev1.ContainerStatus, init bool) (out []corev1.ContainerStatus) {
	for i := range specs {
		c := &specs[i]
		last := named(old, c.Name)
		if s := in.find(c.Name); s != nil {
			status := in.container(c, s, init)
			in.resources(&status, c, last)
			out = append(out, status)
			continue
		}
		switch {
		case last != nil && (last.State.Running != nil || last.State.Terminated != nil || last.LastTerminationState.Terminated != nil):
			out = append(out, lost(*last, in.End, in.Now))
		default:
			out = append(out, in.waiting(c, init))
		}
	}
	return out
}

func (in *Input) find(name string) *api.ContainerStatus {
	if in.Instance == nil {
		return nil
	}
	for _, list := range [][]api.ContainerStatus{
		in.Instance.Status.InitContainerStatuses, in.Instance.Status.ContainerStatuses, in.Instance.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func named(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

// lost is a container whose instance is gone; one that ran has ended somehow.
func lost(s corev1.ContainerStatus, end *End, now metav1.Time) corev1.ContainerStatus {
	s.Ready, s.Started = false, new(false)
	if s.State.Running != nil && end != nil {
		s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated",
			StartedAt: s.State.Running.StartedAt, FinishedAt: now, ContainerID: s.ContainerID}}
	}
	return s
}

// waiting is a container of which nothing exists.
func (in *Input) waiting(c *corev1.Container, init bool) corev1.ContainerStatus {
	wait := &corev1.ContainerStateWaiting{Reason: in.Trouble.Reason, Message: in.Trouble.Message}
	if wait.Reason == "" {
		wait.Reason = in.waitReason(init)
	}
	return corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: corev1.ContainerState{Waiting: wait}, Started: new(false), VolumeMounts: mounts(c)}
}

// waitReason of a container that is about to start.
func (in *Input) waitReason(init bool) string {
	if len(in.Pod.Spec.InitContainers) > 0 && !(init && in.Instance != nil) {
		return api.ReasonPodInitializing
	}
	return api.ReasonContainerCreating
}

func (in *Input) container(c *corev1.Container, s *api.ContainerStatus, init bool) corev1.ContainerStatus {
	id := containerID(in.Instance.ID, s.Name, s.RestartCount)
	out := corev1.ContainerStatus{
		Name: s.Name, Image: c.Image, ImageID: ImageID(s.Image, s.ImageID), RestartCount: int32(s.RestartCount),
		Started: new(s.Started), Ready: s.Ready, VolumeMounts: mounts(c),
		State:                in.state(s.State, id, init),
		LastTerminationState: in.state(s.LastState, containerID(in.Instance.ID, s.Name, s.RestartCount-1), init),
	}
	if out.State.Running != nil || out.State.Terminated != nil {
		out.ContainerID, out.User = id, user(s.User)
	} else if out.LastTerminationState.Terminated != nil {
		out.ContainerID = out.LastTerminationState.Terminated.ContainerID
	}
	if init && !sidecar(c) {
		// An init container is ready when it has done its work.
		out.Ready, out.Started = succeeded(out.State), new(out.State.Running != nil)
	}
	return out
}

// resources are those that hold: while a resize is not over, the ones that were told last.
func (in *Input) resources(out *corev1.ContainerStatus, c *corev1.Container, last *corev1.ContainerStatus) {
	changing := in.Resize.Pending != nil || in.Resize.InProgress != nil
	switch {
	case changing && last != nil && last.Resources != nil:
		out.Resources, out.AllocatedResources = last.Resources, last.AllocatedResources
		if in.Resize.Pending == nil {
			out.AllocatedResources = c.Resources.Requests
		}
	case out.State.Running != nil:
		out.Resources = c.Resources.DeepCopy()
		out.Resources.Claims = nil
		out.AllocatedResources = out.Resources.Requests
	}
}

// user that a program began as, where the instance tells it.
func user(u *api.ContainerUser) *corev1.ContainerUser {
	if u == nil {
		return nil
	}
	return &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: u.UID, GID: u.GID, SupplementalGroups: u.SupplementalGroups}}
}

// mounts are those of the spec. None is read-only recursively: that is refused where it is asked
// for by all means.
func mounts(c *corev1.Container) (out []corev1.VolumeMountStatus) {
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			s.RecursiveReadOnly = new(corev1.RecursiveReadOnlyDisabled)
		}
		out = append(out, s)
	}
	return out
}

// sidecar tells it of an init container.
func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func succeeded(s corev1.ContainerState) bool {
	return s.Terminated != nil && s.Terminated.ExitCode == 0
}

func (in *Input) state(s api.ContainerState, id string, init bool) (out corev1.ContainerState) {
	switch {
	case s.Running != nil:
		out.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.Running.StartedAt)}
	case s.Terminated != nil && s.Terminated.StartedAt.IsZero() && s.Terminated.Reason == api.ReasonNotStarted:
		out.Waiting = &corev1.ContainerStateWaiting{Reason: in.waitReason(init)}
	case s.Terminated != nil:
		t := s.Terminated
		out.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: int32(t.ExitCode), Signal: int32(t.Signal), Reason: endReason(t), Message: in.message(t.Message),
			StartedAt: metav1.NewTime(t.StartedAt), FinishedAt: metav1.NewTime(t.FinishedAt), ContainerID: id}
	case s.Waiting != nil:
		out.Waiting = &corev1.ContainerStateWaiting{Reason: s.Waiting.Reason, Message: s.Waiting.Message}
		if s.Waiting.Reason == "" || s.Waiting.Reason == api.ReasonContainerCreating {
			out.Waiting.Reason = in.waitReason(init)
		}
	}
	return out
}

// maxMessages bounds the messages of all containers of a pod, in bytes, as a kubelet does.
const maxMessages = 12 << 10

// message is as much of one as a container of the pod may have.
func (in *Input) message(text string) string {
	spec := in.Pod.Spec
	share := maxMessages / max(len(spec.Containers)+len(spec.InitContainers)+len(spec.EphemeralContainers), 1)
	return strings.ToValidUTF8(text[:min(len(text), share)], "")
}

// endReason has the words of a kubelet: a stop is told by the pod, not by its containers.
func endReason(t *api.StateTerminated) string {
	switch t.Reason {
	case api.ReasonStopped, api.ReasonDeadlineExceeded, "":
		if t.ExitCode == 0 {
			return api.ReasonCompleted
		}
		return api.ReasonError
	}
	return t.Reason
}

// containerID is cis:// and the instance, the container and the number of its start.
func containerID(instance, container string, attempt int) string {
	if attempt < 0 {
		return ""
	}
	return fmt.Sprintf("cis://%s/%s/%d", instance, container, attempt)
}

// ImageID is the reference by digest of an image that a reference leads to; empty without a digest.
func ImageID(ref, digest string) string {
	if digest == "" {
		return ""
	}
	repository, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	return repository + "@" + digest
}
