package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/client"
	"cis/test/stage"
)

// tenant is somebody with a token, elsewhere: who calls cisd over https.
type tenant struct {
	*env
	flags []string
	key   api.Key
}

func (u *tenant) cis(args ...string) stage.Result {
	u.Helper()
	return u.env.cis(slices.Concat(u.flags, args)...)
}

func (u *tenant) ok(args ...string) string {
	u.Helper()
	return u.env.ok(slices.Concat(u.flags, args)...)
}

func (u *tenant) fails(code int, says string, args ...string) {
	u.Helper()
	u.env.fails(code, []string{says}, slices.Concat(u.flags, args)...)
}

// run starts an instance in the background; the stage removes it.
func (u *tenant) run(name string, args ...string) api.Instance {
	u.Helper()
	u.ok(append([]string{"run", "-d", "--name", name}, u.program(args)...)...)
	var in api.Instance
	if err := json.Unmarshal([]byte(u.ok("inspect", name, "-o", "json")), &in); err != nil {
		u.Fatal(err)
	}
	return in
}

// certificate makes one for loopback that signs itself; its key is in the second file.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	signed, err1 := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	secret, err2 := x509.MarshalPKCS8PrivateKey(private)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err3 := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600)
	err4 := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// accountsEnv is a stage that listens for tenants.
type accountsEnv struct {
	*env
	host, ca string
}

// token makes a token, and who has it.
func (e *accountsEnv) token(account string, flags ...string) *tenant {
	e.Helper()
	k := read[api.Key](e.env, slices.Concat([]string{"key", "create", "--token", "--account", account}, flags)...)
	return e.holder(k)
}

func (e *accountsEnv) holder(k api.Key) *tenant {
	return &tenant{env: e.env, key: k, flags: []string{"--host", e.host, "--ca", e.ca, "--token", k.Token}}
}

// TestAccounts lets two accounts use one cisd, each as if it were alone.
func TestAccounts(t *testing.T) {
	cert, key := certificate(t)
	e := &accountsEnv{env: &env{T: t, isolation: "gvisor"}, ca: cert}
	address := "127.0.0.1:" + e.freePort()
	e.host = "https://" + address
	e.stage = open(t, stage.Config{Flags: []string{"-https-listen", address, "-tls-cert", cert, "-tls-key", key}})

	e.ok("account", "create", "red", "--quota-instances", "3", "--quota-memory", "1Gi")
	e.ok("account", "create", "blue")
	red, blue := e.token("red"), e.token("blue")
	e.equal("who red is", strings.Contains(red.ok("whoami"), "Account:          red\nUser:             admin\n"), true)

	ownInstances(e, red, blue)
	otherThings(e, red, blue)
	roles(e, blue)
	gone := keysEnd(e)
	bounds(e, red)
	records(e, red, blue)
	tooOften(e)

	before := e.ok("ps", "-aqA")
	e.crash()
	e.equal("instances after a crash", e.ok("ps", "-aqA"), before)
	e.equal("blue's instances after a crash", blue.ok("ps", "--quiet"), e.ok("ps", "-q", "--account", "blue"))
	blue.fails(1, "there is no instance", "inspect", "redweb")
	gone.fails(1, "disabled", "ps")
	bounds(e, red)
	e.equal("the content after a crash", strings.TrimSpace(red.ok("exec", "redweb", "wget", "-qO-", "127.0.0.1")), "red")

	e.fails(1, []string{"account red still owns instances (3)"}, "account", "rm", "red")
	e.ok("account", "disable", "red")
	red.fails(1, "the key's account is disabled", "ps")
	e.ok("rm", "-f", "--account", "red", "redweb", "redonly", "redthird")
	e.ok("secret", "rm", "--account", "red", "pass")
	e.ok("secgroup", "rm", "--account", "red", "open")
	e.ok("account", "rm", "red")
	red.fails(1, "not known", "ps")
	e.equal("accounts", e.ok("account", "list", "-q"), "blue\ndefault\n")
}

