package cloud

import (
	"context"
	"slices"
	"time"

	"cis/api"
)

// Grace is the time that an instance's programs have to end.
func Grace(s api.InstanceSpec) time.Duration {
	if s.TerminationGracePeriodSeconds == nil {
		return api.DefaultGraceSeconds * time.Second
	}
	return time.Duration(*s.TerminationGracePeriodSeconds) * time.Second
}

// Containers are the names of an instance's containers, or the one that is asked for.
func Containers(path string, in api.Instance, name string) (names []string, err error) {
	for _, c := range in.Spec.Containers {
		names = append(names, c.Name)
	}
	all := slices.Clone(names)
	for _, c := range in.Spec.InitContainers {
		all = append(all, c.Name)
	}
	switch {
	case name == "":
		return names, nil
	case slices.Contains(all, name):
		return []string{name}, nil
	}
	return nil, Errorf(ResourceNotFound, "%s: instance %s has no container %q", path, in.Spec.Name, clip(name))
}

// Status is that of a container by name; the zero one if there is none yet.
func Status(all []api.ContainerStatus, name string) api.ContainerStatus {
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return api.ContainerStatus{}
}

// MaxEvents is the most events that are given of an instance.
const MaxEvents = 1000

// Eventer reads what happened to instances.
type Eventer interface {
	Events(ctx context.Context, opts api.EventOptions) (api.List[api.Event], error)
}

// Events are the latest events of an instance, oldest first.
func Events(ctx context.Context, e Eventer, id string, most int) (events []api.Event, err error) {
	opts := api.EventOptions{Instance: id, Limit: MaxEvents}
	for {
		page, err := e.Events(ctx, opts)
		if err != nil {
			return nil, err
		}
		events = append(events, page.Items...)
		events = events[max(0, len(events)-most):]
		if len(page.Items) < opts.Limit {
			return events, nil
		}
		opts.Since = page.Items[len(page.Items)-1].ID
	}
}
