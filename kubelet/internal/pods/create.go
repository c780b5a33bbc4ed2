package pods

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/podstatus"
	"cis-kubelet/internal/translate"
	"cis/api"
)

// create makes the pod's instance. A pod that was refused waits for another generation.
func (w *worker) create(ctx context.Context, pod *corev1.Pod) error {
	if w.refused == pod.Generation {
		return nil
	}
	if !w.retry.due() {
		return errNotDue
	}
	out, err := w.translate(ctx, pod)
	if err == nil {
		err = w.make(ctx, pod, out)
	}
	if err == nil {
		w.trouble = podstatus.Trouble{}
		return nil
	}
	return w.failed(pod, err)
}

// errNotDue: news came while the worker waits for its next try.
var errNotDue = errors.New("the last try failed a moment ago")

// make keeps the pod's secrets and its security group, then creates the instance. What a
// try before it made already is found by the client token, or by its name.
func (w *worker) make(ctx context.Context, pod *corev1.Pod, out translate.Output) (err error) {
	group, release, err := w.k.Groups.Hold(ctx, pod)
	if err != nil {
		return err
	}
	defer func() { release(err) }()
	out.Request.Network.SecurityGroups = []string{group}
	w.secrets = w.secrets[:0]
	for _, s := range out.Secrets {
		w.secrets = append(w.secrets, s.Name)
		if err := w.keep(ctx, s); err != nil {
			return err
		}
	}
	in, err := w.k.Cis.Create(ctx, out.Request)
	if api.CodeOf(err) == api.Conflict {
		old, absent := w.k.Cis.Get(ctx, out.Request.Name)
		switch e, _ := errors.AsType[*api.Error](err); {
		case absent == nil && uidOf(old) == w.uid:
			in, err = old, nil
		case api.CodeOf(absent) == api.NotFound && e.Field == "clientToken":
			// It was made and removed while nobody looked.
			w.made = true
			w.poke()
			return nil
		}
	}
	if err != nil {
		return err
	}
	w.made = true
	w.k.instances.put(in)
	return nil
}

// failed says by event and status why there is no instance yet.
func (w *worker) failed(pod *corev1.Pod, err error) error {
	var refusal *translate.Refusal
	var missing *translate.Missing
	switch {
	case errors.As(err, &refusal):
		return w.refuse(pod, refusal.Error())
	case errors.As(err, &missing) && missing.Volume != "":
		w.event(pod, corev1.EventTypeWarning, "FailedMount", fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", missing.Volume, missing.Message))
	case errors.As(err, &missing):
		w.trouble = podstatus.Trouble{Reason: "CreateContainerConfigError", Message: missing.Message}
		w.event(pod, corev1.EventTypeWarning, "Failed", "Error: "+missing.Message)
	case api.CodeOf(err) == api.Invalid:
		return w.refuse(pod, err.Error())
	default:
		w.event(pod, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+err.Error())
	}
	return err
}

// refuse leaves the pod pending: a failed one would be made anew at once, over and over.
func (w *worker) refuse(pod *corev1.Pod, message string) error {
	w.refused = pod.Generation
	w.trouble = podstatus.Trouble{Reason: "CreateContainerConfigError", Message: message}
	w.event(pod, corev1.EventTypeWarning, "Refused", message)
	return nil
}

func (w *worker) event(pod *corev1.Pod, kind, reason, message string) {
	w.k.Recorder.Event(pod, kind, reason, message)
}

// translate gathers what the pod names.
func (w *worker) translate(ctx context.Context, pod *corev1.Pod) (translate.Output, error) {
	isolation, err := w.k.isolation(pod)
	if err != nil {
		return translate.Output{}, err
	}
	w.follow(ctx, pod)
	in, err := w.input(ctx, pod, translate.NeedsOf(pod))
	if err != nil {
		return translate.Output{}, err
	}
	in.Isolation = isolation
	out, err := translate.Pod(in)
	if err != nil {
		return out, err
	}
	for _, claim := range in.Material.Claims {
		if err := w.k.GrowDisk(ctx, claim.PersistentVolumeClaim, claim.Volume); err != nil {
			return out, err
		}
	}
	return out, nil
}

// input is the pod with what it needs.
func (w *worker) input(ctx context.Context, pod *corev1.Pod, needs translate.Needs) (translate.Input, error) {
	material, err := w.material(ctx, pod, needs)
	size, cpu, memory := w.k.Host()
	return translate.Input{
		Pod: pod, Node: w.k.Node, HostIPs: w.k.HostIPs, DNS: w.k.DNS,
		DefaultSize: size, NodeCPU: cpu, NodeMemory: memory, Material: material,
	}, err
}

// The handlers of runtime classes.
const (
	HandlerVM     = "cis-vm"
	HandlerGVisor = "cis-gvisor"
)

// isolation is what the pod's runtime class asks for.
func (k *Controller) isolation(pod *corev1.Pod) (api.Isolation, error) {
	name := pod.Spec.RuntimeClassName
	if name == nil || *name == "" {
		return api.IsolationAuto, nil
	}
	class, err := k.classes.Get(*name)
	if err != nil {
		return "", &translate.Missing{Message: fmt.Sprintf("runtimeclass %q not found", *name)}
	}
	switch class.Handler {
	case HandlerVM:
		return api.IsolationVM, nil
	case HandlerGVisor:
		return api.IsolationGVisor, nil
	}
	return "", &translate.Refusal{Fields: []translate.FieldProblem{{Field: "spec.runtimeClassName",
		Why: fmt.Sprintf("handler %q is none of %s and %s", class.Handler, HandlerVM, HandlerGVisor)}}}
}
