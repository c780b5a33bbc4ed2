package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cis/api"
)

// labelWidth is the column in which a description's values begin.
const labelWidth = 18

// description is text for people: lines of "Label: value", indented by level.
type description struct {
	b      strings.Builder
	styles palette
	now    time.Time // the times are printed in its zone
	level  int
}

func newDescription(styles palette) *description {
	return &description{styles: styles, now: time.Now()}
}

func (d *description) write(w io.Writer) error {
	_, err := io.WriteString(w, d.b.String())
	return err
}

func (d *description) blank() { d.b.WriteByte('\n') }

// line writes a label and its value; an empty value is left out.
func (d *description) line(label, value string) { d.colored(label, value, 0) }

func (d *description) colored(label, value string, c color) {
	if value == "" {
		return
	}
	indent := 2 * d.level
	fmt.Fprintf(&d.b, "%*s%-*s%s\n", indent, "", max(labelWidth-indent, len(label)+2), label+":", d.styles.paint(c, clean(value)))
}

// section writes a heading and what body puts below it.
func (d *description) section(heading string, body func()) {
	fmt.Fprintf(&d.b, "%*s%s\n", 2*d.level, "", d.styles.paint(bold, clean(heading)+":"))
	d.level++
	body()
	d.level--
}

// lines writes one value per line, the label on the first.
func (d *description) lines(label string, values []string) {
	for i, v := range values {
		if i > 0 {
			fmt.Fprintf(&d.b, "%*s%s\n", max(labelWidth, 2*d.level+len(label)+2), "", clean(v))
			continue
		}
		d.line(label, v)
	}
}

func (d *description) time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", t.In(d.now.Location()).Format(time.RFC3339), since(d.now, *t))
}

func (d *description) instance(inst *api.Instance, cost string, events []api.Event) {
	spec, status := &inst.Spec, &inst.Status
	d.line("Name", spec.Name)
	d.line("ID", inst.ID)
	d.line("Account", inst.Account)
	d.lines("Labels", sortedPairs(spec.Labels))
	d.colored("Status", statusText(inst, d.now), statusColor(inst))
	d.line("Reason", status.Reason)
	d.line("Message", status.Message)
	if status.ExitCode != nil {
		d.line("Exit code", strconv.Itoa(*status.ExitCode))
	}
	d.line("Ready", yesNo(status.Ready))
	d.line("Created", d.time(&inst.CreatedAt))
	d.line("Started", d.time(status.StartedAt))
	d.line("Finished", d.time(status.FinishedAt))
	d.line("Size", sizeText(spec))
	if now := status.Resources; now != spec.Resources() {
		d.line("Size now", limitsText(now))
		d.line("Resize", status.ResizeMessage)
	}
	d.line("Storage", byteText(spec.EphemeralStorage))
	d.line("Isolation", isolationText(inst))
	d.line("Cost so far", cost)
	d.network(inst)
	d.line("Hostname", spec.NodeName())
	d.line("Full name", spec.FQDN())
	if spec.ShareProcessNamespace {
		d.line("Processes", "shared by the containers")
	}
	d.line("Restart", string(spec.RestartPolicy))
	d.line("Grace period", secondsText(spec.TerminationGracePeriodSeconds))
	d.line("Deadline", secondsText(spec.ActiveDeadlineSeconds))
	d.line("Kept for", secondsText(spec.TTLSecondsAfterFinished))
	d.line("Pull secrets", strings.Join(spec.ImagePullSecrets, ", "))
	d.containers("Init containers", spec.InitContainers, status.InitContainerStatuses)
	d.containers("Containers", spec.Containers, status.ContainerStatuses)
	d.containers("Added containers", added(spec), status.EphemeralContainerStatuses)
	d.volumes(spec.Volumes)
	d.timings(status.Timings)
	d.events(events)
}

// added are the containers that came while the instance ran.
func added(spec *api.InstanceSpec) (containers []api.Container) {
	for _, c := range spec.EphemeralContainers {
		containers = append(containers, c.Container)
	}
	return containers
}

// network shows the instance's place on the network.
func (d *description) network(inst *api.Instance) {
	spec, status := &inst.Spec.Network, &inst.Status
	d.line("VPC", spec.VPC)
	d.line("Subnet", spec.Subnet)
	d.line("Security groups", strings.Join(spec.SecurityGroups, ", "))
	d.line("Address", status.Address)
	d.line("IPv6 address", status.Address6)
	d.line("Public address", status.PublicAddress)
	d.lines("Published ports", mapText(status.Ports, publishedText))
	d.line("Bandwidth", bandwidthText(spec.Bandwidth))
	if inst.Spec.DNSPolicy == api.DNSNone {
		d.line("DNS policy", string(inst.Spec.DNSPolicy))
	}
	if c := inst.Spec.DNSConfig; c != nil {
		d.line("Name servers", strings.Join(c.Nameservers, ", "))
		d.line("DNS searches", strings.Join(c.Searches, ", "))
	}
}

