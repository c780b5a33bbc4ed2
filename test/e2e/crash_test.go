package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/api"
	"cis/client"
	"cis/internal/busybox"
	"cis/test/stage"
)

// ownStage runs a test on a stage of its own, for each isolation.
func ownStage(t *testing.T, test func(*env), flags ...string) {
	for _, isolation := range isolations {
		t.Run(isolation, func(t *testing.T) {
			test(&env{T: t, stage: open(t, stage.Config{Flags: flags}), isolation: isolation})
		})
	}
}

// crash ends cisd at once and starts it again.
func (e *env) crash() {
	e.Helper()
	if err := e.stage.Kill(); err != nil {
		e.Fatal(err)
	}
	e.again()
}

func (e *env) again() {
	e.Helper()
	if err := e.stage.Start(e.Context()); err != nil {
		e.Fatal(err)
	}
}

// TestProgramsOutliveCisd ends cisd, in good order and not, while programs run.
func TestProgramsOutliveCisd(t *testing.T) {
	ownStage(t, func(e *env) {
		counter := e.start("--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done")
		ends := e.start("--", "sh", "-c", "sleep 2; echo while-away; exit 7")
		restarts := e.create(api.InstanceSpec{RestartPolicy: api.RestartAlways, Containers: []api.Container{e.sh("sleep 1; exit 3")}})
		e.when(restarts, "running", running)
		before := e.get(counter)

		if err := e.stage.Kill(); err != nil {
			e.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		e.again()

		after := e.get(counter)
		e.equal("phase", after.Status.Phase, api.PhaseRunning)
		e.equal("address", after.Status.Address, before.Status.Address)
		e.equal("started", after.Status.StartedAt.Equal(*before.Status.StartedAt), true)
		e.equal("restarts of it", after.Status.ContainerStatuses[0].RestartCount, 0)
		var lines []string
		e.until("it has counted on", func() bool { lines = strings.Fields(e.logs(counter)); return len(lines) >= 25 })
		for i, line := range lines {
			if line != fmt.Sprint(i+1) {
				e.Fatalf("line %d of the log is %q", i+1, line)
			}
		}
		e.equal("exec", e.ok("exec", counter, "echo", "here"), "here\n")
		in := e.ended(ends)
		e.equal("exit code of what ended meanwhile", exitCode(in), 7)
		e.equal("its log", e.logs(ends), "while-away\n")
		count := e.get(restarts).Status.ContainerStatuses[0].RestartCount
		if count < 1 {
			e.Error("it was not restarted meanwhile")
		}

		if err := e.stage.Stop(); err != nil {
			e.Fatal(err)
		}
		e.again()
		e.equal("phase after a stop in good order", e.get(counter).Status.Phase, api.PhaseRunning)
		e.when(restarts, "restarted again", func(in api.Instance) bool { return in.Status.ContainerStatuses[0].RestartCount > count })
		e.ok("stop", counter)
		e.ended(counter)
	}, "-standby", "1")
}

// TestNothingAcknowledgedIsLost ends cisd again and again while instances are made,
// stopped and removed, at moments that differ from run to run.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	ownStage(t, func(e *env) {
		seed := uint64(time.Now().UnixNano())
		e.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))

		var mu sync.Mutex
		kept, removed := map[string]bool{}, map[string]bool{}
		work, stop := context.WithCancel(e.Context())
		var wg sync.WaitGroup
		for worker := range 3 {
			wg.Go(func() {
				for i := 0; work.Err() == nil; i++ {
					name := fmt.Sprintf("w%d-%d", worker, i)
					req := api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: name, CPU: 100, Memory: 64 * api.MiB, Containers: []api.Container{e.sh("exit 5")}}}
					if _, err := e.stage.Client.Create(work, req); err != nil {
						time.Sleep(20 * time.Millisecond)
						continue // not acknowledged: it may be there or not
					}
					mu.Lock()
					kept[name] = true
					mu.Unlock()
					if i%3 == 0 {
						mu.Lock()
						delete(kept, name) // from here on either is right, until it is acknowledged
						mu.Unlock()
						if e.stage.Client.Remove(work, name, true, nil) == nil {
							mu.Lock()
							removed[name] = true
							mu.Unlock()
						}
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		for range 8 {
			time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
			e.crash()
		}
		stop()
		wg.Wait()
		if len(kept) == 0 || len(removed) == 0 {
			e.Fatalf("%d were made and %d removed: nothing is tested", len(kept), len(removed))
		}
		e.Logf("%d acknowledged, %d removed", len(kept), len(removed))
		for name := range kept {
			if in := e.ended(name); exitCode(in) != 5 {
				e.Errorf("%s ended with exit code %d, want 5: %s %s", name, exitCode(in), in.Status.Reason, in.Status.Message)
			}
		}
		for in, err := range e.stage.Client.All(e.Context(), client.ListOptions{}) {
			if err != nil {
				e.Fatal(err)
			}
			if removed[in.Spec.Name] {
				e.Errorf("%s was removed and is there again", in.Spec.Name)
			}
		}
		e.until("no sandbox is left", func() bool { return len(e.stage.Sandboxes()) == 0 })
	}, "-standby", "0")
}

// TestCrashDuringPull ends cisd while an image comes in.
func TestCrashDuringPull(t *testing.T) {
	ownStage(t, func(e *env) {
		big := make([]byte, 64<<20)
		random := rand.NewChaCha8([32]byte{})
		_, _ = random.Read(big) // never fails
		layer, err := busybox.Layer(busybox.File{Name: "data/big", Content: big})
		if err != nil {
			e.Fatal(err)
		}
		if err := e.stage.Push(e.Context(), "big:1", busybox.Options{Layers: []v1.Layer{layer}}); err != nil {
			e.Fatal(err)
		}
		name := e.create(api.InstanceSpec{Containers: []api.Container{{Image: e.stage.Registry + "/big:1", Command: []string{"stat", "-c", "%s", "/data/big"}}}})
		for range 4 {
			time.Sleep(120 * time.Millisecond)
			e.crash()
		}
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("output", e.logs(name), fmt.Sprintln(len(big)))
	}, "-standby", "0")
}

