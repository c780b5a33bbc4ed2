package disks

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// cis keeps disks without any content.
type cis struct {
	mu    sync.Mutex
	disks map[string]api.Disk
	// failures come first out of every call that changes something.
	failures []error
	// used are disks that an instance has.
	used map[string]bool
}

func (c *cis) fail() error {
	if len(c.failures) == 0 {
		return nil
	}
	err := c.failures[0]
	c.failures = c.failures[1:]
	return err
}

func (c *cis) Disks(context.Context) (all []api.Disk, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.disks {
		all = append(all, d)
	}
	return all, nil
}

func (c *cis) Disk(_ context.Context, ref string) (api.Disk, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.disks[ref]
	if !ok {
		return d, api.Errorf(api.NotFound, "no disk %s", ref)
	}
	return d, nil
}

func (c *cis) CreateDisk(_ context.Context, d api.Disk) (api.Disk, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail(); err != nil {
		return d, err
	}
	if _, ok := c.disks[d.Name]; ok {
		return d, api.Errorf(api.Conflict, "there is a disk %s", d.Name)
	}
	d.Revision = 1
	c.disks[d.Name] = d
	return d, nil
}

func (c *cis) UpdateDisk(_ context.Context, ref string, u api.DiskUpdate) (api.Disk, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail(); err != nil {
		return api.Disk{}, err
	}
	d := c.disks[ref]
	if u.Size != 0 {
		if c.used[ref] {
			return d, api.Errorf(api.Conflict, "disk %s is in use", ref)
		}
		d.Size = u.Size
	}
	if u.Labels != nil {
		d.Labels = u.Labels
	}
	d.Revision++
	c.disks[ref] = d
	return d, nil
}

func (c *cis) RemoveDisk(_ context.Context, ref string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail(); err != nil {
		return err
	}
	if c.used[ref] {
		return api.Errorf(api.Conflict, "disk %s is in use", ref)
	}
	delete(c.disks, ref)
	return nil
}

// scene is a controller between a fake cluster and a fake cis.
type scene struct {
	*testing.T
	kube   *fake.Clientset
	cis    *cis
	events *record.FakeRecorder
	stop   func()
}

// begin makes the cluster and starts a controller.
func begin(t *testing.T, c *cis) *scene {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	s := &scene{T: t, kube: fake.NewClientset(), cis: c, events: record.NewFakeRecorder(100)}
	for name, parameters := range map[string]map[string]string{"cis-disk": nil, "vm": {"isolation": "vm"}, "odd": {"color": "red"}} {
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: translate.DiskDriver, VolumeBindingMode: &wait, Parameters: parameters}
		if _, err := s.kube.StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.run()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *scene) run() {
	k := New(Config{Kube: s.kube, Cis: s.cis, Recorder: s.events, Log: slog.New(slog.DiscardHandler), Node: "n1"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	})
}

// claim as the scheduler leaves it to the node.
func claim(class string, change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "shop", UID: "u-1", Annotations: map[string]string{selectedNode: "n1"}},
		Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100M")}}}}
	if change != nil {
		change(pvc)
	}
	return pvc
}

