package cli

import (
	"fmt"
	"strings"
	"time"

	"cis/api"
)

// statusText says in a few words how an instance is, as ps shows it.
func statusText(inst *api.Instance, now time.Time) string {
	s := &inst.Status
	switch {
	case s.Phase.Finished():
		return endText(s, now)
	case s.Stopping:
		return string(s.Phase) + " Stopping"
	case s.Phase == api.PhasePending:
		return strings.TrimSpace("Pending " + firstOf(waitingReason(s), s.Reason))
	}
	// Running, but a container that waits for its next start is the news.
	if reason := waitingReason(s); reason != "" && s.Phase == api.PhaseRunning {
		return "Running " + reason
	}
	if s.StartedAt != nil {
		return string(s.Phase) + " " + since(now, *s.StartedAt)
	}
	return string(s.Phase)
}

// endText is "Failed OOMKilled (137) 1m ago". The reason is left out where the
// phase and the code say it all.
func endText(s *api.InstanceStatus, now time.Time) string {
	words := []string{string(s.Phase)}
	if reason := endReason(s); reason != "" && reason != api.ReasonCompleted && reason != api.ReasonError {
		words = append(words, reason)
	}
	if s.ExitCode != nil {
		words = append(words, fmt.Sprintf("(%d)", *s.ExitCode))
	}
	if s.FinishedAt != nil {
		words = append(words, since(now, *s.FinishedAt)+" ago")
	}
	return strings.Join(words, " ")
}

// endReason is the instance's reason, else that of the first container that failed.
func endReason(s *api.InstanceStatus) string {
	if s.Reason != "" {
		return s.Reason
	}
	for _, c := range allContainers(s) {
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 {
			return t.Reason
		}
	}
	return ""
}

// waitingReason is the first reason of a container that waits for more than its
// turn, else the plain one.
func waitingReason(s *api.InstanceStatus) string {
	plain := ""
	for _, c := range allContainers(s) {
		if w := c.State.Waiting; w != nil {
			switch w.Reason {
			case "", api.ReasonContainerCreating, api.ReasonPodInitializing:
				if s.Phase == api.PhasePending && plain == "" {
					plain = w.Reason
				}
			default:
				return w.Reason
			}
		}
	}
	return plain
}

// allContainers in the order in which they start.
func allContainers(s *api.InstanceStatus) []api.ContainerStatus {
	return append(s.InitContainerStatuses[:len(s.InitContainerStatuses):len(s.InitContainerStatuses)], s.ContainerStatuses...)
}

// statusColor is green while all is well, yellow on the way, red after a failure.
func statusColor(inst *api.Instance) color {
	switch s := &inst.Status; {
	case s.Phase == api.PhaseFailed:
		return red
	case s.Phase == api.PhaseSucceeded:
		return faint
	case s.Phase == api.PhaseRunning && s.Ready:
		return green
	}
	return yellow
}

// readyText counts ready containers: 1/2.
func readyText(inst *api.Instance) string {
	ready := 0
	for _, c := range inst.Status.ContainerStatuses {
		if c.Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(inst.Spec.Containers))
}

func restarts(inst *api.Instance) int {
	n := 0
	for _, c := range allContainers(&inst.Status) {
		n += c.RestartCount
	}
	return n
}

func imagesText(inst *api.Instance) string {
	images := make([]string, len(inst.Spec.Containers))
	for i, c := range inst.Spec.Containers {
		images[i] = shortDigest(c.Image)
	}
	return strings.Join(images, ",")
}

// startFailure is the error of containers that do not get as far as their
// programs. Nil while there is hope, and for a program that was found and tried:
// its exit code tells. What an event said, if anything, goes before the record,
// which may tell of the next try already.
func startFailure(containers []api.ContainerStatus, said string) *api.Error {
	for _, c := range containers {
		reason, message := "", ""
		switch t := c.State.Terminated; {
		case c.State.Waiting != nil:
			reason, message = c.State.Waiting.Reason, c.State.Waiting.Message
		case t != nil && t.StartedAt.IsZero():
			reason, message = t.Reason, t.Message
		}
		if reason == api.ReasonImagePullBackOff {
			reason = api.ReasonErrImagePull
		}
		switch reason {
		case api.ReasonErrImagePull, api.ReasonErrImageNeverPull, api.ReasonInvalidImageName:
			return api.Errorf(api.Unavailable, "%s: %s", reason, firstOf(said, message, "the image "+c.Image+" could not be fetched")).
				WithNext("%s", imageNextStep(reason, c.Image))
		case api.ReasonCreateError:
			return api.Errorf(api.Unavailable, "%s: %s", reason, firstOf(said, message, "the sandbox could not be made")).
				WithNext("'cis info' tells which kinds of isolation work; the server's log has the details")
		}
	}
	return nil
}

func imageNextStep(reason, image string) string {
	switch reason {
	case api.ReasonErrImageNeverPull:
		return fmt.Sprintf("fetch it with 'cis image pull %s', or leave out --pull never", image)
	case api.ReasonInvalidImageName:
		return "an image is named [REGISTRY/]NAME[:TAG][@sha256:DIGEST]"
	}
	return fmt.Sprintf("check the name, and try 'cis image pull %s'; a private image needs --registry-auth or --pull-secret", image)
}

// endFailure explains an end that the program did not choose: it was killed for
// its memory or its deadline. Nil for any other.
func endFailure(inst *api.Instance) error {
	for _, c := range allContainers(&inst.Status) {
		if t := c.State.Terminated; t != nil && t.Reason == api.ReasonOOMKilled {
			return api.Errorf(api.Exhausted, "OOMKilled: the program used more than %s of memory", inst.Spec.Memory).
				WithNext("give it more with --memory")
		}
	}
	if inst.Status.Reason == api.ReasonDeadlineExceeded {
		return api.Errorf(api.Exhausted, "DeadlineExceeded: %s", firstOf(inst.Status.Message, "the instance ran longer than allowed")).
			WithNext("allow more with --deadline")
	}
	return nil
}