// TestCrashWhileStopping ends cisd within the grace period of a stop.
func TestCrashWhileStopping(t *testing.T) {
	ownStage(t, func(e *env) {
		name := e.start("--stop-timeout", "3", "--", "sh", "-c", "trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done")
		e.saying(name, "up")
		began := time.Now()
		stop := e.stage.Command(e.Context(), "stop", name)
		if err := stop.Start(); err != nil {
			e.Fatal(err)
		}
		e.saying(name, "asked")
		e.crash()
		_ = stop.Wait() // its connection broke
		in := e.ended(name)
		e.equal("exit code", exitCode(in), 137)
		if took := in.Status.FinishedAt.Sub(began); took < 2*time.Second {
			e.Errorf("it was killed after %v of a grace period of 3 s", took)
		}
	}, "-standby", "0")
}

// TestLostSandbox ends a sandbox behind cisd's back, running and away.
func TestLostSandbox(t *testing.T) {
	ownStage(t, func(e *env) {
		once := e.start("--", "sleep", "1000")
		e.killSandbox(once)
		in := e.ended(once)
		e.equal("phase", in.Status.Phase, api.PhaseFailed)

		away := e.start("--restart", "always", "--", "sleep", "1000")
		sandbox := e.sandbox(away)
		if err := e.stage.Kill(); err != nil {
			e.Fatal(err)
		}
		e.killProcesses(sandbox)
		e.again()
		e.when(away, "running in a new sandbox", func(in api.Instance) bool {
			return running(in) && e.sandbox(away) != sandbox
		})
		e.equal("exec", e.ok("exec", away, "echo", "here"), "here\n")
		for _, left := range e.stage.Sandboxes() {
			if strings.Contains(left, sandbox) {
				e.Errorf("of the lost sandbox there is %s", left)
			}
		}
	}, "-standby", "0")
}

// TestLostRecord takes the record away: what it knew of is removed.
func TestLostRecord(t *testing.T) {
	ownStage(t, func(e *env) {
		e.start("--", "sleep", "1000")
		e.start("--", "sleep", "1000")
		if err := e.stage.Kill(); err != nil {
			e.Fatal(err)
		}
		records, err := filepath.Glob(filepath.Join(e.stage.Dir, "data", "record.db*"))
		if err != nil || len(records) == 0 {
			e.Fatalf("no record: %v", err)
		}
		for _, file := range records {
			if err := os.Remove(file); err != nil {
				e.Fatal(err)
			}
		}
		e.again()
		e.until("what is on no record is gone", func() bool { return len(e.stage.Sandboxes()) == 0 })
		e.equal("list", e.ok("ps", "-aq"), "")
		e.equal("a new run", e.out("--", "echo", "fine"), "fine")
	}, "-standby", "0")
}

// TestUnwantedFlags: cisd says what is wrong with them.
func TestUnwantedFlags(t *testing.T) {
	ownStage(t, func(e *env) {
		for _, flags := range [][]string{{"-nosuch"}, {"-cidr", "nonsense"}, {"-prefix", "Too-Long"}, {"-cpu-overcommit", "0"}, {"-https-listen", ":0"}, {"extra"}} {
			dir := e.TempDir()
			args := append([]string{"-data-dir", filepath.Join(dir, "d"), "-run-dir", filepath.Join(dir, "r")}, flags...)
			out, err := exec.CommandContext(e.Context(), filepath.Join(e.stage.Bin, "cisd"), args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), strings.TrimLeft(flags[0], "-")) {
				e.Errorf("cisd %q: %v\n%s", flags, err, out)
			}
		}
		args := []string{"-data-dir", filepath.Join(e.stage.Dir, "data"), "-run-dir", e.TempDir()}
		if out, err := exec.CommandContext(e.Context(), filepath.Join(e.stage.Bin, "cisd"), args...).CombinedOutput(); err == nil || !strings.Contains(string(out), "another cisd") {
			e.Errorf("a second cisd with the same data: %v\n%s", err, out)
		}
	}, "-standby", "0")
}

func (e *env) killSandbox(name string) { e.Helper(); e.killProcesses(e.sandbox(name)) }

// killProcesses ends the processes of a sandbox.
func (e *env) killProcesses(sandbox string) {
	e.Helper()
	if n := e.stage.KillSandbox(sandbox); n == 0 {
		e.Fatalf("sandbox %s has no process", sandbox)
	}
}

// TestFilesFollowSecretsAfterACrash: those of programs that outlived cisd, too.
func TestFilesFollowSecretsAfterACrash(t *testing.T) {
	ownStage(t, func(e *env) {
		e.setSecret("s", "1")
		name := e.create(api.InstanceSpec{
			Volumes: []api.Volume{{Name: "p", Secret: &api.SecretVolume{SecretName: "s", DefaultMode: "0440"}}},
			Containers: []api.Container{with(e.sh(watchTorn),
				func(c *api.Container) { c.VolumeMounts = []api.VolumeMount{{Name: "p", MountPath: "/p"}} })},
		})
		e.shows(name, "11")
		e.setSecret("s", "2")
		e.crash()
		e.shows(name, "22")
		e.setSecret("s", "3")
		e.shows(name, "33")
		e.equal("output", e.logs(name), "")
	})
}