// site is a program that serves a word.
func site(word string) []string {
	return []string{"--", "sh", "-c", "mkdir /www; echo " + word + " > /www/index.html; httpd -f -p 80 -h /www"}
}

// ownInstances: no account finds or reaches what is another's.
func ownInstances(e *accountsEnv, red, blue *tenant) {
	port := e.freePort()
	one := red.run("redweb", append([]string{"--secgroup", e.openGroup("red"), "-p", port + ":80"}, site("red")...)...)
	two := red.run("redonly", append([]string{"--secgroup", "open"}, site("red")...)...)
	mine := blue.run("blueweb", append([]string{"--secgroup", e.openGroup("blue")}, site("blue")...)...)
	e.equal("owner", one.Account, "red")
	e.equal("blue's instances", blue.ok("ps", "-q"), mine.ID+"\n")
	for _, ref := range []string{"redweb", one.ID, one.ID[:6], two.ID} {
		blue.fails(1, "there is no instance", "inspect", ref)
	}
	for _, args := range [][]string{{"logs", one.ID}, {"exec", one.ID, "true"}, {"stop", one.ID}, {"rm", one.ID}, {"stats", "--no-stream", one.ID}} {
		if r := blue.cis(args...); r.Code == 0 || strings.Contains(r.Stdout, "redweb") {
			e.Errorf("blue may %q: %+v", args, r)
		}
	}
	for _, args := range [][]string{{"rm", "-f", one.ID}, {"events", one.ID}, {"usage", one.ID}} { // which do not mind what is gone
		if out := blue.ok(args...); strings.Contains(out, "redweb") {
			e.Errorf("%q tells blue %q", args, out)
		}
	}
	e.equal("red's instance, left alone", strings.Contains(red.ok("ps"), "redweb"), true)
	blue.fails(1, "may not act for red", "ps", "--account", "red")
	blue.fails(1, "may not act for *", "ps", "-A")
	e.equal("blue's events are blue's", strings.Contains(blue.ok("events"), "red"), false)
	e.equal("all of them, for who runs it", len(strings.Fields(e.ok("ps", "-qA"))), 3)

	e.until("red's names lead to red", func() bool {
		return strings.TrimSpace(red.cis("exec", "redweb", "timeout", "2", "wget", "-qO-", "redonly").Stdout) == "red"
	})
	e.until("blue's site answers", func() bool {
		return strings.TrimSpace(blue.cis("exec", "blueweb", "timeout", "2", "wget", "-qO-", "blueweb").Stdout) == "blue"
	})
	for _, name := range []string{"redweb", "redonly", "redonly.default.internal"} {
		e.equal("blue resolves "+name, blue.cis("exec", "blueweb", "nslookup", name).Code != 0, true)
	}
	for _, address := range []string{one.Status.Address, two.Status.Address} {
		if r := blue.cis("exec", "blueweb", "timeout", "1", "wget", "-qO-", address); strings.Contains(r.Stdout, "red") {
			e.Errorf("blue reaches %s of red: %+v", address, r)
		}
	}
	// Both networks have the same range: an address that blue has not given out leads nowhere.
	if two.Status.Address != mine.Status.Address {
		e.equal("ping "+two.Status.Address, blue.cis("exec", "blueweb", "ping", "-c", "1", "-W", "1", two.Status.Address).Code != 0, true)
	}

	r := blue.cis(append([]string{"run", "-d", "--name", "taken"}, blue.program(append([]string{"-p", port + ":80"}, site("blue")...))...)...)
	if r.Code == 0 || !strings.Contains(r.Stderr, port) || strings.Contains(r.Stderr, "redweb") || strings.Contains(r.Stderr, one.ID) {
		e.Errorf("a port of red: %+v", r)
	}
}

