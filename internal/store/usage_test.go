package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"cis/api"
	"cis/internal/meter"
)

func at(seconds int) time.Time { return time.Unix(1_800_000_000+int64(seconds), 0).UTC() }

// metered are all intervals by sandbox.
func metered(t *testing.T, s *Store) map[string]meter.Interval {
	t.Helper()
	all := map[string]meter.Interval{}
	err := s.Usage(t.Context(), "default", at(-1e6), at(1e6), "", func(i meter.Interval) { all[i.Sandbox] = i })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// step is one of the changes of the record that a sequence makes.
type step struct {
	name string
	do   func(s *Store) error
}

// change records a state of an instance.
func change(t *testing.T, sandbox string, number int, clock *meter.Clock) step {
	return step{fmt.Sprintf("%s %+v", sandbox, clock), func(s *Store) error {
		in := instance(1)
		in.Spec.CPU, in.Spec.Memory, in.Spec.EphemeralStorage, in.Spec.Labels = 500, api.GiB, 10*api.GiB, map[string]string{"a": "b"}
		in.Status.Isolation = api.IsolationGVisor
		in.Run = Run{Number: number, Sandbox: sandbox, Clock: clock}
		return s.UpdateInstance(t.Context(), in, false, nothing)
	}}
}

func mark(t *testing.T, second int, sandbox string, sent int64) step {
	return step{fmt.Sprintf("mark %s %d", sandbox, second), func(s *Store) error {
		return s.MarkUsage(t.Context(), at(second), map[string]int64{sandbox: sent})
	}}
}

func counted(n int64) *int64 { return &n }

// Two runs, the first in two sandboxes of which one is lost; the record is closed and
// opened again, and the step done again, after any step and any pair of them: nothing is
// lost and nothing counts twice.
func TestUsageOutlivesACrashAtEachStep(t *testing.T) {
	first, second, third := &meter.Clock{Start: at(10)}, &meter.Clock{Start: at(40)}, &meter.Clock{Start: at(100)}
	bound := second.Bind(true, at(45))
	larger := bound.Resize(api.ResourceList{CPU: 500, Memory: api.GiB}, at(46)).Resize(api.ResourceList{CPU: 1000, Memory: api.GiB}, at(52))
	steps := []step{
		change(t, "s-1", 1, nil), change(t, "s-1", 1, first), mark(t, 15, "s-1", 100), mark(t, 25, "s-1", 250), mark(t, 26, "s-1", -1),
		change(t, "s-1", 1, first.Stop(at(30), counted(300))), mark(t, 31, "s-1", 299), change(t, "", 1, nil),
		change(t, "s-2", 1, second), change(t, "s-2", 1, bound), mark(t, 50, "s-2", 10), change(t, "s-2", 1, larger), mark(t, 55, "s-2", 4), // the interface is a new one
		change(t, "s-2", 1, larger.Stop(at(60), nil)), change(t, "", 2, nil),
		change(t, "s-3", 2, third), mark(t, 110, "s-3", 1),
		{"lost", func(s *Store) error { return s.EndUsage(t.Context(), []string{"s-9"}) }},
		{"removed", func(s *Store) error {
			err := s.DeleteInstance(t.Context(), instance(1), nothing)
			if err != nil && fmt.Sprint(err) != "remove instance i-000000000001: not on record" {
				return err
			}
			return nil
		}},
	}
	for crash := range steps {
		s, path := open1(t)
		if err := s.CreateInstance(t.Context(), instance(1), nil, nothing); err != nil {
			t.Fatal(err)
		}
		for n, st := range steps {
			if err := st.do(s); err != nil {
				t.Fatalf("%s: %v", st.name, err)
			}
			if n == crash || n == crash+1 {
				s.Close()
				var err error
				if s, err = Open(t.Context(), path); err != nil {
					t.Fatal(err)
				}
				if err := st.do(s); err != nil { // its caller was not told
					t.Fatalf("%s again: %v", st.name, err)
				}
			}
		}
		t.Cleanup(func() { s.Close() })
		all := metered(t, s)
		common := meter.Interval{Account: "default", Instance: "i-000000000001", Name: "n1", Labels: map[string]string{"a": "b"}, Isolation: api.IsolationGVisor,
			CPU: 500, Memory: api.GiB, Storage: 10 * api.GiB, Run: 1}
		hour := at(0).Truncate(time.Hour)
		one, two, three := common, common, common
		one.Sandbox, one.Start, one.End, one.Seen, one.Sent = "s-1", at(10), at(30), at(26), []meter.Sent{{Hour: hour, Bytes: 300}}
		two.Sandbox, two.Start, two.End, two.Seen, two.Sent = "s-2", at(40), at(60), at(55), []meter.Sent{{Hour: hour, Bytes: 14}}
		two.Addresses, two.Sizes = []meter.Span{{Start: at(45)}}, larger.Sizes
		three.Sandbox, three.Run, three.Start, three.End, three.Seen, three.Sent = "s-3", 2, at(100), at(110), at(110), []meter.Sent{{Hour: hour, Bytes: 1}}
		if want := map[string]meter.Interval{"s-1": one, "s-2": two, "s-3": three}; !reflect.DeepEqual(all, want) {
			t.Fatalf("with a crash at %q:\n%+v\nwant\n%+v", steps[crash].name, all, want)
		}
	}
}

// Random lives of instances, with the record closed and opened at random: what is on
// record is what a model has counted.
func TestUsageIsAsAModelCounts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s, path := open1(t)
	if err := s.CreateInstance(t.Context(), instance(1), nil, nothing); err != nil {
		t.Fatal(err)
	}
	type truth struct {
		start, end int
		sent       int64
	}
	want := map[string]truth{}
	clock := 0
	for n := range 60 {
		sandbox := fmt.Sprintf("s-%d", n)
		clock += 1 + random.IntN(50)
		now := truth{start: clock}
		c := &meter.Clock{Start: at(clock)}
		do := func(st step) {
			for again := true; again; again = random.IntN(3) == 0 {
				if err := st.do(s); err != nil {
					t.Fatal(err)
				}
				if random.IntN(8) == 0 {
					s.Close()
					var err error
					if s, err = Open(t.Context(), path); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		do(change(t, sandbox, n+1, c))
		for range random.IntN(4) {
			clock += 1 + random.IntN(4000)
			now.sent += int64(random.IntN(1000))
			do(mark(t, clock, sandbox, now.sent))
			now.end = clock
		}
		if lost := random.IntN(4) == 0 && now.end > 0; lost {
			do(step{"lost", func(s *Store) error { return s.EndUsage(t.Context(), nil) }})
		} else {
			clock += 1 + random.IntN(50)
			now.end, now.sent = clock, now.sent+5
			do(change(t, sandbox, n+1, c.Stop(at(clock), counted(now.sent))))
		}
		want[sandbox] = now
	}
	t.Cleanup(func() { s.Close() })
	all := metered(t, s)
	for sandbox, w := range want {
		i := all[sandbox]
		var sent int64
		for _, part := range i.Sent {
			sent += part.Bytes
		}
		if !i.Start.Equal(at(w.start)) || !i.End.Equal(at(w.end)) || sent != w.sent {
			t.Errorf("%s: %v to %v, %d bytes, want %+v", sandbox, i.Start.Sub(at(0)), i.End.Sub(at(0)), sent, w)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d intervals, want %d", len(all), len(want))
	}
}

func TestUsageIsClippedAndForgotten(t *testing.T) {
	s, _ := open1(t)
	if err := s.CreateInstance(t.Context(), instance(1), nil, nothing); err != nil {
		t.Fatal(err)
	}
	c := &meter.Clock{Start: at(10)}
	for _, st := range []step{change(t, "s-1", 1, c), mark(t, 15, "s-1", 7), change(t, "s-1", 1, c.Stop(at(20), nil)), change(t, "s-2", 1, &meter.Clock{Start: at(30)})} {
		if err := st.do(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		from, to int
		id       string
		want     int
	}{{0, 10, "", 0}, {0, 11, "", 1}, {19, 30, "", 1}, {20, 30, "", 0}, {0, 31, "", 2}, {0, 31, "i-000000000001", 2}, {0, 31, "i-2", 0}, {1e5, 1e6, "", 1}} {
		n := 0
		if err := s.Usage(t.Context(), "default", at(tt.from), at(tt.to), tt.id, func(meter.Interval) { n++ }); err != nil || n != tt.want {
			t.Errorf("%+v: %d, %v", tt, n, err)
		}
	}
	if seen, err := s.UsageSeen(t.Context(), "s-1"); err != nil || !seen.Equal(at(15)) {
		t.Errorf("seen %v, %v", seen, err)
	}
	if seen, err := s.UsageSeen(t.Context(), "s-0"); err != nil || !seen.IsZero() {
		t.Errorf("seen %v, %v", seen, err)
	}
	if err := s.ForgetUsage(t.Context(), at(1e6)); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := s.read.QueryRow("SELECT count(*) FROM usage_sent").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d parts left, %v", left, err)
	}
	if all := metered(t, s); len(all) != 1 || all["s-2"].Instance == "" {
		t.Errorf("%+v", all)
	}
}
