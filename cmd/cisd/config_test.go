package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/engine"
)

func TestDefaults(t *testing.T) {
	c, err := parseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.socket != "/run/cis/cis.sock" || c.defaultSize != (api.Size{CPU: 500, Memory: 256 * api.MiB}) {
		t.Errorf("socket %s, default size %+v", c.socket, c.defaultSize)
	}
	if want := (engine.StandbyShape{CPU: 500, Memory: 256 * api.MiB, Count: 2}); len(c.standby.Shapes) != 1 || c.standby.Shapes[0] != want {
		t.Errorf("standby %+v", c.standby.Shapes)
	}
	l, err := c.limits()
	if err != nil || l.Reserved <= 0 || l.Reserved >= l.Memory || !l.AnySize {
		t.Errorf("limits %+v, %v", l, err)
	}
}

func TestFlags(t *testing.T) {
	c, err := parseConfig(strings.Fields("-run-dir /r -size small=0.5,512Mi -size big=2,4Gi -any-size=false -default-size 1,1Gi " +
		"-standby 3 -standby 1=2,4Gi -standby 0=0.05,32Mi -registry-ca-for a:5000=/ca.pem -images-max-size 1Gi -public-addresses 203.0.113.8/29,203.0.113.1"))
	if err != nil {
		t.Fatal(err)
	}
	if c.socket != "/r/cis.sock" || len(c.sizes) != 2 || c.sizes[1] != (api.Size{Name: "big", CPU: 2000, Memory: 4 * api.GiB}) {
		t.Errorf("socket %s, sizes %+v", c.socket, c.sizes)
	}
	if got := fmt.Sprint(c.publicAddresses); got != "[203.0.113.8/29 203.0.113.1/32]" {
		t.Errorf("public addresses %s", got)
	}
	want := []engine.StandbyShape{{CPU: 1000, Memory: api.GiB, Count: 3}, {CPU: 2000, Memory: 4 * api.GiB, Count: 1}}
	if len(c.standby.Shapes) != 2 || c.standby.Shapes[0] != want[0] || c.standby.Shapes[1] != want[1] {
		t.Errorf("standby %+v", c.standby.Shapes)
	}
	if files, err := c.registryCAFiles(); err != nil || files["a:5000"] != "/ca.pem" {
		t.Errorf("registry CAs %v, %v", files, err)
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"-cidr 10.0.0.0/30":                    "-cidr",
		"-cidr fd00::/64":                      "-cidr",
		"-public-addresses 1.2.3.4/24":         "IPv4 range of /16 to /32",
		"-public-addresses 1.2.3.4,1.2.3.4/30": "overlaps",
		"-https-listen :1":                     "-tls-cert",
		"-cloudapi-listen :7480":               "-tls-cert",
		"-cloudapi-listen 127.0.0.1:1 -zone=":  "-zone",
		"-cpu-overcommit 0":                    "-cpu-overcommit",
		"-pids 1":                              "-pids",
		"-any-size=false":                      "-size",
		"-size x":                              "NAME=CPU,MEMORY",
		"-size x=1":                            "CPU,MEMORY",
		"-standby many":                        "count",
		"-standby -1":                          "count",
		"-default-size 1":                      "CPU,MEMORY",
		"-images-max-size much":                "amount of bytes",
		"-default-size 0.07,64Mi":              "multiple of 0.05 cores",
		"-size a=1,1Mi":                        "from 32Mi",
		"extra":                                "no arguments",
		"-default-size 0.07,1Mi -foo":          "-foo",
	} {
		if _, err := parseConfig(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestOneServerForEachDirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second server: %v", err)
	}
	unlock()
	unlock, err = lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestStartFailuresNameTheirCause(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"-log-level loud": "-log-level",
		"-libexec-dir /nowhere -data-dir " + dir + " -run-dir " + filepath.Join(dir, "r") + " -clean": "cis-pause",
	} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
