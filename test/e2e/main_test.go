package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"cis/test/stage"
)

// isolations that every case runs with.
var isolations = []string{"gvisor", "vm"}

// TestMain builds the programs, so that it is never old ones that are tested.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := stage.Build("packages up", "build"); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tests of one kind: name and what to do.
type tests map[string]func(*env)

// TestInstances runs every case that needs nothing but a running cisd.
func TestInstances(t *testing.T) {
	groups := map[string]tests{
		"run": runTests, "terminal": terminalTests, "logs": logTests, "exec": execTests, "debug": debugTests, "resize": resizeTests, "copy": copyTests,
		"life": lifeTests, "limits": limitTests, "volumes": volumeTests, "disks": diskTests, "spec": specTests, "probes": probeTests,
		"network": networkTests, "images": imageTests, "api": apiTests, "escape": escapeTests,
	}
	for _, isolation := range isolations {
		t.Run(isolation, func(t *testing.T) {
			s := open(t, stage.Config{Flags: []string{"-standby", "2", "-dns", outsideDNS(t)}})
			t.Run("cpu share", func(t *testing.T) { cpuShare(&env{T: t, stage: s, isolation: isolation}) })
			for group, cases := range groups {
				t.Run(group, func(t *testing.T) {
					for name, test := range cases {
						t.Run(name, func(t *testing.T) {
							t.Parallel()
							test(&env{T: t, stage: s, isolation: isolation})
						})
					}
				})
			}
		})
	}
}

// open starts a stage that ends with the test; what it leaves behind is a failure.
func open(t *testing.T, c stage.Config) *stage.Stage {
	t.Helper()
	s, err := stage.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("cisd said:\n%s", s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
