package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"cis/api"
	"cis/test/stage"
)

// attacker is an instance in which root has every capability and wants out. Its
// neighbour runs since before, and shall not notice.
type attacker struct {
	*env
	name, sandbox string
	neighbour     string
	images        map[string]string
}

// newAttacker starts both; args are as those of start.
func newAttacker(e *env, args ...string) *attacker {
	e.Helper()
	neighbour := e.start("--", "sh", "-c", "echo mine >/tmp/mine; echo up; exec sleep 1000")
	e.saying(neighbour, "up")
	name := e.start(append([]string{"--cap-add", "ALL"}, args...)...)
	e.when(name, "running", running)
	a := &attacker{env: e, name: name, sandbox: e.sandbox(name), neighbour: neighbour, images: imageSums(e)}
	if len(traces(e.stage, a.sandbox)) == 0 || len(a.images) == 0 {
		e.Fatal("what shall be gone, or stay, is not seen at all")
	}
	return a
}

// idle is a main program that leaves everything to attack.
var idle = []string{"--", "sleep", "1000"}

// attack runs a script in the attacker, and proves that nobody else has felt it.
func (a *attacker) attack(script string) stage.Result {
	a.Helper()
	r := a.cis("exec", a.name, "sh", "-c", script)
	a.healthy()
	return r
}

// healthy proves that cisd, the neighbour, the images, and what is created from now
// on are as they should be.
func (a *attacker) healthy() {
	a.Helper()
	a.equal("the neighbour's file", a.ok("exec", a.neighbour, "cat", "/tmp/mine"), "mine\n")
	if in := a.get(a.neighbour); !running(in) || in.Status.ContainerStatuses[0].RestartCount != 0 {
		a.Errorf("the neighbour is %+v", in.Status)
	}
	a.equal("a new instance", a.out("--", "sh", "-c", "ls /evil /bin/evil 2>/dev/null; grep evil /etc/passwd; echo new"), "new")
	for path, sum := range imageSums(a.env) {
		if before := a.images[path]; before != "" && sum != before {
			a.Errorf("image %s has changed", path)
		}
	}
}

// gone takes the attacker away, and proves that nothing of it is left.
func (a *attacker) gone() {
	a.Helper()
	a.ok("rm", "-f", a.name)
	a.until("nothing is left of "+a.sandbox, func() bool { return len(traces(a.stage, a.sandbox)) == 0 })
}

// traces are what the host has of a sandbox of either kind. A cgroup is there for as
// long as a process is in it.
func traces(s *stage.Stage, sandbox string) (found []string) {
	for _, pattern := range []string{
		filepath.Join(s.Dir, "data", "*", sandbox),
		filepath.Join("/sys/fs/cgroup", s.Prefix, sandbox), filepath.Join("/sys/fs/cgroup/*", s.Prefix, sandbox),
		filepath.Join("/sys/fs/cgroup", s.Prefix, "vm", sandbox), filepath.Join("/sys/fs/cgroup/*", s.Prefix, "vm", sandbox),
	} {
		paths, _ := filepath.Glob(pattern) // fails for bad patterns only
		found = append(found, paths...)
	}
	return found
}

// imageSums are the digests of the files of all images.
func imageSums(e *env) map[string]string {
	e.Helper()
	sums := map[string]string{}
	paths, _ := filepath.Glob(filepath.Join(e.stage.Dir, "data", "images", "images", "*", "rootfs.erofs"))
	for _, path := range paths {
		sums[path] = fileSum(e, path)
	}
	return sums
}

