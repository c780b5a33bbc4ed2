package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cis/test/stage"
)

// cluster is a Kubernetes cluster whose node is the stage's cisd.
type cluster struct {
	*pair
	dir string
	// proxy is kubectl's, which speaks to the API server for api.
	proxy *exec.Cmd
	api   *http.Client
}

// openCluster starts what `cis kube up` starts, but for Services.
func (b *bench) openCluster(ctx context.Context, flags ...string) (_ *cluster, err error) {
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: flags})
	if err != nil {
		return nil, err
	}
	c := &cluster{pair: &pair{Stage: s}, dir: filepath.Join(s.Dir, "kube")}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	port, err := stage.FreePort()
	if err != nil {
		return nil, err
	}
	address, err := stage.HostAddress()
	if err != nil {
		return nil, err
	}
	if _, err := c.kube(ctx, "", "cis-kube", "up", "--listen", fmt.Sprintf("127.0.0.1:%d", port), "--node-name", "n1", "--node-address", address+":0", "--services=false"); err != nil {
		return nil, err
	}
	if _, err := c.kube(ctx, "", "cis-kubectl", "wait", "--for=condition=Ready", "node/n1", "--timeout=120s"); err != nil {
		return nil, err
	}
	if err := c.startProxy(ctx); err != nil {
		return nil, err
	}
	// The first ones pull, and fill the page cache.
	if _, err := c.detached(ctx, 1); err != nil {
		return nil, err
	}
	_, _, err = c.pods(ctx, "first", 1)
	return c, err
}

func (c *cluster) close() error {
	var errs []error
	if c.proxy != nil {
		c.proxy.Cancel()
		_ = c.proxy.Wait() // it was killed
	}
	if _, err := os.Stat(c.dir); err == nil {
		_, err := c.kube(context.Background(), "", "cis-kube", "down")
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.Close())...)
}

// command is a call of cis-kube or cis-kubectl.
func (c *cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, program), args...)
	cmd.Env = append(os.Environ(), "CIS_KUBE_DATA_DIR="+c.dir, "CIS_HOST="+c.Host)
	return cmd
}

func (c *cluster) kube(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := c.command(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, problem.String())
	}
	return string(out), err
}

func (c *cluster) startProxy(ctx context.Context) error {
	socket := filepath.Join(c.Dir, "proxy.sock")
	c.proxy = c.command(ctx, "cis-kubectl", "proxy", "--unix-socket", socket)
	if err := c.proxy.Start(); err != nil {
		c.proxy = nil
		return fmt.Errorf("kubectl proxy: %w", err)
	}
	c.api = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for range 600 {
		if resp, err := c.api.Get("http://localhost/readyz"); err == nil {
			return resp.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("kubectl proxy does not answer")
}

// detached is how long `cis run -d` takes for so many at once; they are removed then.
func (c *cluster) detached(ctx context.Context, n int) (time.Duration, error) {
	if err := c.standby(ctx); err != nil {
		return 0, err
	}
	all, _, err := burst(n, func() (time.Duration, error) {
		r, err := c.Cis(ctx, "", "run", "-d", c.Image, "sleep", "100000")
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("cis run -d: exit code %d: %s", r.Code, r.Stderr)
		}
		return r.Took, err
	})
	if err != nil {
		return 0, err
	}
	list, err := c.Cis(ctx, "", "ps", "-q")
	if err == nil {
		_, err = c.Cis(ctx, "", append([]string{"rm", "-f"}, strings.Fields(list.Stdout)...)...)
	}
	return all, err
}

// pods is how long it takes from the start of `kubectl create`, for so many pods at once,
// until it ends, and until the last is seen to be Ready; they are deleted then.
func (c *cluster) pods(ctx context.Context, name string, n int) (created, ready time.Duration, err error) {
	if err := c.standby(ctx); err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	events, err := c.watch(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	var objects strings.Builder
	for i := range n {
		fmt.Fprintf(&objects, "---\n{apiVersion: v1, kind: Pod, metadata: {name: %s-%d, labels: {run: %s}}, "+
			"spec: {containers: [{name: a, image: %q, command: [sleep, '100000']}]}}\n", name, i, name, c.Image)
	}
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		_, err := c.kube(ctx, objects.String(), "cis-kubectl", "create", "-f", "-")
		created = time.Since(began)
		if err != nil {
			cancel()
		}
		done <- err
	}()
	err = c.awaitReady(ctx, events, name, n)
	ready = time.Since(began)
	if err := errors.Join(<-done, err); err != nil {
		return 0, 0, err
	}
	_, err = c.kube(ctx, "", "cis-kubectl", "delete", "pods", "-l", "run="+name, "--grace-period=1")
	return created, ready, err
}

// podEvents is a watch of pods.
type podEvents struct{ *http.Response }

func (c *cluster) watch(ctx context.Context, name string) (podEvents, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://localhost/api/v1/namespaces/default/pods?watch=true&labelSelector="+url.QueryEscape("run="+name), nil)
	if err != nil {
		return podEvents{}, err
	}
	resp, err := c.api.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.Join(fmt.Errorf("watch pods: %s", resp.Status), resp.Body.Close())
	}
	return podEvents{resp}, err
}

