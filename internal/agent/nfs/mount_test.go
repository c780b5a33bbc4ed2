package nfs

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
)

func TestOptions(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for _, tt := range []struct {
		version        string
		server, client netip.Addr
		want           string
	}{
		{"4.2", v4, v4, "vers=4.2,addr=10.0.0.1,proto=tcp,hard,sec=sys,clientaddr=10.0.0.1"},
		{"4.0", v6, v6, "vers=4.0,addr=fd00::1,proto=tcp6,hard,sec=sys,clientaddr=fd00::1"},
		{"3", v4, v4, "vers=3,addr=10.0.0.1,proto=tcp,hard,sec=sys,nolock,mountproto=tcp,mountaddr=10.0.0.1"},
	} {
		if got := options(tt.version, tt.server, tt.client); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	for server, want := range map[string]string{"nas.lan": "nas.lan:/a", "10.0.0.1": "10.0.0.1:/a", "fd00::1": "[fd00::1]:/a"} {
		if got := source(&agentpb.NFS{Server: server, Path: "/a"}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestNegotiate: which versions are tried, and which failure is told.
func TestNegotiate(t *testing.T) {
	all := []string{"4.2", "4.1", "4.0", "3"}
	for name, tt := range map[string]struct {
		versions []string
		fails    map[string]error
		tried    string
		failure  error
	}{
		"the highest":          {all, nil, "4.2", nil},
		"an old server":        {all, map[string]error{"4.2": unix.EPROTONOSUPPORT, "4.1": unix.EINVAL}, "4.2 4.1 4.0", nil},
		"version 3 only":       {all, map[string]error{"4.2": unix.EPROTONOSUPPORT, "4.1": unix.EPROTONOSUPPORT, "4.0": unix.EPROTONOSUPPORT}, "4.2 4.1 4.0 3", nil},
		"other names":          {all, map[string]error{"4.2": unix.ENOENT, "4.1": unix.ENOENT, "4.0": unix.ENOENT}, "4.2 4.1 4.0 3", nil},
		"no such directory":    {all, map[string]error{"4.2": unix.ENOENT, "4.1": unix.ENOENT, "4.0": unix.ENOENT, "3": unix.ETIMEDOUT}, "4.2 4.1 4.0 3", unix.ENOENT},
		"not for this host":    {all, map[string]error{"4.2": unix.EACCES}, "4.2", unix.EACCES},
		"no answer":            {all, map[string]error{"4.2": context.DeadlineExceeded}, "4.2", context.DeadlineExceeded},
		"a version it has not": {[]string{"4.1"}, map[string]error{"4.1": unix.EPROTONOSUPPORT}, "4.1", unix.EPROTONOSUPPORT},
	} {
		t.Run(name, func(t *testing.T) {
			var tried []string
			err := negotiate(tt.versions, func(version string) error {
				tried = append(tried, version)
				return tt.fails[version]
			})
			if !errors.Is(err, tt.failure) || strings.Join(tried, " ") != tt.tried {
				t.Errorf("tried %v: %v", tried, err)
			}
		})
	}
}

// TestNoServer: what cannot be reached is told with its name, soon, and nothing is made.
func TestNoServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share")
	_, err := Mount(t.Context(), &agentpb.NFS{Server: "127.0.0.1", Path: "/data", Versions: []string{"4.2"}}, dir)
	if err == nil || !strings.Contains(err.Error(), "/data of the NFS server 127.0.0.1") {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestBounded: a call that never returns is waited for as long as the context.
func TestBounded(t *testing.T) {
	cause := errors.New("late")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
	defer cancel()
	never := make(chan error)
	defer close(never)
	if err := bounded(ctx, func() error { return <-never }); !errors.Is(err, cause) {
		t.Error(err)
	}
	if err := bounded(t.Context(), func() error { return unix.EACCES }); !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
}