func fileSum(e *env, path string) string {
	e.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		e.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// says fails unless a text has all the others in it.
func (a *attacker) says(text string, wanted ...string) {
	a.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			a.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// never fails if a text has any of the others in it.
func (a *attacker) never(text string, unwanted ...string) {
	a.Helper()
	for _, bad := range unwanted {
		if strings.Contains(text, bad) {
			a.Errorf("%q is in:\n%s", bad, text)
		}
	}
}

// hostDevices are device files of the host or of every PC: kind, major and minor.
func (a *attacker) hostDevices() []string {
	a.Helper()
	// mem, port, kmsg, kvm, loop0
	all := []string{"c 1 1", "c 1 4", "c 1 11", "c 10 232", "b 7 0"}
	data, err := os.ReadFile("/proc/partitions")
	if err != nil {
		a.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] != "major" {
			all = append(all, "b "+f[0]+" "+f[1])
		}
	}
	return all
}

// takeOver makes the guest's kernel run a script, outside of all containers: root
// with every capability may say what the kernel starts when a program crashes. In
// the script b is busybox. What it writes is written.
func takeOver(script string) string {
	return `cp /bin/busybox /busybox; : >/said
upper=$(sed -n 's/.*upperdir=\([^,]*\).*/\1/p' /proc/mounts | head -n 1)
sed "s,UPPER,$upper,g" >/own <<'END'
#!UPPER/busybox sh
b() { UPPER/busybox "$@"; }
exec >>UPPER/said 2>&1
` + script + `
echo over
END
chmod 755 /own; mkdir -p /p; mount -t proc none /p
echo "|$upper/own" >/p/sys/kernel/core_pattern || exit
sh -c 'kill -SEGV $$'
until grep -q '^over' /said; do sleep 0.2; done
cat /said`
}

var escapeTests = tests{
	"the host's files and processes": func(e *env) {
		a := newAttacker(e, idle...)
		// The host's root has a file whose words nobody could guess.
		words := rand.Text()
		secret := filepath.Join(e.stage.Dir, "secret-"+a.name)
		if err := os.WriteFile(secret, []byte(words), 0o644); err != nil {
			e.Fatal(err)
		}
		r := a.attack(`cat /etc/hostname /proc/cmdline /proc/version /proc/mounts; ps
for p in /proc/[0-9]*; do cat $p/root` + secret + ` $p/cwd/../../../../..` + secret + ` $p/environ; done
nsenter -t 1 -m cat ` + secret + `
unshare -m sh -c 'umount -l /; cat ` + secret + `'
mkdir /jail; cp /bin/busybox /jail; nsenter --root=/jail --wd=/ /busybox cat ../../../../..` + secret)
		a.says(r.Stdout, a.name+"\n", "sleep 1000")
		a.never(r.Stdout, words, "cisd", "cis-agent", "runsc", "qemu")
		for _, file := range []string{"/proc/cmdline", "/proc/version", "/proc/sys/kernel/random/boot_id"} {
			data, err := os.ReadFile(file)
			if err != nil {
				e.Fatal(err)
			}
			a.never(r.Stdout, strings.TrimSpace(string(data)))
		}
		a.gone()
	},
	"devices, and the image": func(e *env) {
		a := newAttacker(e, idle...)
		devices := a.hostDevices()
		// Only reads: were there a hole, it would be the host's disk.
		r := a.attack(`while read kind major minor; do
  mknod /dev/evil $kind $major $minor && head -c 16 /dev/evil >/dev/null && echo READ $kind $major $minor
  rm -f /dev/evil
done <<END
` + strings.Join(devices, "\n") + "\nEND")
		a.never(r.Stdout, "READ")
		// In a VM the devices' cgroup refuses all of them. gVisor makes the file, and has
		// nothing behind it.
		refused := map[string]string{"vm": "Operation not permitted", "gvisor": "No such device or address"}[e.isolation]
		e.equal("refused", strings.Count(r.Stderr, "/dev/evil: "+refused), len(devices))

		// The agent's ports and all disks, by number and as the kernel makes them. gVisor
		// has neither, as /sys says.
		r = a.attack(`mkdir /d; mount -t devtmpfs none /d
for n in /sys/class/virtio-ports/*/dev /sys/block/vd*/dev; do
  [ -e $n ] || continue
  name=$(basename $(dirname $n)); kind=c; case $name in vd*) kind=b; esac
  mknod /dev/evil $kind $(tr : ' ' <$n)
  for file in /dev/evil /d/$name; do echo tried $name; echo evil >$file && echo WROTE $name; done
  rm -f /dev/evil
done
echo evil >/evil; cp /bin/sh /bin/evil; echo evil >>/etc/passwd; echo evil >/bin/ls; rm -f /bin/cat; echo end`)
		a.says(r.Stdout, "end")
		a.never(r.Stdout, "WROTE")
		if tries := strings.Count(r.Stdout, "tried"); e.isolation == "vm" {
			e.equal("refused", strings.Count(r.Stderr, refused), tries)
			a.says(r.Stdout, "tried vport", "tried vda", "tried vdc")
		} else {
			e.equal("devices in /sys", tries, 0)
		}
		a.gone()
	},
	"the kernel inside": func(e *env) {
		a := newAttacker(e, idle...)
		if e.isolation == "gvisor" {
			// gVisor's kernel starts no programs, loads no modules and does no magic requests.
			r := a.attack("mkdir /p; mount -t proc none /p; echo evil >/p/sys/kernel/core_pattern; echo c >/p/sysrq-trigger; insmod /bin/busybox; reboot -f; echo end")
			a.says(r.Stderr, "core_pattern: Operation not permitted", "Input/output error", "insmod: can't insert")
			a.gone()
			return
		}
		// In a VM its root becomes the guest's kernel. What holds then is QEMU: the image is
		// read-only, whatever the guest thinks of it.
		r := a.attack(takeOver(`for d in /sys/block/vd*; do
  name=${d##*/}; [ $(b cat $d/ro) = 1 ] || continue
  b blockdev --setrw /dev/$name; echo tried $name
  echo evil | b dd of=/dev/$name conv=notrunc,fsync && echo WROTE $name
done
for port in /dev/vport*; do echo evil >$port && echo WROTE $port; done
b id; b ls -l /proc/1/exe
b head -c 200000 /dev/urandom >/dev/ttyS0; echo last words >/dev/ttyS0`))
		a.says(r.Stdout, "uid=0", "/init", "tried vd", "Operation not permitted", "Device or resource busy")
		a.never(r.Stdout, "WROTE")
		// The console is 64 KiB at most; what is no text in it is shown as �, of 3 bytes.
		text := e.ok("console", a.name)
		if len(text) > 3*64<<10 {
			e.Errorf("a console of %d bytes", len(text))
		}
		a.says(text[max(0, len(text)-100):], "last words\n")
		// Without its port the agent ends, and without its first process the kernel does.
		e.cis("exec", a.name, "sh", "-c", takeOver(`for d in /sys/bus/virtio/drivers/virtio_console/virtio*; do echo ${d##*/} >${d%/*}/unbind; done`))
		in := e.ended(a.name)
		e.equal("reason", in.Status.Reason, api.ReasonSandboxLost)
		a.says(in.Status.Message, "kernel")
		a.healthy()
		a.gone()
	},
	"processes": func(e *env) {
		a := newAttacker(e, append([]string{"--memory", "512Mi"}, idle...)...)
		// A shell of its own lights it: one that cannot fork gives up. The one that waits for
		// its 5 s must not fork either.
		r := a.attack("exec 2>/dev/null; mkfifo /tmp/never; exec 3<>/tmp/never; bomb() { bomb | bomb & }; (bomb); read -t 5 x <&3; echo survived")
		if e.isolation == "vm" {
			a.says(r.Stdout, "survived") // a fork fails, and that is all
			e.equal("phase", a.get(a.name).Status.Phase, api.PhaseRunning)
		} else {
			// gVisor cannot refuse a fork: the sandbox ends, by what is used up first.
			in := e.ended(a.name)
			e.equal("exit code", exitCode(in), 137)
			if in.Status.Reason != api.ReasonSandboxLost && in.Status.Reason != api.ReasonOOMKilled {
				e.Errorf("reason %s: %s", in.Status.Reason, in.Status.Message)
			}
		}
		a.healthy()
		a.gone()
	},
	"memory": func(e *env) {
		a := newAttacker(e, append([]string{"--memory", "128Mi"}, idle...)...)
		r := a.attack(`mkdir /c /m; mount -t cgroup2 none /c && echo max >/c/memory.max
mount -t tmpfs -o size=8g none /m
(dd if=/dev/zero of=/m/big bs=1M count=1024 && echo REACHED) & tail /dev/zero & tail /dev/zero & wait`)
		a.never(r.Stdout, "REACHED")
		if e.isolation == "gvisor" {
			// It is one limit for the sandbox as a whole.
			e.equal("reason", e.ended(a.name).Status.Reason, api.ReasonOOMKilled)
		}
		a.gone()
	},
	"disk, files and descriptors": func(e *env) {
		a := newAttacker(e, append([]string{"--memory", "64Mi", "--ephemeral-storage", "16Mi"}, idle...)...)
		r := a.attack(`dd if=/dev/zero of=/big bs=1M count=64; rm /big
ulimit -n 100000; i=3; while [ $i -lt 3000 ]; do eval "exec $i</dev/null" || break; i=$((i+1)); done; echo descriptors $i`)
		a.says(r.Stderr, "No space left on device")
		a.says(r.Stdout, "descriptors")
		// 16 MiB of ext4 have some 4000 inodes. gVisor does not count files: they are its
		// memory, and it takes some more of them.
		files := map[string]string{"vm": "6000", "gvisor": "200000"}[e.isolation]
		r = a.attack("mkdir /f; cd /f; seq " + files + " | xargs touch 2>/dev/shm/words && echo REACHED; tail -n 1 /dev/shm/words")
		a.never(r.Stdout, "REACHED")
		if e.isolation == "vm" {
			a.says(r.Stdout, "No space left on device")
		} else {
			e.equal("reason", e.ended(a.name).Status.Reason, api.ReasonOOMKilled)
		}
		a.gone()
	},
	"output": func(e *env) {
		a := newAttacker(e, "--", "sh", "-c", "timeout 2 yes & timeout 2 cat /dev/zero >&2; wait; touch /tmp/over; sleep 1000")
		a.healthy() // while it writes
		e.until("the output is over", func() bool { return e.cis("exec", a.name, "test", "-e", "/tmp/over").Code == 0 })
		a.healthy()
		const limit = 72 << 20 // what is kept is 64 MiB, and what is freed are whole blocks
		for _, pattern := range []string{"data/logs/" + a.get(a.name).ID + "/*/*", "data/sandboxes/" + a.sandbox + "/*.log"} {
			files, _ := filepath.Glob(filepath.Join(e.stage.Dir, pattern)) // fails for bad patterns only
			for _, file := range files {
				if size := onDisk(e, file); size > limit {
					e.Errorf("%s takes %d bytes of the disk", file, size)
				}
			}
		}
		if rss := residentMemory(e, e.stage.Cisd()); rss > 200*api.MiB {
			e.Errorf("cisd holds %s", rss)
		}
		a.gone()
	},
	"the agent and its tools": func(e *env) {
		// Some execs and all copies begin with a program of ours in the container. Whoever is
		// quick might write to it, and it would be the next one's. Busybox is left alone: in
		// gVisor a program that runs can be written to, and the attacker would end itself.
		tool := filepath.Join(e.stage.Bin, "cis-pause")
		before := fileSum(e, tool)
		a := newAttacker(e, "--", "sh", "-c", `echo up; while :; do for p in /proc/[0-9]*; do
  [ $p/exe -ef /bin/sh ] || echo evil >$p/exe
done; done 2>/dev/null`)
		e.saying(a.name, "up")
		for range 5 {
			e.equal("exec", e.ok("exec", a.name, "echo", "fine"), "fine\n")
			e.ok("cp", a.name+":/etc", e.TempDir())
		}
		e.equal("cis-pause", fileSum(e, tool), before)
		// There is no process of the agent to signal or to trace: all that are seen are
		// the attacker's own.
		r := a.attack("ps; kill -9 -1; kill -9 1; sleep 1; echo alive")
		a.never(r.Stdout, "cis-agent", "/init", "runsc")
		if e.isolation == "vm" {
			// Linux protects a container's first process from those inside.
			a.says(r.Stdout, "alive")
			e.equal("exec", e.ok("exec", a.name, "echo", "fine"), "fine\n")
		} else {
			// gVisor does not: the program has ended itself.
			e.equal("exit code", exitCode(e.ended(a.name)), 137)
		}
		a.gone()
	},
}

// onDisk is what a file takes of the disk.
func onDisk(e *env, path string) int64 {
	e.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		e.Fatal(err)
	}
	return s.Blocks * 512
}

// residentMemory of a process.
func residentMemory(e *env, pid int) api.Bytes {
	e.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		e.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(data))[1])
	if err != nil {
		e.Fatal(err)
	}
	return api.Bytes(pages * os.Getpagesize())
}
