package engine

import (
	"testing"

	"cis/api"
	"cis/internal/store"
)

// to is a change to what another request runs.
func to(args ...string) api.InstanceUpdate {
	u := api.InstanceUpdate{Containers: request("a", args...).Containers}
	u.Default()
	return u
}

func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	first := b.untilRunning("a")
	u := to("exit", "7")
	u.Containers[0].Name = "other"
	u.RegistryAuth = &api.RegistryAuth{Username: "u", Password: "p"}
	u.RestartPolicy = api.RestartNever
	if _, err := b.Update(t.Context(), "a", u); err != nil {
		t.Fatal(err)
	}
	end := b.untilFinished("a")
	if *end.Status.ExitCode != 7 || end.Status.ContainerStatuses[0].Name != "other" || end.Status.Address != first.Status.Address || end.Spec.CPU != first.Spec.CPU {
		t.Errorf("%+v", end)
	}
	if rec, _ := b.find(t.Context(), "a"); rec.Run.RegistryAuth == nil || rec.Run.Next != nil || rec.Run.Number != 2 {
		t.Errorf("%+v", rec.Run)
	}
	// One that has ended runs with the change, too.
	if _, err := b.Update(t.Context(), "a", to("sleep")); err != nil {
		t.Fatal(err)
	}
	if in := b.untilRunning("a"); in.Spec.Containers[0].Name != "main" {
		t.Errorf("%+v", in.Spec)
	}
	b.remove("a", true)
	b.untilClean()
}

// A change that was recorded when cisd ended is made by the next one.
func TestUpdateIsFinishedLater(t *testing.T) {
	b := newBench(t)
	in := b.create(request("a", "exit", "0"))
	b.untilFinished("a")
	spec := to("sleep").Apply(in.Spec)
	if err := b.change(t.Context(), in.ID, func(in *store.Instance) { in.Run.Again, in.Run.Next = true, &spec }); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	b.untilRunning("a")
	b.remove("a", true)
	b.untilClean()
}

func TestUpdateIsChecked(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	if _, err := b.Update(t.Context(), "b", to("sleep")); api.CodeOf(err) != api.NotFound {
		t.Error(err)
	}
	for field, u := range map[string]api.InstanceUpdate{
		"containers":          {Containers: []api.Container{}},
		"containers[0].image": {Containers: []api.Container{{Name: "main", ImagePullPolicy: api.PullNever}}},
		"restartPolicy":       {RestartPolicy: "x"},
		"registryAuth":        {RegistryAuth: &api.RegistryAuth{}},
	} {
		in, _ := b.Get(t.Context(), "a")
		err := u.Validate(in.Spec, api.Defaults{})
		if e, ok := err.(*api.Error); !ok || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	b.remove("a", true)
	b.untilClean()
}