func (d *description) containers(heading string, containers []api.Container, statuses []api.ContainerStatus) {
	if len(containers) == 0 {
		return
	}
	d.section(heading, func() {
		for i := range containers {
			c := &containers[i]
			var status api.ContainerStatus
			if j := slices.IndexFunc(statuses, func(s api.ContainerStatus) bool { return s.Name == c.Name }); j >= 0 {
				status = statuses[j]
			}
			d.section(c.Name, func() { d.container(c, &status) })
		}
	})
}

func (d *description) container(c *api.Container, s *api.ContainerStatus) {
	d.line("Image", c.Image)
	d.line("Image ID", s.ImageID)
	d.state("State", &s.State)
	d.state("Last state", &s.LastState)
	d.line("Ready", yesNo(s.Ready))
	d.line("Restarts", strconv.Itoa(s.RestartCount))
	d.line("Command", words(c.Command))
	d.line("Args", words(c.Args))
	d.line("Working dir", c.WorkingDir)
	d.line("User", c.User)
	d.line("Limits", limitsText(c.Resources.Limits))
	d.line("Terminal", inputText(c))
	d.lines("Ports", mapText(c.Ports, portText))
	d.lines("Env", mapText(c.Env, func(e api.EnvVar) string { return e.Name + "=" + e.Value }))
	d.lines("Mounts", mapText(c.VolumeMounts, mountText))
	if sc := c.SecurityContext; sc != nil {
		if sc.ReadOnlyRootFilesystem {
			d.line("Root", "read-only")
		}
		if allow := sc.AllowPrivilegeEscalation; allow != nil && !*allow {
			d.line("Privileges", "no new ones")
		}
		if sc.Capabilities != nil {
			d.line("Capabilities", capabilitiesText(sc.Capabilities))
		}
	}
	d.line("Restart policy", string(c.RestartPolicy))
	d.lines("Restart rules", mapText(c.RestartPolicyRules, restartRuleText))
	d.line("Startup", probeText(c.StartupProbe))
	d.line("Liveness", probeText(c.LivenessProbe))
	d.line("Readiness", probeText(c.ReadinessProbe))
	if c.Lifecycle != nil {
		d.line("Post start", handlerText(c.Lifecycle.PostStart))
		d.line("Pre stop", handlerText(c.Lifecycle.PreStop))
		d.line("Stop signal", c.Lifecycle.StopSignal)
	}
}

func restartRuleText(r api.ContainerRestartRule) string {
	return fmt.Sprintf("%s if the exit code is %s %v", r.Action, r.ExitCodes.Operator, r.ExitCodes.Values)
}

func (d *description) state(label string, s *api.ContainerState) {
	switch {
	case s.Running != nil:
		d.colored(label, "Running since "+d.time(&s.Running.StartedAt), green)
	case s.Waiting != nil:
		d.colored(label, joinText("Waiting", s.Waiting.Reason, s.Waiting.Message), yellow)
	case s.Terminated != nil:
		t := s.Terminated
		end := fmt.Sprintf("Terminated with exit code %d", t.ExitCode)
		if t.Signal != 0 {
			end += fmt.Sprintf(" (signal %d)", t.Signal)
		}
		c := red
		if t.ExitCode == 0 {
			c = faint
		}
		d.colored(label, joinText(end, t.Reason, t.Message, d.time(&t.FinishedAt)), c)
	}
}

func (d *description) volumes(volumes []api.Volume) {
	if len(volumes) == 0 {
		return
	}
	d.section("Volumes", func() {
		for _, v := range volumes {
			d.line(v.Name, volumeText(&v))
		}
	})
}

// timings shows where the time of the latest start went.
func (d *description) timings(t api.Timings) {
	if t.Total == 0 {
		return
	}
	d.section("Start", func() {
		for _, part := range []struct {
			label string
			ms    float64
		}{
			{"Admission", t.Admission}, {"Image", t.Image}, {"Network", t.Network},
			{"Sandbox", t.Sandbox}, {"Container", t.Container}, {"Total", t.Total}, {"First output", t.FirstOutput},
		} {
			d.line(part.label, millis(part.ms))
		}
	})
}

func (d *description) events(events []api.Event) {
	if len(events) == 0 {
		return
	}
	d.section("Events", func() {
		t := eventColumns{}.table(d.styles)
		for i := range events {
			eventColumns{}.add(t, &events[i], d.now)
		}
		var b strings.Builder
		_ = t.write(&b) // a strings.Builder never fails
		for line := range strings.Lines(b.String()) {
			d.b.WriteString("  " + line)
		}
	})
}

func sortedPairs(m map[string]string) []string {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, k+"="+m[k])
	}
	return pairs
}