func (e podEvents) Close() error { return e.Body.Close() }

// awaitReady returns once so many pods are Ready, and closes the watch. An API server ends a
// watch when it likes to; the next one begins with all pods that are there.
func (c *cluster) awaitReady(ctx context.Context, events podEvents, name string, n int) error {
	for {
		err := errors.Join(events.awaitReady(n), events.Close())
		if !errors.Is(err, io.EOF) {
			return err
		}
		if events, err = c.watch(ctx, name); err != nil {
			return err
		}
	}
}

// awaitReady returns once so many pods are Ready.
func (e podEvents) awaitReady(n int) error {
	type event struct {
		Object struct {
			Metadata struct{ Name string }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	ready := map[string]bool{}
	for in := json.NewDecoder(e.Body); len(ready) < n; {
		var e event
		if err := in.Decode(&e); err != nil {
			return fmt.Errorf("watch pods, of which %d of %d are Ready: %w", len(ready), n, err)
		}
		for _, c := range e.Object.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" {
				ready[e.Object.Metadata.Name] = true
			}
		}
	}
	return nil
}

// kubeCreate compares a pod with the same instance.
func (b *bench) kubeCreate(ctx context.Context) (err error) {
	c, err := b.openCluster(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	cis, kubectl, kube, err := b.turns(ctx, c, b.runs, 1)
	if err != nil {
		return err
	}
	b.table.add("the instance of a pod, cis run -d", cis.String(), "", "", "")
	b.table.add("the pod, kubectl create to Ready", kube.String(), "", "", "")
	b.table.add("  of it: kubectl create itself", kubectl.String(), "", "", "")
	b.table.add("  over cis run -d, medians", millis(kube.median()-cis.median()), "", "", "150 ms")
	return nil
}

// kubeBurst asks for many pods at once. They are small, so that the host holds all.
func (b *bench) kubeBurst(ctx context.Context) (err error) {
	c, err := b.openCluster(ctx, "-default-size", "0.1,64Mi")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	cis, kubectl, kube, err := b.turns(ctx, c, min(b.runs, 3), b.pods)
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("%d at once, cis run -d", b.pods), cis.String(), "", "", "")
	b.table.add(fmt.Sprintf("%d pods at once, kubectl create to Ready", b.pods), kube.String(), "",
		fmt.Sprintf("%.2f", float64(kube.median())/float64(cis.median())), "1.30")
	b.table.add("  of it: kubectl create itself", kubectl.String(), "", "", "")
	return nil
}

// turns are of so many instances and pods at once.
func (b *bench) turns(ctx context.Context, c *cluster, count, n int) (cis, kubectl, kube sample, err error) {
	for i := range count {
		took, err := c.detached(ctx, n)
		if err != nil {
			return nil, nil, nil, err
		}
		created, ready, err := c.pods(ctx, fmt.Sprintf("round-%d", i), n)
		if err != nil {
			return nil, nil, nil, err
		}
		cis, kubectl, kube = append(cis, took), append(kubectl, created), append(kube, ready)
	}
	return cis, kubectl, kube, nil
}

// kubeMemory is that of an idle cluster.
func (b *bench) kubeMemory(ctx context.Context) (err error) {
	c, err := b.openCluster(ctx, "-standby", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	time.Sleep(10 * time.Second) // what a start leaves to do is done
	out, err := c.kube(ctx, "", "cis-kube", "status", "--json")
	if err != nil {
		return err
	}
	var status struct {
		Programs []struct {
			Name string
			RSS  int64
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return fmt.Errorf("cis-kube status: %w", err)
	}
	for _, p := range status.Programs {
		goal := ""
		if p.Name == "cis-kubelet" {
			goal = "80 MiB"
		}
		b.table.add(p.Name+" idle, RSS", mebibytes(p.RSS), "", "", goal)
	}
	return nil
}
