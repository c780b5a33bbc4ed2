package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/image"
	"cis/internal/machine"
	"cis/internal/store"
)

// start makes images, network and sandbox be there and the workload run, unless a
// stop comes before.
func (l *life) start() error {
	ctx, cancel := l.untilStop()
	defer cancel()
	rec, _ := l.snapshot()
	if d := rec.Spec.ActiveDeadlineSeconds; d != nil {
		var end context.CancelFunc
		ctx, end = context.WithDeadline(ctx, l.arrived.Add(time.Duration(*d)*time.Second))
		defer end()
	}
	err := l.launch(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		err = fmt.Errorf("it did not run within its deadline: %w", err)
		return &startError{reason: api.ReasonDeadlineExceeded, permanent: true, err: err}
	}
	if err != nil && l.stopping() && errors.Is(err, context.Canceled) {
		return errStopped
	}
	return err
}

func (l *life) launch(ctx context.Context) error {
	rec, _ := l.snapshot()
	w := l.want(rec)
	var sb *sandbox
	group, both := errgroup.WithContext(ctx)
	begin := time.Now()
	var t api.Timings
	if !l.e.pool.serves(w) {
		group.Go(func() (err error) {
			sb, err = l.prepare(both, w)
			t.Network = since(begin)
			return err
		})
	}
	group.Go(func() error {
		err := l.fetch(both, rec, fromStart(rec.Spec), rec.Spec.RestartPolicy == api.RestartNever)
		t.Image = since(begin)
		return err
	})
	err := group.Wait()
	l.e.pool.begin()
	defer l.e.pool.end()
	if err == nil && sb == nil {
		if sb = l.e.pool.take(ctx, w); sb == nil {
			at := time.Now()
			sb, err = l.prepare(ctx, w)
			t.Network = since(at)
		}
	}
	l.sandbox = sb
	if err != nil {
		return err
	}
	standby := sb.client != nil
	at := time.Now()
	if standby {
		if err := l.e.rewire(ctx, sb); err != nil {
			return &startError{reason: api.ReasonCreateError, err: err}
		}
	}
	if err := l.adopt(sb, standby); err != nil {
		return &startError{reason: api.ReasonCreateError, err: err}
	}
	if now, _ := l.snapshot(); now.Spec.Resources() != sb.size() {
		// It was resized meanwhile: programs see the size that a sandbox was made with.
		l.release()
		return l.launch(ctx)
	}
	if !standby {
		if err := l.e.boot(ctx, sb, w); err != nil {
			return &startError{reason: api.ReasonCreateError, err: err}
		}
		t.Sandbox = since(at)
	}
	l.event(api.EventNormal, "", "SandboxReady", fmt.Sprintf("%s sandbox %s with address %s", sb.Isolation, sb.ID, sb.Address))
	err = l.load(ctx, t)
	var start *startError
	if standby && errors.As(err, &start) && !start.permanent && ctx.Err() == nil {
		// It died while it waited: start one, with the address that is ours by now.
		l.release()
		return l.launch(ctx)
	}
	return err
}

// prepare records a sandbox and makes its network.
func (l *life) prepare(ctx context.Context, w want) (*sandbox, error) {
	sb, err := l.e.recordSandbox(ctx, w)
	if err == nil {
		err = l.e.attach(ctx, sb)
	}
	if err != nil {
		return sb, &startError{reason: api.ReasonCreateError, err: err}
	}
	return sb, nil
}

// want says what sandbox the instance needs.
func (l *life) want(rec store.Instance) want {
	w := want{instance: l.id, iso: rec.Spec.Isolation, cpu: rec.Spec.CPU, memory: rec.Spec.Memory,
		hostname: rec.Spec.NodeName(), subnet: l.e.networks.subnetOf(l.id), volumes: slices.Concat(scratch(rec.Spec), l.e.kept(rec.Instance), shares(rec.Spec))}
	if w.subnet.addresses.contains(rec.Status.Address) {
		w.address = rec.Status.Address
	}
	return w
}

// scratch are the volumes that start empty.
func scratch(spec api.InstanceSpec) (volumes []machine.Volume) {
	for _, v := range spec.Volumes {
		if v.EmptyDir != nil {
			volumes = append(volumes, machine.Volume{Name: v.Name, Memory: v.EmptyDir.Medium == "Memory", SizeLimit: v.EmptyDir.SizeLimit, Group: fsGroup(spec)})
		}
	}
	return volumes
}

