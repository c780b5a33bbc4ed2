package pods

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// addContainers gives the instance the pod's ephemeral containers that it does not have yet.
func (w *worker) addContainers(ctx context.Context, pod *corev1.Pod, in api.Instance) error {
	if in.Status.Phase.Finished() || in.Status.Stopping {
		return nil
	}
	var failures []error
	for n, c := range pod.Spec.EphemeralContainers {
		if _, refused := w.notAdded[c.Name]; !refused && !in.Spec.HasEphemeral(c.Name) {
			failures = append(failures, w.addContainer(ctx, pod, n, in))
		}
	}
	return errors.Join(failures...)
}

// addContainer adds one, or tells by event and status why it cannot be. That it names what
// is missing, or that cis does not answer, is an error: it is tried again.
func (w *worker) addContainer(ctx context.Context, pod *corev1.Pod, n int, in api.Instance) error {
	if !w.retry.due() {
		return errNotDue
	}
	name := pod.Spec.EphemeralContainers[n].Name
	input, err := w.input(ctx, pod, translate.EphemeralNeeds(pod, n))
	if err != nil {
		return err
	}
	c, err := translate.Ephemeral(input, n)
	var changed api.Instance
	if err == nil {
		changed, err = w.k.Cis.AddContainer(ctx, in.ID, c)
	}
	var refusal *translate.Refusal
	var missing *translate.Missing
	switch {
	case err == nil:
		w.k.instances.put(changed)
		return nil
	case errors.As(err, &missing):
		w.event(pod, corev1.EventTypeWarning, "Failed", "Error: "+missing.Message)
		return err
	case errors.As(err, &refusal), api.CodeOf(err) == api.Invalid:
		w.notAdded[name] = err.Error()
		w.event(pod, corev1.EventTypeWarning, "Refused", err.Error())
		return nil
	case api.CodeOf(err) == api.Conflict, api.CodeOf(err) == api.NotFound:
		return nil // it has it, or ends: its next state tells
	}
	return fmt.Errorf("add container %s: %w", name, err)
}