// openGroup makes a group that lets everything in.
func (e *accountsEnv) openGroup(account string) string {
	e.Helper()
	e.ok("secgroup", "create", "open", "--ingress", "any", "--account", account)
	return "open"
}

// otherThings: neither does an account see another's networks, secrets, users or keys.
func otherThings(e *accountsEnv, red, blue *tenant) {
	red.ok("secret", "create", "pass", "--from-literal", "word=hidden")
	red.ok("vpc", "create", "shop", "--cidr", "10.9.0.0/16")
	blue.fails(125, "pass", append([]string{"run", "--rm", "--mount", "type=secret,src=pass,dst=/s"}, blue.program([]string{"--", "cat", "/s/word"})...)...)
	for _, kind := range []string{"vpc", "subnet", "secgroup", "secret", "user", "key", "account"} {
		if list := blue.ok(kind, "list", "-o", "json"); strings.Contains(list, `"red"`) || strings.Contains(list, "shop") || strings.Contains(list, "pass") {
			e.Errorf("blue's %s list has\n%s", kind, list)
		}
	}
	blue.fails(1, "there is no VPC", "vpc", "inspect", "shop")
	blue.fails(1, "there is no VPC", "vpc", "rm", "shop")
	blue.fails(1, "there is no account", "quota", "red")
	blue.fails(1, "there is no key", "key", "rm", red.key.ID)
	blue.fails(1, "only who runs this service", "account", "create", "green")
	blue.fails(1, "only who runs this service", "quota", "set", "blue", "--instances", "9")
	red.ok("vpc", "rm", "shop")
}

// roles refuse what is above them.
func roles(e *accountsEnv, blue *tenant) {
	blue.ok("user", "create", "watcher", "--role", "viewer")
	blue.ok("user", "create", "worker")
	viewer, operator := e.token("blue", "--user", "watcher"), e.token("blue", "--user", "worker")
	e.equal("a viewer sees", viewer.ok("ps", "-q"), blue.ok("ps", "-q"))
	viewer.fails(1, "this needs operator", "stop", "blueweb")
	viewer.fails(125, "this needs operator", "exec", "blueweb", "true")
	operator.ok("exec", "blueweb", "true")
	operator.fails(1, "this needs admin", "key", "list")
	operator.fails(1, "this needs admin", "user", "create", "x")
	operator.fails(1, "this needs admin", "audit")
	blue.ok("user", "update", "watcher", "--role", "operator")
	viewer.ok("exec", "blueweb", "true")
	blue.ok("user", "disable", "watcher")
	viewer.fails(1, "user is disabled", "ps")
	blue.fails(1, "is the only admin", "user", "rm", "admin")
}

// keysEnd: what was rotated, has expired or is disabled proves nothing. It returns who has
// a disabled key.
func keysEnd(e *accountsEnv) *tenant {
	old := e.token("blue", "--description", "first")
	next := e.holder(read[api.Key](e.env, "key", "rotate", old.key.ID, "--account", "blue"))
	old.fails(1, "expired", "ps")
	next.ok("ps")
	kept := e.holder(read[api.Key](e.env, "key", "rotate", next.key.ID, "--overlap", "1h", "--account", "blue"))
	next.ok("ps")
	kept.ok("ps")
	short := e.token("blue", "--expires", "2s")
	e.until("it expires", func() bool { return strings.Contains(short.cis("ps").Stderr, "expired") })
	short.fails(1, "expired", "ps")
	e.ok("key", "disable", kept.key.ID, "--account", "blue")
	kept.fails(1, "the key is disabled", "ps")
	e.ok("key", "rm", next.key.ID, "--account", "blue")
	next.fails(1, "not known", "ps")
	if list := e.ok("key", "list", "-A", "-o", "json"); strings.Contains(list, kept.key.Token) || !strings.Contains(list, kept.key.ID) {
		e.Errorf("the keys are\n%s", list)
	}
	return kept
}