// adopt records that the sandbox is the instance's. The address is then the
// instance's for as long as it is on record.
func (l *life) adopt(sb *sandbox, standby bool) error {
	before, _ := l.snapshot()
	err := l.update(false, func(in *store.Instance) {
		in.Run.Sandbox, in.Status.Address, in.Status.Address6 = sb.ID, sb.Address, sb.Address6
		in.Status.Isolation, in.Status.Standby = sb.Isolation, standby
		in.Status.Resources, l.made = sb.size(), sb.size()
		in.Run.Resize = in.Spec.Resources() != sb.size()
	})
	if err != nil {
		return fmt.Errorf("record the sandbox: %w", err)
	}
	if before.Status.Address != sb.Address {
		l.e.networks.swap(sb.Subnet, before.Status.Address, sb.Address)
	}
	l.e.names.set(networkID(l.e.networks.vpcOf(l.id)), before.Spec.Name, sb.Address, sb.Address6)
	return nil
}

// load hands the workload to the agent and keeps the timings.
func (l *life) load(ctx context.Context, t api.Timings) error {
	rec, _ := l.snapshot()
	w, err := l.equip(ctx, rec)
	if err != nil {
		return err
	}
	t.Admission = rec.Status.Timings.Admission
	l.issued = time.Now()
	l.set(func(in *store.Instance) { in.Status.Timings = t })
	return l.hand(ctx, w)
}

// hand gives the workload to the agent and shows the agent to others.
func (l *life) hand(ctx context.Context, w *agentpb.Workload) error {
	rec, _ := l.snapshot()
	if err := l.setFiles(ctx, l.sandbox.client, rec.Instance); err != nil {
		code := api.CodeOf(err)
		return &startError{reason: api.ReasonCreateError, permanent: code == api.Invalid || code == api.NotFound, err: err}
	}
	if err := l.sandbox.client.Run(ctx, w); err != nil {
		reason := api.ReasonRunError
		if isMountFailure(err) {
			reason = api.ReasonFailedMount
		}
		return &startError{reason: reason, err: fmt.Errorf("start the workload: %w", err)}
	}
	l.setClient(l.sandbox.client)
	return nil
}

// resume takes up the sandbox that is on record: it runs, or is lost. A stop that
// was asked for is not heeded here: it has its grace period, from follow on.
func (l *life) resume() error {
	ctx := l.e.ctx
	rec, _ := l.snapshot()
	l.e.names.set(networkID(l.e.networks.vpcOf(l.id)), rec.Spec.Name, l.sandbox.Address, l.sandbox.Address6)
	if err := l.redial(ctx); err != nil {
		return err
	}
	if has, err := hasWorkload(ctx, l.sandbox.client); has || err != nil {
		l.files.stale.Store(hasSecrets(rec.Spec)) // they may have changed when cisd ended
		l.setClient(l.sandbox.client)
		return nil // follow sees to a connection that broke
	}
	if err := l.fetch(ctx, rec, fromStart(rec.Spec), rec.Spec.RestartPolicy == api.RestartNever); err != nil {
		return err
	}
	w, err := l.equip(ctx, rec)
	if err != nil {
		return err
	}
	return l.hand(ctx, w)
}

// hasWorkload tells whether the agent was given its workload.
func hasWorkload(ctx context.Context, c *agentclient.Client) (bool, error) {
	for s, err := range c.Watch(ctx, math.MaxUint64) {
		return s.WorkloadID != "" || s.Finished, err
	}
	return false, nil
}

// fromStart are the containers that an instance begins with.
func fromStart(spec api.InstanceSpec) []api.Container {
	return slices.Concat(spec.InitContainers, spec.Containers)
}