func (s *scene) create(pvc *corev1.PersistentVolumeClaim) {
	s.Helper()
	if _, err := s.kube.CoreV1().PersistentVolumeClaims(pvc.Namespace).Create(s.Context(), pvc, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) volume() *corev1.PersistentVolume {
	pv, err := s.kube.CoreV1().PersistentVolumes().Get(s.Context(), "pvc-u-1", metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return pv
}

func (s *scene) eventually(what string, holds func() bool) {
	s.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	disks, _ := s.cis.Disks(s.Context())
	s.Fatalf("%s: disks %+v, volume %+v", what, disks, s.volume())
}

func (s *scene) disk() (api.Disk, bool) {
	d, err := s.cis.Disk(s.Context(), "pvc-u-1")
	return d, err == nil
}

func (s *scene) settled() bool {
	d, ok := s.disk()
	_, pending := d.Labels[labelPending]
	return ok && !pending && s.volume() != nil
}

// bind does the part of the cluster's own controller.
func (s *scene) bind() {
	s.Helper()
	claims := s.kube.CoreV1().PersistentVolumeClaims("shop")
	pvc, err := claims.Get(s.Context(), "data", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	pvc.Spec.VolumeName = "pvc-u-1"
	pvc.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, Capacity: s.volume().Spec.Capacity}
	if _, err := claims.Update(s.Context(), pvc, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// becomes gives the volume a phase.
func (s *scene) becomes(phase corev1.PersistentVolumePhase) {
	s.Helper()
	pv := s.volume()
	pv.Status.Phase = phase
	if _, err := s.kube.CoreV1().PersistentVolumes().Update(s.Context(), pv, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func newCis() *cis { return &cis{disks: map[string]api.Disk{}, used: map[string]bool{}} }

func TestLifeOfAVolume(t *testing.T) {
	s := begin(t, newCis())
	s.create(claim("vm", nil))
	s.eventually("a volume", s.settled)
	pv, d := s.volume(), s.cis.disks["pvc-u-1"]
	if d.Size != 96*api.MiB || d.Isolation != api.IsolationVM || d.Labels[labelClaimName] != "data" {
		t.Errorf("%+v", d)
	}
	if pv.Spec.CSI.VolumeHandle != d.Name || pv.Spec.ClaimRef.UID != "u-1" || pv.Spec.Capacity.Storage().Value() != int64(96*api.MiB) || pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("%+v", pv.Spec)
	}
	s.becomes(corev1.VolumeBound)
	if err := s.kube.CoreV1().PersistentVolumeClaims("shop").Delete(t.Context(), "data", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.cis.mu.Lock()
	s.cis.failures = append(s.cis.failures, api.Errorf(api.Conflict, "in use"))
	s.cis.mu.Unlock()
	s.becomes(corev1.VolumeReleased)
	s.eventually("the end of the disk, once it is free", func() bool { _, ok := s.disk(); return !ok && s.volume() == nil })
}

func TestARetainedVolumeStays(t *testing.T) {
	s := begin(t, newCis())
	s.create(claim("cis-disk", nil))
	s.eventually("a volume", s.settled)
	pv := s.volume()
	pv.Spec.PersistentVolumeReclaimPolicy, pv.Status.Phase = corev1.PersistentVolumeReclaimRetain, corev1.VolumeReleased
	if _, err := s.kube.CoreV1().PersistentVolumes().Update(t.Context(), pv, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Something else that is done after it.
	s.create(claim("cis-disk", func(pvc *corev1.PersistentVolumeClaim) { pvc.Name, pvc.UID = "other", "u-2" }))
	s.eventually("another volume", func() bool { _, err := s.cis.Disk(t.Context(), "pvc-u-2"); return err == nil })
	if _, ok := s.disk(); !ok || s.volume() == nil {
		t.Error("it went")
	}
}

// TestCutOff: whatever fails, there is one disk for a claim in the end, and none without a
// claim.
func TestCutOff(t *testing.T) {
	c := newCis()
	c.failures = []error{api.Errorf(api.Unavailable, "no answer")}
	s := begin(t, c)
	s.create(claim("cis-disk", nil))
	s.eventually("a volume after a failure", s.settled)

	s.stop()
	pending := func(name, uid, node string) {
		c.disks[name] = api.Disk{Name: name, Labels: map[string]string{translate.LabelNode: node, labelClaimUID: uid, labelClaimNamespace: "shop", labelPending: "true"}}
	}
	d := c.disks["pvc-u-1"]
	pending("pvc-u-1", "u-1", "n1") // the note was not written
	pending("pvc-gone", "gone", "n1")
	pending("pvc-other", "gone", "n2")
	c.disks["mine"] = api.Disk{Name: "mine"}
	s.run()
	s.eventually("the end of what has no claim", func() bool { _, err := c.Disk(t.Context(), "pvc-gone"); return err != nil })
	s.eventually("the note", s.settled)
	for _, name := range []string{"pvc-other", "mine", d.Name} {
		if _, err := c.Disk(t.Context(), name); err != nil {
			t.Errorf("disk %s is gone", name)
		}
	}
}

func TestRefused(t *testing.T) {
	for field, change := range map[string]func(*corev1.PersistentVolumeClaim){
		"spec.accessModes[1]": func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = append(c.Spec.AccessModes, corev1.ReadWriteMany)
		},
		"spec.volumeMode": func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) },
		"spec.selector":   func(c *corev1.PersistentVolumeClaim) { c.Spec.Selector = &metav1.LabelSelector{} },
		"spec.dataSource": func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Name: "s"}
		},
		"parameters.color": func(c *corev1.PersistentVolumeClaim) { c.Spec.StorageClassName = new("odd") },
	} {
		s := begin(t, newCis())
		s.create(claim("cis-disk", change))
		s.eventually("an event with "+field, func() bool {
			select {
			case ev := <-s.events.Events:
				return strings.Contains(ev, "ProvisioningFailed") && strings.Contains(ev, field)
			default:
				return false
			}
		})
		if _, ok := s.disk(); ok {
			t.Errorf("%s: there is a disk", field)
		}
		s.stop()
	}
}

func TestGrowth(t *testing.T) {
	s := begin(t, newCis())
	s.create(claim("cis-disk", nil))
	s.eventually("a volume", s.settled)
	s.bind()
	claims := s.kube.CoreV1().PersistentVolumeClaims("shop")
	ask := func(size string) {
		t.Helper()
		pvc, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
		if err == nil {
			pvc.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
			_, err = claims.Update(t.Context(), pvc, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	shows := func(size string, pending bool) func() bool {
		return func() bool {
			pvc, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
			return err == nil && pvc.Status.Capacity.Storage().String() == size && slices.ContainsFunc(pvc.Status.Conditions, isPending) == pending
		}
	}
	ask("128Mi")
	s.eventually("growth of a free disk", shows("128Mi", false))
	s.cis.mu.Lock()
	s.cis.used["pvc-u-1"] = true
	s.cis.mu.Unlock()
	ask("256Mi")
	s.eventually("the wait for a pod's end", shows("128Mi", true))
	s.cis.mu.Lock()
	s.cis.used = map[string]bool{}
	s.cis.mu.Unlock()
	// What the next pod does.
	pvc, err := claims.Get(t.Context(), "data", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k := New(Config{Kube: s.kube, Cis: s.cis, Node: "n1"})
	if err := k.Grow(t.Context(), pvc, s.volume()); err != nil {
		t.Fatal(err)
	}
	s.eventually("growth for the next pod", shows("256Mi", false))
	if d, _ := s.disk(); d.Size != 256*api.MiB || s.volume().Spec.Capacity.Storage().String() != "256Mi" {
		t.Errorf("%+v", d)
	}
}
