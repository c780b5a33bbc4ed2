package cloudapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/test/stage"
)

// patience bounds what a test waits for; it is never what is measured.
const patience = 90 * time.Second

// sdk is a cisd, a key, and a node that runs the SDK.
type sdk struct {
	stage    *stage.Stage
	endpoint string
	key      key

	mu      sync.Mutex
	stdin   io.Writer
	next    int
	waiting map[int]chan answer
}

type key struct{ SecretID, SecretKey string }

// call is what the SDK is to do.
type call struct {
	ID         int             `json:"id"`
	Product    string          `json:"product"`
	Action     string          `json:"action"`
	Params     json.RawMessage `json:"params"`
	SignMethod string          `json:"signMethod"`
	ReqMethod  string          `json:"reqMethod"`
	Region     string          `json:"region"`
	Endpoint   string          `json:"endpoint"`
	SecretID   string          `json:"secretId"`
	SecretKey  string          `json:"secretKey"`
}

// answer is what came of it.
type answer struct {
	ID        int             `json:"id"`
	Response  json.RawMessage `json:"response"`
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	RequestID string          `json:"requestId"`
}

// mode is a way to sign and to send.
type mode struct{ sign, method string }

var (
	tc3   = mode{"TC3-HMAC-SHA256", "POST"}
	modes = []mode{tc3, {"TC3-HMAC-SHA256", "GET"}, {"HmacSHA256", "POST"}, {"HmacSHA256", "GET"}, {"HmacSHA1", "POST"}, {"HmacSHA1", "GET"}}
)

// open starts a cisd that serves the cloud API, and the SDK.
func open(t *testing.T, flags ...string) *sdk {
	t.Helper()
	x := &sdk{endpoint: freePort(t), waiting: map[int]chan answer{}}
	s, err := stage.Open(t.Context(), stage.Config{Flags: append([]string{"-cloudapi-listen", x.endpoint, "-rate-limit", "0", "-standby", "0"}, flags...)})
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
	x.stage = s
	x.key = x.newKey(t, "admin")
	x.startNode(t)
	return x
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (x *sdk) startNode(t *testing.T) {
	t.Helper()
	cmd := exec.Command("node", "sdk.js", filepath.Join(x.stage.Bin, "sdk"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.stdin = in
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.read(out)
	}()
	t.Cleanup(func() {
		in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
}

// read hands the answers to those who wait for them.
func (x *sdk) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue
		}
		x.mu.Lock()
		waiter := x.waiting[a.ID]
		delete(x.waiting, a.ID)
		x.mu.Unlock()
		if waiter != nil {
			waiter <- a
		}
	}
}

// do lets the SDK carry an action out: PRODUCT:ACTION.
func (x *sdk) do(t *testing.T, m mode, action string, params any, with ...func(*call)) answer {
	t.Helper()
	product, name, _ := strings.Cut(action, ":")
	data, err := json.Marshal(params)
	if text, ok := params.(string); ok {
		data = []byte(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := call{Product: product, Action: name, Params: data, SignMethod: m.sign, ReqMethod: m.method, Region: "local", Endpoint: x.endpoint,
		SecretID: x.key.SecretID, SecretKey: x.key.SecretKey}
	for _, change := range with {
		change(&c)
	}
	came := make(chan answer, 1)
	x.mu.Lock()
	x.next++
	c.ID = x.next
	x.waiting[c.ID] = came
	line, err := json.Marshal(c)
	if err == nil {
		_, err = x.stdin.Write(append(line, '\n'))
	}
	x.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-came:
		return a
	case <-time.After(patience):
		t.Fatalf("%s: no answer", action)
		return answer{}
	}
}

// ok carries out what must succeed, and reads the response into v if it is not nil.
func (x *sdk) ok(t *testing.T, m mode, action string, params, v any) {
	t.Helper()
	a := x.do(t, m, action, params)
	if a.Code != "" || a.Message != "" {
		t.Fatalf("%s by %v: %s: %s", action, m, a.Code, a.Message)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(a.Response, v); err != nil {
		t.Fatal(err)
	}
}

// bad carries out what must be refused.
func (x *sdk) bad(t *testing.T, m mode, action string, params any, code, says string, with ...func(*call)) {
	t.Helper()
	a := x.do(t, m, action, params, with...)
	if a.Code != code || !strings.Contains(a.Message, says) || a.RequestID == "" {
		t.Errorf("%s by %v: got %s: %s (request %q), want %s: …%s…", action, m, a.Code, a.Message, a.RequestID, code, says)
	}
}

// newKey makes a signing key of a user of the default account.
func (x *sdk) newKey(t *testing.T, user string) key {
	t.Helper()
	var k key
	x.v1(t, "/v1/keys", fmt.Sprintf(`{"user":%q,"type":"signing"}`, user), &k)
	if k.SecretID == "" || k.SecretKey == "" {
		t.Fatalf("the key is %+v", k)
	}
	return k
}

// until waits until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("not %s in time", what)
		}
	}
}
