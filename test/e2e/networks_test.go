package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/internal/busybox"
	"cis/test/stage"
)

// TestNetworks runs every case of private networks on one cisd that has public
// addresses, with a network beyond the host; last what changes all of it.
func TestNetworks(t *testing.T) {
	groups := map[string]tests{
		"vpc": vpcTests, "dns": dnsTests, "secgroup": groupTests, "egress": egressTests, "publish": publishTests,
		"address": addressTests, "ways": wayTests, "check": checkTests, "bandwidth": bandwidthTests,
	}
	for _, isolation := range isolations {
		t.Run(isolation, func(t *testing.T) {
			// 198.18/15 is for benchmarks of networks; the upper part is other tests'.
			subnet := fmt.Sprintf("198.18.%d", rand.IntN(100))
			e := networkStage(t, isolation, "-default-size", "1,256Mi", "-standby", "1", "-public-addresses", subnet+".104/29")
			e.outside = newOutsideIn(e, subnet)
			e.shop = newShop(e)
			run := func(t *testing.T, test func(*env)) {
				test(&env{T: t, stage: e.stage, isolation: isolation, outside: e.outside, shop: e.shop})
			}
			t.Run("together", func(t *testing.T) {
				for group, cases := range groups {
					for name, test := range cases {
						t.Run(group+": "+name, func(t *testing.T) {
							t.Parallel()
							run(t, test)
						})
					}
				}
			})
			if isolation == "vm" {
				t.Run("dual stack", func(t *testing.T) { run(t, dualStack) })
			}
			t.Run("mended", func(t *testing.T) { run(t, networksAreMended) })
		})
	}
}

// shop is a VPC with two subnets and an instance in each. The server has a fixed address,
// a published port, and a group that lets in two of its ports; the client has nothing.
type shop struct{ vpc, front, back, group, client, clientAddress, server, serverAddress, port string }

func newShop(e *env) (s shop) {
	e.Helper()
	s.vpc = e.make("vpc", "--cidr", "10.9.0.0/16", "--host-reachable")
	s.front = e.make("subnet", "--vpc", s.vpc, "--cidr", "10.9.1.0/24", "--ipv6")
	s.back = e.make("subnet", "--vpc", s.vpc, "--cidr", "10.9.2.0/24", "--ipv6")
	s.group = e.make("secgroup", "--ingress", "tcp:"+port1+"-"+port2)
	s.port = e.freePort()
	s.client, s.clientAddress = e.echo("--subnet", s.front, "--bandwidth-in", "8M")
	s.server, s.serverAddress = e.echo("--vpc", s.vpc, "--subnet", s.back, "--ip", "10.9.2.77", "--secgroup", s.group,
		"-p", s.port+":"+port1, "--bandwidth-out", "16M")
	return s
}

