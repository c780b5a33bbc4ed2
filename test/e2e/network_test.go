package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// outsideDNS serves the one name that there is outside, on loopback.
func outsideDNS(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		switch question := q.Question[0]; {
		case strings.ToLower(question.Name) != "outside.test.":
			reply.Rcode = dns.RcodeNameError
		case question.Qtype == dns.TypeA:
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 10)}}
		}
		_ = w.WriteMsg(reply) // the asker tries again
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return conn.LocalAddr().String()
}

// outside is a namespace beyond the host, joined to it by a link. In it a web
// server tells who asks.
type outside struct{ space, host, address string }

func newOutside(e *env) outside {
	e.Helper()
	// 198.18/15 is for benchmarks of networks: nobody's real address.
	return newOutsideIn(e, "198.18."+strings.SplitN(strings.TrimPrefix(e.network(), "10."), ".", 2)[0])
}

// newOutsideIn makes one whose addresses begin with those three bytes.
func newOutsideIn(e *env, subnet string) outside {
	e.Helper()
	space, link := e.stage.Prefix+"-out", e.stage.Prefix+"-out"
	o := outside{space: "/run/netns/" + space, host: subnet + ".1", address: subnet + ".10"}
	e.Cleanup(func() {
		// The link by itself: with its namespace it would go a while later.
		_ = exec.Command("ip", "link", "del", link).Run()
		_ = exec.Command("ip", "netns", "del", space).Run()
	})
	for _, args := range []string{
		"netns add " + space,
		"link add " + link + " type veth peer name eth0 netns " + space,
		"address add " + o.host + "/24 dev " + link,
		"link set " + link + " up",
		"-n " + space + " address add " + o.address + "/24 dev eth0",
		"-n " + space + " link set eth0 up",
	} {
		e.ip(args)
	}
	serveCallers(e, listenIn(e, o.space, o.address+":80"))
	return o
}

// ip runs the program of that name.
func (e *env) ip(args string) {
	e.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		e.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// network is the range of the instances' addresses.
func (e *env) network() string {
	e.Helper()
	info, err := e.stage.Client.Info(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	return info.Network.CIDR
}

// listenIn listens in a network namespace.
func listenIn(e *env, space, address string) (l net.Listener) {
	e.Helper()
	err := within(space, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		e.Fatalf("listen at %s in %s: %v", address, space, err)
	}
	return l
}

// within runs a function in a network namespace; the empty name is the host's own.
func within(space string, fn func() error) error {
	if space == "" {
		return fn()
	}
	return osthread.Do(func() error {
		f, err := os.Open(space)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	})
}

// serveCallers answers every request with the address it came from.
func serveCallers(e *env, l net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, "you are "+host)
	})}
	go func() { _ = server.Serve(l) }()
	e.Cleanup(func() { _ = server.Close() })
}

// web starts an instance that serves a page at port 80.
func (e *env) web(flags ...string) (name, address string) {
	e.Helper()
	name = e.start(append(flags, "--", "sh", "-c", "mkdir /www; echo page >/www/index.html; echo up; exec httpd -f -p 80 -h /www")...)
	e.saying(name, "up")
	return name, e.get(name).Status.Address
}

// fetch reads a page from the host.
func (e *env) fetch(url string) string {
	e.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	var body string
	e.until("an answer from "+url, func() bool {
		r, err := client.Get(url)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		body = string(data)
		return err == nil
	})
	return body
}

// refused tells whether an instance cannot connect.
const refused = "nc -w 2 %s %s </dev/null >/dev/null 2>&1 && echo CONNECTED || echo refused"

var networkTests = tests{
	"the host reaches instances": func(e *env) {
		_, address := e.web()
		e.equal("page", e.fetch("http://"+address+"/"), "page\n")
	},
	"siblings reach each other, by name and by address": func(e *env) {
		name, address := e.web()
		e.equal("by address", e.out("--", "wget", "-q", "-O-", "http://"+address+"/"), "page")
		e.equal("by name", e.out("--", "wget", "-q", "-O-", "http://"+name+"/"), "page")
		if got := e.out("--", "ping", "-c", "1", "-W", "2", address); !strings.Contains(got, "1 packets received") {
			e.Errorf("ping: %s", got)
		}
		e.ok("rm", "-f", name)
		e.until("the name is gone", func() bool { return e.run("--", "nslookup", name).Code != 0 })
	},
	"names outside": func(e *env) {
		if got := e.out("--", "nslookup", "-type=a", "outside.test"); !strings.Contains(got, "192.0.2.10") {
			e.Errorf("nslookup: %s", got)
		}
		if r := e.run("--", "nslookup", "-type=a", "nosuch.test"); r.Code == 0 {
			e.Errorf("a name that is not there: %s", r.Stdout)
		}
	},
	"the outside through NAT, and not the host's services": func(e *env) {
		o := newOutside(e)
		e.equal("seen outside as", e.out("--", "wget", "-q", "-O-", "http://"+o.address+"/"), "you are "+o.host)

		// A service of the host at all of its addresses.
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			e.Fatal(err)
		}
		serveCallers(e, l)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		e.equal("the host itself", e.fetch("http://127.0.0.1:"+port+"/"), "you are 127.0.0.1")
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			e.Fatal(err)
		}
		name := e.start("--", "sleep", "1000")
		for _, a := range addresses {
			ip, _, _ := net.ParseCIDR(a.String())
			if ip.To4() == nil || ip.IsLoopback() {
				continue
			}
			e.equal("instance to host at "+ip.String(), e.ok("exec", name, "sh", "-c", fmt.Sprintf(refused, ip, port)), "refused\n")
		}
		e.equal("instance to its gateway", e.ok("exec", name, "sh", "-c", fmt.Sprintf(refused, "169.254.1.1", port)), "refused\n")
	},
	"another's address cannot be taken": func(e *env) {
		_, address := e.web()
		thief := e.start("--cap-add", "NET_ADMIN", "--", "sleep", "1000")
		_ = e.cis("exec", thief, "ip", "address", "add", address+"/32", "dev", "eth0") // it may not even have the right
		e.equal("page after the attempt", e.fetch("http://"+address+"/"), "page\n")
		if r := e.cis("exec", thief, "ping", "-c", "1", "-W", "1", "-I", address, "169.254.1.1"); r.Code == 0 {
			e.Errorf("a packet with another's address was answered: %s", r.Stdout)
		}
	},
	"addresses differ, and come back": func(e *env) {
		seen := map[string]bool{}
		for range 3 {
			name := e.start("--", "sleep", "1000")
			address := e.get(name).Status.Address
			if seen[address] {
				e.Errorf("%s was given twice", address)
			}
			seen[address] = true
		}
	},
	"port-forward": func(e *env) {
		name, _ := e.web()
		cmd := e.stage.Command(e.Context(), "port-forward", name, "0:80")
		out, err := cmd.StdoutPipe()
		if err != nil {
			e.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			e.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			e.Fatal(err)
		}
		address := strings.Fields(line)[1]
		for range 3 {
			e.equal("page", e.fetch("http://"+address+"/"), "page\n")
		}
	},
}
