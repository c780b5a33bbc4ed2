package cli

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"cis/api"
)

// The parts of a spec as one line of text each; empty for what is not set.

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func joinText(parts ...string) string {
	var full []string
	for _, p := range parts {
		if p != "" {
			full = append(full, p)
		}
	}
	return strings.Join(full, ", ")
}

func mapText[T any](items []T, text func(T) string) []string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = text(item)
	}
	return lines
}

// words quotes the arguments that a shell would split.
func words(args []string) string {
	quoted := mapText(args, func(s string) string {
		if s == "" || strings.ContainsAny(s, " \t\n\"'\\$&|;<>()*?#~`") {
			return strconv.Quote(s)
		}
		return s
	})
	return strings.Join(quoted, " ")
}

func sizeText(s *api.InstanceSpec) string {
	return joinText(s.Size, s.CPU.String()+" cpu", s.Memory.String()+" memory")
}

func byteText(b api.Bytes) string {
	if b == 0 {
		return ""
	}
	return b.String()
}

func secondsText(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10) + "s"
}

func isolationText(inst *api.Instance) string {
	text := string(firstOfIsolation(inst))
	if inst.Status.Standby {
		text += ", from the standby pool"
	}
	return text
}

func limitsText(l api.ResourceList) string {
	var parts []string
	if l.CPU != 0 {
		parts = append(parts, l.CPU.String()+" cpu")
	}
	if l.Memory != 0 {
		parts = append(parts, l.Memory.String()+" memory")
	}
	return strings.Join(parts, ", ")
}

func inputText(c *api.Container) string {
	var parts []string
	if c.TTY {
		parts = append(parts, "tty")
	}
	if c.Stdin {
		parts = append(parts, "stdin")
	}
	if c.StdinOnce {
		parts = append(parts, "closed after the first client")
	}
	return strings.Join(parts, ", ")
}

func portText(p api.ContainerPort) string {
	protocol := p.Protocol
	if protocol == "" {
		protocol = "TCP"
	}
	return joinText(fmt.Sprintf("%d/%s", p.ContainerPort, protocol), p.Name)
}

// publishedText is HOST:PORT -> PORT/PROTOCOL.
func publishedText(p api.PublishedPort) string {
	host := p.HostAddress
	if host == "" {
		host = "*"
	}
	text := fmt.Sprintf("%s->%d/%s", net.JoinHostPort(host, strconv.Itoa(p.HostPort)), p.Port, strings.ToLower(p.Protocol))
	if p.Guarded {
		text += " (guarded)"
	}
	return text
}

func bandwidthText(b api.Bandwidth) string {
	var parts []string
	for _, way := range []struct {
		word string
		rate api.BitRate
	}{{"in", b.In}, {"out", b.Out}} {
		if way.rate != 0 {
			parts = append(parts, fmt.Sprintf("%sbit/s %s", way.rate, way.word))
		}
	}
	return strings.Join(parts, ", ")
}

func mountText(m api.VolumeMount) string {
	text := m.MountPath + " from " + path.Join(m.Name, m.SubPath)
	if m.ReadOnly {
		text += " (read-only)"
	}
	return text
}

func capabilitiesText(c *api.Capabilities) string {
	var parts []string
	for _, name := range c.Add {
		parts = append(parts, "+"+name)
	}
	for _, name := range c.Drop {
		parts = append(parts, "-"+name)
	}
	return strings.Join(parts, " ")
}

func volumeText(v *api.Volume) string {
	switch {
	case v.EmptyDir != nil:
		where := "on disk"
		if v.EmptyDir.Medium == "Memory" {
			where = "in memory"
		}
		text := "empty directory " + where
		if v.EmptyDir.SizeLimit != 0 {
			text += ", at most " + v.EmptyDir.SizeLimit.String()
		}
		return text
	case v.Files != nil:
		return "files " + strings.Join(mapText(v.Files.Items, func(f api.FileItem) string { return f.Path }), ", ")
	case v.Secret != nil:
		return "secret " + v.Secret.SecretName
	case v.Projected != nil:
		sources, _ := v.Secrets()
		return "secrets " + strings.Join(mapText(sources, func(s api.SecretProjection) string { return s.Name }), ", ")
	case v.Disk != nil:
		return "disk " + v.Disk.Name
	case v.NFS != nil:
		text := "directory " + v.NFS.Path + " of the NFS server " + v.NFS.Server
		if v.NFS.ReadOnly {
			text += " (read-only)"
		}
		return text
	}
	return ""
}

// orDefault is n, or the default where n is not set.
func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// probeText names Kubernetes' defaults where the spec leaves them open.
func probeText(p *api.Probe) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s every %ds, delay %ds, timeout %ds, success %d, failure %d", handlerText(&p.Handler),
		orDefault(p.PeriodSeconds, 10), p.InitialDelaySeconds, orDefault(p.TimeoutSeconds, 1),
		orDefault(p.SuccessThreshold, 1), orDefault(p.FailureThreshold, 3))
}

func handlerText(h *api.Handler) string {
	switch {
	case h == nil:
		return ""
	case h.Exec != nil:
		return "exec " + words(h.Exec.Command)
	case h.HTTPGet != nil:
		scheme := "http"
		if h.HTTPGet.Scheme != "" {
			scheme = strings.ToLower(h.HTTPGet.Scheme)
		}
		return fmt.Sprintf("%s port %d path /%s", scheme, h.HTTPGet.Port, strings.TrimPrefix(h.HTTPGet.Path, "/"))
	case h.TCPSocket != nil:
		return fmt.Sprintf("tcp port %d", h.TCPSocket.Port)
	case h.GRPC != nil:
		return strings.TrimSpace(fmt.Sprintf("grpc port %d %s", h.GRPC.Port, h.GRPC.Service))
	case h.Sleep != nil:
		return fmt.Sprintf("sleep %ds", h.Sleep.Seconds)
	}
	return ""
}
