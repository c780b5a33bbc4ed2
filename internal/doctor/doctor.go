// Package doctor looks at a host and says what cis needs there, what it found, and
// what to do about it.
//
// It reads files below /proc, /sys and /etc, asks the kernel, and tries a sandbox;
// it changes nothing, and what it makes to try goes again at once. It knows neither
// the engine nor the server: whether cisd answers, the caller tells.
//
// Limits: rules of legacy iptables are noticed, not read; other firewalls than
// netfilter's are not seen.
package doctor

import (
	"cmp"
	"context"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"cis/api"
)

// Level tells how bad a finding is.
type Level string

// The levels. With a Problem cis cannot work, or not safely; with a Warning
// something is likely to fail or be missed.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Problem Level = "problem"
)

// Finding is what one check found.
type Finding struct {
	// Check is what was looked at, in a word or two.
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Detail is what was found, Next what to do about it.
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

// Options say what to look at.
type Options struct {
	// DataDir is the data directory of cisd, Libexec that of its programs.
	DataDir, Libexec string
	// Ranges are the address ranges that cisd uses unless it tells others.
	Ranges []netip.Prefix
	// Server asks cisd about itself; nil where it is not on this host.
	Server func(context.Context) (api.Info, error)
}

// Healthy tells whether no finding is a Problem.
func Healthy(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Problem {
			return false
		}
	}
	return true
}

// Run makes every check, one after the other, within a few seconds.
func Run(ctx context.Context, o Options) []Finding {
	h := &host{Options: o, root: os.DirFS("/"), superuser: os.Geteuid() == 0}
	return h.run(ctx, []check{
		(*host).user, (*host).kernel, (*host).seccomp, (*host).namespaces, (*host).ptrace, (*host).cgroups,
		(*host).veth, (*host).nftables, (*host).forwarding, (*host).firewalls, (*host).routes, (*host).dns,
		(*host).programs, (*host).sandbox, (*host).microVM,
		(*host).memory, (*host).space, (*host).clock,
		(*host).server,
	})
}

// host is the machine under examination. All of its methods that are checks say
// something, even if it is only that all is well.
type host struct {
	Options
	// root is the tree of files, for the checks that only read.
	root      fs.FS
	superuser bool
}

type check func(*host, context.Context) Finding

func (h *host) run(ctx context.Context, checks []check) []Finding {
	findings := make([]Finding, 0, len(checks))
	for _, c := range checks {
		f := c(h, ctx)
		f.Level = cmp.Or(f.Level, OK)
		findings = append(findings, f)
	}
	return findings
}

// read gives the content of a file without the white space around it; "" if it
// cannot be read.
func (h *host) read(path string) string {
	data, err := fs.ReadFile(h.root, strings.TrimPrefix(path, "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (h *host) exists(path string) bool {
	_, err := fs.Stat(h.root, strings.TrimPrefix(path, "/"))
	return err == nil
}

func (h *host) user(context.Context) Finding {
	f := Finding{Check: "user", Detail: "root"}
	if !h.superuser {
		f.Level, f.Detail, f.Next = Warning, "not root: what needs root to look at is left out", "run sudo cis doctor"
	}
	return f
}

func (h *host) server(ctx context.Context) Finding {
	f := Finding{Check: "cisd"}
	if h.Server == nil {
		f.Detail = "not asked"
		return f
	}
	info, err := h.Server(ctx)
	if err != nil {
		f.Level, f.Detail, f.Next = Warning, "does not answer: "+err.Error(), "start it: make up, or systemctl start cisd"
		return f
	}
	f.Detail = "answers, version " + info.Version
	for _, i := range info.Isolations {
		if i.Default && !i.Available {
			f.Level, f.Detail, f.Next = Problem, "its isolation does not work: "+i.Detail, "see cis info"
		}
	}
	for _, s := range info.Standby {
		if s.Paused != "" {
			f.Level, f.Detail, f.Next = Warning, "its standby pool is paused: "+s.Paused, "free memory, or start cisd with less -standby"
		}
	}
	return f
}
