package client_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/client"
)

func TestLifeOfAnInstance(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	in := w.create(t, "web", func(r *api.CreateInstance) { r.CPU, r.Labels = 1500, map[string]string{"app": "web"} })
	if in.Spec.CPU != 1500 || in.Spec.Memory != 256*api.MiB || in.Spec.Containers[0].Name != "main" || in.Spec.Hostname != "web" {
		t.Errorf("the defaults are missing: %+v", in.Spec)
	}
	for _, ref := range []string{"web", in.ID, in.ID[:6]} {
		if got, err := w.Get(ctx, ref); err != nil || got.ID != in.ID {
			t.Errorf("Get(%q) = %+v, %v", ref, got, err)
		}
	}
	_, err := w.Create(ctx, api.CreateInstance{InstanceSpec: in.Spec})
	wantCode(t, err, api.Conflict)
	_, err = w.Start(ctx, "web")
	wantCode(t, err, api.Conflict)
	wantCode(t, w.Remove(ctx, "web", false, nil), api.Conflict)
	if err := w.Kill(ctx, "web", "main", 15); err != nil || !reflect.DeepEqual(w.engine.Signals, []int{15}) {
		t.Errorf("Kill: %v, sent %v", err, w.engine.Signals)
	}
	stats, err := w.Stats(ctx, "web")
	if err != nil || stats.CPULimit != 1500 {
		t.Errorf("Stats: %+v, %v", stats, err)
	}

	waited := make(chan api.Instance, 1)
	go func() { got, _ := w.Wait(ctx, "web"); waited <- got }()
	stopped, err := w.Stop(ctx, "web", new(1500*time.Millisecond))
	if err != nil || stopped.Status.Phase != api.PhaseFailed {
		t.Errorf("Stop: %+v, %v", stopped.Status, err)
	}
	if got := <-waited; got.Status.ExitCode == nil || *got.Status.ExitCode != 137 {
		t.Errorf("Wait: %+v", got.Status)
	}
	if got, err := w.Start(ctx, "web"); err != nil || got.Status.Phase != api.PhaseRunning {
		t.Errorf("Start: %+v, %v", got.Status, err)
	}
	if _, err := w.Restart(ctx, "web", new(time.Duration(0))); err != nil {
		t.Error(err)
	}
	if err := w.Remove(ctx, "web", true, new(time.Second)); err != nil {
		t.Error(err)
	}
	if want := []time.Duration{1500 * time.Millisecond, 0, time.Second}; !reflect.DeepEqual(w.engine.Graces, want) {
		t.Errorf("the graces were %v, want %v", w.engine.Graces, want)
	}
	_, err = w.Get(ctx, "web")
	wantCode(t, err, api.NotFound)
	if e, _ := errors.AsType[*api.Error](err); e.Next != "see 'cis ps -a'" {
		t.Errorf("the next step is %q", e.Next)
	}
}

func TestClientToken(t *testing.T) {
	w := newWorld(t)
	token := func(r *api.CreateInstance) { r.ClientToken = "once" }
	a, b := w.create(t, "a", token), w.create(t, "a", token)
	if a.ID != b.ID {
		t.Errorf("one token made %s and %s", a.ID, b.ID)
	}
	_, err := w.Create(t.Context(), api.CreateInstance{ClientToken: "once", InstanceSpec: api.InstanceSpec{Containers: []api.Container{{Image: "other"}}}})
	wantCode(t, err, api.Conflict)
}