// fetch makes sure that the images of containers are on disk and leased. Transient
// failures, and any failure of what restarts, are tried again with back-off.
func (l *life) fetch(ctx context.Context, rec store.Instance, containers []api.Container, never bool) error {
	for try := 0; ; try++ {
		failed, err := l.fetchAll(ctx, rec, containers)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		reason, permanent := pullReason(err, policyOf(containers, failed))
		l.setWaiting(failed, reason, err.Error())
		l.event(api.EventWarning, failed, "Failed", err.Error())
		if permanent && never {
			return &startError{reason: reason, permanent: true, err: err}
		}
		wait := backOff(try + 1)
		l.event(api.EventNormal, failed, "BackOff", fmt.Sprintf("pulling the image again in %s", wait))
		l.setWaiting(failed, api.ReasonImagePullBackOff, fmt.Sprintf("again in %s: %v", wait, err))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetchAll leases the images side by side; it returns the container whose image
// failed.
func (l *life) fetchAll(ctx context.Context, rec store.Instance, containers []api.Container) (failed string, err error) {
	results := make([]*image.Lease, len(containers))
	errs := make([]error, len(containers))
	var group errgroup.Group
	for i, c := range containers {
		if l.lease(c.Name) != nil {
			continue
		}
		group.Go(func() error {
			results[i], errs[i] = l.fetchOne(ctx, rec, c)
			return nil
		})
	}
	group.Wait()
	digests := map[string]string{}
	for i, c := range containers {
		if results[i] != nil {
			l.keep(c.Name, results[i])
		}
		if errs[i] != nil && err == nil {
			failed, err = c.Name, errs[i]
		}
		if lease := l.lease(c.Name); lease != nil {
			digests[c.Name] = lease.Image.Digest
		}
	}
	if rec.Run.Images[containers[0].Name] == "" && err == nil {
		l.set(func(in *store.Instance) {
			maps.Copy(digests, in.Run.Images)
			in.Run.Images = digests
			eachList(in, func(list []api.ContainerStatus) []api.ContainerStatus { return withImages(list, digests) })
		})
	}
	return failed, err
}

// lease is the image of a container, nil if it is not leased.
func (l *life) lease(container string) *image.Lease {
	l.adding.Lock()
	defer l.adding.Unlock()
	return l.leases[container]
}

func (l *life) keep(container string, lease *image.Lease) {
	l.adding.Lock()
	defer l.adding.Unlock()
	l.leases[container] = lease
}

// fetchOne leases one image: in a run whose images are resolved, exactly that
// digest if it is still here.
func (l *life) fetchOne(ctx context.Context, rec store.Instance, c api.Container) (*image.Lease, error) {
	if digest := rec.Run.Images[c.Name]; digest != "" {
		if lease, err := l.e.cfg.Images.Lease(digest); err == nil {
			return lease, nil
		}
	}
	auths, err := l.e.registryAuths(ctx, rec.Account, rec.Spec.ImagePullSecrets, rec.Run.RegistryAuth)
	if err != nil {
		return nil, err
	}
	pulling := false
	begin := time.Now()
	lease, err := l.e.ensureImage(ctx, rec.Account, image.Request{Ref: c.Image, Policy: c.ImagePullPolicy, Auths: auths,
		Progress: func(p image.Progress) {
			if !pulling {
				pulling = true
				l.event(api.EventNormal, c.Name, "Pulling", fmt.Sprintf("pulling image %q", c.Image))
			}
		}})
	if err != nil {
		return nil, err
	}
	if pulling {
		l.event(api.EventNormal, c.Name, "Pulled", fmt.Sprintf("image %q is here after %s", c.Image, time.Since(begin).Round(time.Millisecond)))
	}
	return lease, nil
}

// pullReason names a failed pull as Kubernetes does, and tells whether trying
// again without a change elsewhere is pointless.
func pullReason(err error, policy api.PullPolicy) (reason string, permanent bool) {
	switch code := api.CodeOf(err); {
	case code == api.NotFound && policy == api.PullNever:
		return api.ReasonErrImageNeverPull, true
	case code == api.Invalid:
		return api.ReasonInvalidImageName, true
	case code == api.NotFound, code == api.Unauthenticated, code == api.Forbidden:
		return api.ReasonErrImagePull, true
	}
	return api.ReasonErrImagePull, false
}

func policyOf(containers []api.Container, name string) api.PullPolicy {
	for _, c := range containers {
		if c.Name == name {
			return c.ImagePullPolicy
		}
	}
	return ""
}

// setWaiting shows why a container waits.
func (l *life) setWaiting(container, reason, message string) {
	l.set(func(in *store.Instance) {
		eachList(in, func(list []api.ContainerStatus) []api.ContainerStatus {
			return withWaiting(list, container, reason, message)
		})
	})
}

// eachList replaces each list of statuses by what change makes of it.
func eachList(in *store.Instance, change func([]api.ContainerStatus) []api.ContainerStatus) {
	for _, list := range []*[]api.ContainerStatus{
		&in.Status.InitContainerStatuses, &in.Status.ContainerStatuses, &in.Status.EphemeralContainerStatuses,
	} {
		*list = change(*list)
	}
}

func withWaiting(statuses []api.ContainerStatus, container, reason, message string) []api.ContainerStatus {
	next := append([]api.ContainerStatus(nil), statuses...)
	for i := range next {
		if next[i].Name == container {
			next[i].State = api.ContainerState{Waiting: &api.StateWaiting{Reason: reason, Message: message}}
		}
	}
	return next
}

func withImages(statuses []api.ContainerStatus, digests map[string]string) []api.ContainerStatus {
	next := append([]api.ContainerStatus(nil), statuses...)
	for i := range next {
		next[i].ImageID = digests[next[i].Name]
	}
	return next
}

func since(t time.Time) float64 { return ms(time.Since(t)) }