// usedUp is a quota of three instances that are there.
var usedUp = regexp.MustCompile(`(?m)^instances +3 +3 +100\.0%$`)

// bounds: an account gets no more than its quota, and only sizes of its series.
func bounds(e *accountsEnv, red *tenant) {
	try := func(flags ...string) []string {
		return append([]string{"run", "--rm"}, red.program(append(flags, "--", "true"))...)
	}
	e.ok("quota", "set", "red", "--instances", "9")
	red.fails(125, "of memory: 2Gi asked for", try("--memory", "2Gi")...)
	e.ok("quota", "set", "red", "--instances", "3")
	if red.cis("inspect", "redthird").Code != 0 {
		red.run("redthird", "--", "sleep", "1000")
	}
	red.fails(125, "3 instances", try("--memory", "64Mi")...)
	e.ok("quota", "set", "red", "--instances", "9")
	e.ok("account", "update", "red", "--size", "tiny=0.1,64Mi")
	red.fails(125, "is not a size of account red", try("--memory", "128Mi")...)
	red.ok(try("--cpu", "0.1", "--memory", "64Mi")...)
	e.ok("account", "update", "red", "--size", "none")
	e.ok("quota", "set", "red", "--instances", "3")
	e.until("red's quota is used up", func() bool { return usedUp.MatchString(red.cis("quota").Stdout) })
}

// records: what was done, and refused, is on record for whose it was.
func records(e *accountsEnv, red, blue *tenant) {
	find := func(entries []api.AuditEntry, action, object, result string) (found api.AuditEntry) {
		for _, entry := range entries {
			if entry.Action == action && strings.HasPrefix(entry.Object, object) && entry.Result == result {
				return entry
			}
		}
		e.Errorf("there is no %s of %s that was %s in %+v", action, object, result, entries)
		return found
	}
	var theirs []api.AuditEntry
	if err := json.Unmarshal([]byte(red.ok("audit", "-o", "json")), &theirs); err != nil {
		e.Fatal(err)
	}
	made := find(theirs, "createInstance", "instances/i-", "ok")
	e.equal("made by", made.User+" "+made.Key+" "+made.From+" "+made.CallerAccount, "admin "+red.key.ID+" 127.0.0.1 ")
	e.equal("key made by", find(theirs, "createKey", "keys/"+red.key.ID, "ok").CallerAccount, "default")
	find(theirs, "createInstance", "instances", "exhausted")
	for _, entry := range theirs {
		e.equal("account of red's audit", entry.Account, "red")
	}
	var others []api.AuditEntry
	if err := json.Unmarshal([]byte(blue.ok("audit", "-o", "json")), &others); err != nil {
		e.Fatal(err)
	}
	find(others, "stopInstance", "instances/blueweb/stop", "forbidden")
	find(others, "execInstance", "instances/blueweb/exec", "begun")
	all := read[[]api.AuditEntry](e.env, "audit", "-A")
	find(all, "createAccount", "accounts/red", "ok")
	if len(all) < len(theirs)+len(others) {
		e.Errorf("all have %d entries, red %d and blue %d", len(all), len(theirs), len(others))
	}
}

// tooOften: one key is bounded in how often it asks, and only that one.
func tooOften(e *accountsEnv) {
	busy, calm := e.token("blue"), e.token("blue")
	c, err := client.New(client.Options{Host: e.host, CA: e.ca, Token: busy.key.Token})
	if err != nil {
		e.Fatal(err)
	}
	defer c.Close()
	codes := map[api.Code]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				_, err := c.List(e.Context(), client.ListOptions{})
				mu.Lock()
				codes[api.CodeOf(err)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if codes[""] < 20 || codes[api.Exhausted] == 0 || codes[""]+codes[api.Exhausted] != 320 {
		e.Errorf("320 requests at once: %v", codes)
	}
	calm.ok("ps")
	e.until("it is let in again", func() bool { return busy.cis("ps").Code == 0 })
}
