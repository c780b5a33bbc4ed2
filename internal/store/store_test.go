package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"cis/api"
)

func open1(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func instance(n int) *Instance {
	return &Instance{Instance: api.Instance{ID: fmt.Sprintf("i-%012x", n), Account: "default", CreatedAt: time.Unix(int64(n%1e6), 0).UTC(),
		Spec: api.InstanceSpec{Name: fmt.Sprintf("n%d", n)}, Status: api.InstanceStatus{Phase: api.PhasePending}}}
}

func nothing() {}

// tokenOf makes a token that was used at a second and lives an hour.
func tokenOf(token string, at int64) *Token {
	return &Token{Token: token, Hash: "h", Created: time.Unix(at, 0), Expires: time.Unix(at+3600, 0)}
}

// Whatever is written at once: then is called in the order of the revisions.
func TestChangesAreToldInOrder(t *testing.T) {
	s, _ := open1(t)
	var told []int64
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			in := instance(n)
			if err := s.CreateInstance(t.Context(), in, nil, func() { told = append(told, in.Revision) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for n, revision := range told {
		if revision != int64(n+1) {
			t.Fatalf("told %v", told)
		}
	}
}

func TestInstancesSurviveReopening(t *testing.T) {
	s, path := open1(t)
	in := instance(1)
	in.Run.Images = map[string]string{"main": "sha256:x"}
	if err := s.CreateInstance(t.Context(), in, nil, nothing); err != nil {
		t.Fatal(err)
	}
	in.Status.Phase = api.PhaseRunning
	if err := s.UpdateInstance(t.Context(), in, false, nothing); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.FindInstance(t.Context(), "default", "n1")
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.Phase != api.PhaseRunning || got.Run.Images["main"] != "sha256:x" || got.Revision != 2 {
		t.Errorf("got %+v, revision %d", got, got.Revision)
	}
	if s.Revision() != 2 {
		t.Errorf("revision %d after reopening", s.Revision())
	}
}

func TestNamesAndTokensAreUnique(t *testing.T) {
	s, _ := open1(t)
	if err := s.CreateInstance(t.Context(), instance(1), tokenOf("a", 1), nothing); err != nil {
		t.Fatal(err)
	}
	same := instance(2)
	same.Spec.Name = "n1"
	if err := s.CreateInstance(t.Context(), same, nil, nothing); !errors.Is(err, ErrNameTaken) {
		t.Errorf("same name: %v", err)
	}
	if got := s.Revision(); got != 1 {
		t.Errorf("refused writes took revisions: %d", got)
	}
	// The token outlives its instance, and expires.
	if err := s.DeleteInstance(t.Context(), instance(1), nothing); err != nil {
		t.Fatal(err)
	}
	if tok, err := s.Token(t.Context(), "default", "a", time.Unix(0, 0)); err != nil || tok.Instance != instance(1).ID || tok.Hash != "h" {
		t.Errorf("by token: %+v, %v", tok, err)
	}
	if _, err := s.Token(t.Context(), "default", "a", time.Unix(1, 0)); !errors.Is(err, ErrNotFound) {
		t.Errorf("an expired token: %v", err)
	}
	if err := s.CreateInstance(t.Context(), instance(3), tokenOf("a", 1+3600), nothing); err != nil {
		t.Errorf("use of an expired token: %v", err)
	}
	if err := s.ForgetTokens(t.Context(), time.Unix(7200, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context(), "default", "a", time.Unix(0, 0)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a forgotten token: %v", err)
	}
}

func TestFindByPartOfID(t *testing.T) {
	s, _ := open1(t)
	for _, n := range []int{0xabc000000001, 0xabc000000002, 0xdef000000001} {
		if err := s.CreateInstance(t.Context(), instance(n), nil, nothing); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{
		"i-def": "i-def000000001", "i-abc000000002": "i-abc000000002", fmt.Sprintf("n%d", 0xabc000000001): "i-abc000000001",
	} {
		if got, err := s.FindInstance(t.Context(), "default", ref); err != nil || got.ID != want {
			t.Errorf("find %q: %v, %v", ref, got, err)
		}
	}
	if _, err := s.FindInstance(t.Context(), "default", "i-abc"); api.CodeOf(err) != api.Invalid {
		t.Errorf("ambiguous: %v", err)
	}
	for _, ref := range []string{"", "i-", "i-d", "i-1", "%"} {
		if _, err := s.FindInstance(t.Context(), "default", ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("find %q: %v", ref, err)
		}
	}
}

func TestListPages(t *testing.T) {
	s, _ := open1(t)
	for n := range 10 {
		in := instance(10 - n) // not in the order of age
		if n%2 == 0 {
			in.Status.Phase = api.PhaseFailed
		}
		if err := s.CreateInstance(t.Context(), in, nil, nothing); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	var at time.Time
	var id string
	for {
		page, err := s.ListInstances(t.Context(), "default", at, id, nil, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range page {
			names = append(names, in.Spec.Name)
			at, id = in.CreatedAt, in.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if fmt.Sprint(names) != "[n1 n2 n3 n4 n5 n6 n7 n8 n9 n10]" {
		t.Errorf("in pages: %v", names)
	}
	failed, err := s.ListInstances(t.Context(), "default", time.Time{}, "", []api.Phase{api.PhaseFailed}, 100)
	if err != nil || len(failed) != 5 {
		t.Errorf("failed ones: %d, %v", len(failed), err)
	}
}

func TestUpdateOfWhatIsGone(t *testing.T) {
	s, _ := open1(t)
	if err := s.UpdateInstance(t.Context(), instance(1), true, nothing); !errors.Is(err, ErrNotFound) {
		t.Errorf("update: %v", err)
	}
	if err := s.DeleteInstance(t.Context(), instance(1), nothing); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
}

func TestEqualEventsAreCounted(t *testing.T) {
	s, _ := open1(t)
	e := api.Event{Account: "default", InstanceID: "i-1", Instance: "a", Container: "main", Type: api.EventWarning, Reason: "BackOff", Message: "m"}
	var last api.Event
	for n := range 3 {
		e.LastSeen = time.Unix(int64(100+n), 0).UTC()
		var err error
		if last, err = s.AddEvent(t.Context(), e, func(api.Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	other := e
	other.Message = "another"
	if _, err := s.AddEvent(t.Context(), other, func(api.Event) {}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Events(t.Context(), "default", "i-1", 0, 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d events, %v", len(all), err)
	}
	if got := all[0]; got != last || got.Count != 3 || got.FirstSeen.Unix() != 100 || got.LastSeen.Unix() != 102 {
		t.Errorf("counted event: %+v", got)
	}
	if later, _ := s.Events(t.Context(), "default", "", last.ID, 10); len(later) != 1 || later[0].Message != "another" {
		t.Errorf("after the last: %+v", later)
	}
}

func TestEventsOfAnInstanceAreBounded(t *testing.T) {
	s, _ := open1(t)
	add := func(instance string, n int) {
		e := api.Event{Account: "default", InstanceID: instance, Type: api.EventNormal, Reason: "R", Message: strconv.Itoa(n), LastSeen: time.Unix(int64(n), 0)}
		if _, err := s.AddEvent(t.Context(), e, func(api.Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	add("i-2", 0)
	for n := range keptEvents + 5 {
		add("i-1", n)
	}
	all, err := s.Events(t.Context(), "", "i-1", 0, 2*keptEvents)
	if err != nil || len(all) != keptEvents || all[0].Message != "5" {
		t.Errorf("%d events, %v", len(all), err)
	}
	if other, _ := s.Events(t.Context(), "", "i-2", 0, 10); len(other) != 1 {
		t.Error("the event of another instance went")
	}
}

func TestSandboxesAndSecrets(t *testing.T) {
	s, _ := open1(t)
	b := Sandbox{ID: "s-1", Isolation: api.IsolationGVisor, Subnet: "subnet-1", Address: "10.0.0.2", Address6: "fd00::2", CPU: 500, Memory: 256 * api.MiB}
	if err := s.CreateSandbox(t.Context(), b, 42); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateSandbox(t.Context(), "s-1", "i-1", true); err != nil {
		t.Fatal(err)
	}
	all, err := s.Sandboxes(t.Context())
	cursors, err2 := s.Cursors(t.Context())
	b.Instance, b.Ready = "i-1", true
	if err != nil || err2 != nil || cursors["subnet-1"] != 42 || len(all) != 1 || all[0] != b {
		t.Errorf("sandboxes %+v, cursors %v, %v, %v", all, cursors, err, err2)
	}
	if err := s.DeleteSandbox(t.Context(), "s-1"); err != nil {
		t.Fatal(err)
	}
	sec := api.Secret{Name: "x", Type: api.SecretOpaque, Data: map[string][]byte{"k": {0, 255}}, CreatedAt: time.Unix(1, 0).UTC()}
	if err := s.PutSecret(t.Context(), "default", sec); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Secret(t.Context(), "default", "x"); err != nil || string(got.Data["k"]) != "\x00\xff" {
		t.Errorf("secret %+v, %v", got, err)
	}
	if err := s.DeleteSecret(t.Context(), "default", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Secret(t.Context(), "default", "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed secret: %v", err)
	}
}

func TestAnotherSchemaIsRefused(t *testing.T) {
	s, path := open1(t)
	if _, err := s.durable.Exec("PRAGMA user_version=99"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(t.Context(), path); err == nil {
		t.Error("a record of a later version was opened")
	}
}

// A record of the first version is carried over: what is in it, and the place where the
// search for addresses goes on.
func TestAnOlderRecordIsCarriedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.db")
	old, err := open(path, "FULL", 1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := schemas.ReadFile("schema/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, err = old.Exec(string(first) + `; PRAGMA user_version=1;
		UPDATE counters SET value=7 WHERE name='revision';
		UPDATE counters SET value=42 WHERE name='address';
		INSERT INTO instances (id,name,phase,created_at,revision,doc,run) VALUES
			('i-0','young','Failed',2,6,'{"id":"i-0","spec":{"name":"young"}}','{"number":1}'), ('i-1','old','Failed',1,7,'{"id":"i-1","spec":{"name":"old"}}','{"number":2}');
		INSERT INTO sandboxes (id,instance,isolation,address,cpu,memory,ready) VALUES ('s-1','','gvisor','10.0.0.2',1,2,1)`)
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	for range 2 { // the second time there is nothing to carry over
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		cursors, err := s.Cursors(t.Context())
		boxes, err2 := s.Sandboxes(t.Context())
		if err != nil || err2 != nil || s.Revision() != 7 || cursors["subnet-default"] != 42 || len(boxes) != 1 || boxes[0].Subnet != "subnet-default" {
			t.Errorf("revision %d, cursors %v, sandboxes %+v, %v, %v", s.Revision(), cursors, boxes, err, err2)
		}
		l, err := s.ListInstances(t.Context(), "default", time.Time{}, "", nil, 10)
		if err != nil || len(l) != 2 || l[0].Spec.Name != "old" || l[0].Revision != 7 || l[0].Run.Number != 2 || l[1].Account != "default" {
			t.Errorf("instances %+v, %v", l, err)
		}
		s.Close()
	}
}

func TestInstancesByID(t *testing.T) {
	s, _ := open1(t)
	for n := range 4 {
		if err := s.CreateInstance(t.Context(), instance(n), nil, nothing); err != nil {
			t.Fatal(err)
		}
	}
	id := func(n int) string { return instance(n).ID }
	l, err := s.InstancesByID(t.Context(), []string{id(3), "i-none", id(0), id(2)})
	if err != nil || len(l) != 3 || l[0].ID != id(3) || l[1].ID != id(0) || l[2].ID != id(2) || l[1].Revision == 0 {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err := s.InstancesByID(t.Context(), nil); err != nil || len(l) != 0 {
		t.Errorf("none: got %+v, %v", l, err)
	}
}

func TestObjects(t *testing.T) {
	s, _ := open1(t)
	for _, v := range []api.VPC{{ID: "vpc-2", Name: "b"}, {ID: "vpc-1", Name: "a"}} {
		if err := s.PutObject(t.Context(), KindVPC, v.ID, "default", v.Name, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutObject(t.Context(), KindVPC, "vpc-3", "default", "a", api.VPC{}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("same name: %v", err)
	}
	if err := s.PutObject(t.Context(), KindSubnet, "subnet-1", "default", "a", api.Subnet{Name: "a"}); err != nil {
		t.Errorf("the name of another kind: %v", err)
	}
	if err := s.PutObject(t.Context(), KindVPC, "vpc-1", "default", "a", api.VPC{Name: "a", CIDR: "10.0.0.0/8"}); err != nil {
		t.Fatal(err)
	}
	all, err := Objects[api.VPC](t.Context(), s, KindVPC)
	if err != nil || len(all) != 2 || all[0].CIDR != "10.0.0.0/8" || all[1].Name != "b" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.DeleteObject(t.Context(), KindVPC, "vpc-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteObject(t.Context(), KindVPC, "vpc-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestACommitOutlivesItsCaller(t *testing.T) {
	s, _ := open1(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.CreateInstance(ctx, instance(1), nil, nothing); err != nil {
		t.Errorf("a write that began must end: %v", err)
	}
}

func BenchmarkCreateInstance(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "record.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for n := 0; b.Loop(); n++ {
		if err := s.CreateInstance(b.Context(), instance(n), nil, nothing); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdateInstance(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "record.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	in := instance(1)
	s.CreateInstance(b.Context(), in, nil, nothing)
	for b.Loop() {
		if err := s.UpdateInstance(b.Context(), in, false, nothing); err != nil {
			b.Fatal(err)
		}
	}
}

// ended is an instance as it is listed most: one that has done its work.
func ended(n int) *Instance {
	in, zero := instance(n), 0
	id := sha256.Sum256([]byte(in.ID))
	in.ID = fmt.Sprintf("i-%x", id[:6]) // no order of age
	spec := api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: in.Spec.Name, Containers: []api.Container{{
		Name: "main", Image: "registry.example/busybox:1", Command: []string{"sh", "-c"}, Args: []string{"echo done"}, Env: []api.EnvVar{{Name: "N", Value: "n"}}}}}}
	spec.Default(api.Defaults{})
	in.Spec = spec.InstanceSpec
	in.Status = api.InstanceStatus{Phase: api.PhaseSucceeded, Reason: api.ReasonCompleted, StartedAt: &in.CreatedAt, FinishedAt: &in.CreatedAt, ExitCode: &zero,
		ContainerStatuses: []api.ContainerStatus{{Name: "main", State: api.ContainerState{Terminated: &api.StateTerminated{
			Reason: api.ReasonCompleted, StartedAt: in.CreatedAt, FinishedAt: in.CreatedAt}}}}}
	return in
}

// filled is a record of many ended instances, and their IDs by age.
func filled(b *testing.B, records int) (s *Store, ids []string) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "record.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	for n := range records {
		in := ended(n)
		if err := s.CreateInstance(b.Context(), in, nil, nothing); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, in.ID)
	}
	return s, ids
}

func BenchmarkList500(b *testing.B) {
	s, _ := filled(b, 500)
	for b.Loop() {
		if l, err := s.ListInstances(b.Context(), "default", time.Time{}, "", nil, 500); err != nil || len(l) != 500 {
			b.Fatal(err)
		}
	}
}

// BenchmarkPage reads 100 of many, another 100 each time.
func BenchmarkPage(b *testing.B) {
	s, ids := filled(b, 10_000)
	for n := 0; b.Loop(); n += 100 {
		from := n % len(ids)
		if l, err := s.InstancesByID(b.Context(), ids[from:from+100]); err != nil || len(l) != 100 {
			b.Fatal(err)
		}
	}
}