func TestListPagesAndSelectors(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for i := range 25 {
		w.create(t, fmt.Sprintf("n-%d", i), func(r *api.CreateInstance) { r.Labels = map[string]string{"odd": fmt.Sprint(i%2 == 1)} })
	}
	if err := w.engine.Finish("n-1", 3); err != nil {
		t.Fatal(err)
	}
	count := func(opts client.ListOptions) int {
		n := 0
		for _, err := range w.All(ctx, opts) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	tests := []struct {
		opts client.ListOptions
		want int
	}{
		{client.ListOptions{}, 25},
		{client.ListOptions{Limit: 7}, 25},
		{client.ListOptions{Limit: 25}, 25},
		{client.ListOptions{Limit: 5, Selector: "odd=true"}, 12},
		{client.ListOptions{Selector: "odd in (true,false),!even"}, 25},
		{client.ListOptions{Phases: []api.Phase{api.PhaseFailed}}, 1},
		{client.ListOptions{Phases: []api.Phase{api.PhaseFailed, api.PhaseRunning}}, 25},
		{client.ListOptions{Selector: "none"}, 0},
	}
	for _, tt := range tests {
		if got := count(tt.opts); got != tt.want {
			t.Errorf("%+v gives %d, want %d", tt.opts, got, tt.want)
		}
	}
	page, err := w.List(ctx, client.ListOptions{Limit: 2})
	if err != nil || len(page.Items) != 2 || page.Continue == "" || page.Revision != 26 {
		t.Errorf("a page is %d items, continue %q, revision %d, %v", len(page.Items), page.Continue, page.Revision, err)
	}
}

func TestWatch(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	list, err := w.List(t.Context(), client.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	enough := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- w.Watch(t.Context(), client.ListOptions{}, list.Revision, func(e api.WatchEvent[api.Instance]) error {
			seen = append(seen, e.Type+" "+e.Object.Spec.Name)
			if e.Type == api.WatchDeleted {
				return enough
			}
			return nil
		})
	}()
	w.create(t, "b")
	_ = w.engine.Finish("b", 0)
	if err := w.Remove(t.Context(), "b", false, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != enough {
		t.Errorf("the watch ended with %v", err)
	}
	if want := []string{"ADDED b", "MODIFIED b", "DELETED b"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
}

func TestEvents(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	w.create(t, "b")
	page, err := w.Events(ctx, client.EventOptions{Limit: 1})
	if err != nil || len(page.Items) != 1 || page.Items[0].Instance != "a" || page.Continue == "" {
		t.Fatalf("got %+v, %v", page, err)
	}
	enough := errors.New("enough")
	err = w.WatchEvents(ctx, client.EventOptions{Since: page.Items[0].ID}, func(e api.Event) error {
		if e.Instance != "b" || e.Reason != "Started" {
			t.Errorf("got %+v", e)
		}
		return enough
	})
	if err != enough {
		t.Error(err)
	}
}

func TestCopy(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	for name, text := range map[string]string{"small": "hi", "big": big} {
		if err := errors.Join(tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600}), second(tw.Write([]byte(text)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.CopyIn(ctx, "a", "", "/data", &archive); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.engine.File("/data/big"); got != big {
		t.Errorf("big arrived with %d bytes", len(got))
	}
	var out bytes.Buffer
	if err := w.CopyOut(ctx, "a", "main", "/data/small", &out); err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(&out)
	if h, err := tr.Next(); err != nil || h.Name != "data/small" {
		t.Fatalf("got %+v, %v", h, err)
	}
	if data, err := io.ReadAll(tr); err != nil || string(data) != "hi" {
		t.Errorf("got %q, %v", data, err)
	}
	err := w.CopyOut(ctx, "a", "", "/none", io.Discard)
	wantCode(t, err, api.NotFound)
	if e, _ := errors.AsType[*api.Error](err); e == nil || e.Field != "path" {
		t.Errorf("a missing path gives %+v", e)
	}
	wantCode(t, w.CopyIn(ctx, "a", "", "/data", strings.NewReader(strings.Repeat("no tar ", 1000))), api.Invalid)
	// A stream that fails midway must not pass for a whole one.
	err = w.CopyOut(ctx, "a", "", "/broken", io.Discard)
	wantCode(t, err, api.Unavailable)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	broken := errors.New("disk full")
	if err := w.CopyOut(ctx, "a", "", "/data", failingWriter{broken}); err != broken {
		t.Errorf("a failing writer gives %v", err)
	}
}

func second(_ int, err error) error { return err }

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