// networkStage opens a stage that has an image of the echo program.
func networkStage(t *testing.T, isolation string, flags ...string) *env {
	t.Helper()
	s := open(t, stage.Config{Flags: append([]string{"-dns", outsideDNS(t)}, flags...)})
	program := filepath.Join(t.TempDir(), "echo")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build echo: %v\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := busybox.Layer(busybox.File{Name: "bin/echoes", Mode: 0o755, Content: content})
	if err == nil {
		err = s.Push(t.Context(), "echo:1", busybox.Options{Layers: []v1.Layer{layer}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &env{T: t, stage: s, isolation: isolation}
}

// The ports of the echo program.
const port1, port2, port3 = "9001", "9002", "9003"

// echo starts an instance of the echo program.
func (e *env) echo(flags ...string) (name, address string) {
	e.Helper()
	name = e.name()
	e.ok(slices.Concat([]string{"run", "-d", "--name", name, "--isolation", e.isolation}, flags,
		[]string{e.stage.Registry + "/echo:1", "echoes", port1, port2, port3})...)
	e.saying(name, "ready")
	return name, e.get(name).Status.Address
}

// make makes a thing of the network, which goes with the test; it returns the name.
func (e *env) make(kind string, flags ...string) string {
	e.Helper()
	name := fmt.Sprintf("n%d", names.Add(1))
	// What uses it was made later, and so is removed before; a test may have removed it.
	e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", kind, "rm", name) })
	e.equal("name printed", e.ok(append([]string{kind, "create", name}, flags...)...), name+"\n")
	return name
}

// aVPC makes a VPC with the range of the shop's, and one subnet.
func (e *env) aVPC() (vpc, subnet string) {
	e.Helper()
	vpc = e.make("vpc", "--cidr", "10.9.0.0/16")
	return vpc, e.make("subnet", "--vpc", vpc, "--cidr", "10.9.1.0/24")
}

// read decodes what a command prints with -o json.
func read[T any](e *env, args ...string) (v T) {
	e.Helper()
	if err := json.Unmarshal([]byte(e.ok(append(args, "-o", "json")...)), &v); err != nil {
		e.Fatal(err)
	}
	return v
}

// greeting is what the echo program at an address says to an instance: its name, and as
// whom the instance comes. Empty: no connection.
func (e *env) greeting(from, address, port string) string {
	e.Helper()
	return strings.TrimSpace(e.cis("exec", from, "nc", "-w", "2", address, port).Stdout)
}

// greets checks whether an instance is greeted by the echo program of another.
func (e *env) greets(from, to, address, port string) {
	e.Helper()
	if got := e.greeting(from, address, port); !strings.HasPrefix(got, to+" ") {
		e.Errorf("%s to %s at %s port %s: %q", from, to, address, port, got)
	}
}

// isCutOff checks that an instance cannot connect to a port of an address.
func (e *env) isCutOff(from, address, port string) {
	e.Helper()
	e.areCutOff(from, address+" "+port)
}

// areCutOff checks that an instance connects to none of several, each ADDRESS PORT.
func (e *env) areCutOff(from string, targets ...string) {
	e.Helper()
	var script strings.Builder
	for _, target := range targets {
		fmt.Fprintf(&script, "(nc -w 1 %s </dev/null >/dev/null 2>&1 && echo %s) & ", target, target)
	}
	if got := e.ok("exec", from, "sh", "-c", script.String()+"wait"); got != "" {
		e.Errorf("%s is let through to %s", from, got)
	}
}

// talk is a connection with the echo program.
type talk struct {
	w     io.Writer
	lines chan string
	said  int
}

func newTalk(r io.Reader, w io.Writer) *talk {
	t := &talk{w: w, lines: make(chan string, 100)}
	go func() {
		defer close(t.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			t.lines <- s.Text()
		}
	}()
	return t
}

// next is the next line that comes within a time, or "".
func (t *talk) next(within time.Duration) string {
	select {
	case line := <-t.lines:
		return line
	case <-time.After(within):
		return ""
	}
}

// goesOn tells whether what is said comes back within a time.
func (t *talk) goesOn(within time.Duration) bool {
	t.said++
	line := fmt.Sprint("line ", t.said)
	if _, err := fmt.Fprintln(t.w, line); err != nil {
		return false
	}
	return t.next(within) == line
}

// The times that a live connection may take to answer, and after which one is dead.
const livesWithin, deadAfter = 10 * time.Second, time.Second

// talkFrom connects an instance with the echo program.
func (e *env) talkFrom(from, address, port string) *talk {
	e.Helper()
	cmd := e.stage.Command(e.Context(), "exec", "-i", from, "nc", address, port)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		e.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t := newTalk(out, in)
	if t.next(livesWithin) == "" {
		e.Fatalf("%s gets no connection with %s port %s", from, address, port)
	}
	return t
}

// dial connects from a namespace, and returns the connection and the greeting.
func dial(space, address string) (c net.Conn, t *talk, greeting string, err error) {
	err = within(space, func() (err error) {
		c, err = net.DialTimeout("tcp", address, 5*time.Second)
		return err
	})
	if err != nil {
		return nil, nil, "", err
	}
	t = newTalk(c, c)
	return c, t, t.next(5 * time.Second), nil
}

// greetingIn is the greeting of a port in a namespace; it tries until there is one.
func (e *env) greetingIn(space, address string) (greeting string) {
	e.Helper()
	e.until("a greeting from "+address, func() bool {
		c, _, line, err := dial(space, address)
		if err == nil {
			c.Close()
		}
		greeting = line
		return line != ""
	})
	return greeting
}

// closed checks that nothing answers in a namespace.
func (e *env) closed(space, address string) {
	e.Helper()
	err := within(space, func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err == nil {
		e.Errorf("something answers at %s", address)
	}
}
