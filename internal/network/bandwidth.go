package network

import (
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// Bandwidth limits what a NIC carries, frames counted whole, in bits per second; 0 is
// no limit.
//
// A token bucket (tbf) delays what is too fast, on the way out of a link, so that TCP
// finds its pace without losses. What goes to the instance leaves by the NIC's outer
// end. What comes from it enters there, so it is led through an intermediate device
// (ifb) that it leaves again. Every Kubernetes node shapes its pods with the same
// five parts of the kernel: tbf, ingress, u32, mirred, ifb.
type Bandwidth struct {
	In  uint64 // to the instance
	Out uint64 // from it
}

// Bounds of a limit: a full frame takes at most 1.2 s; and a queue's length in bytes
// fits the kernel's 32 bits.
const (
	minBandwidth = 10_000
	maxBandwidth = 400_000_000_000
)

func (b Bandwidth) check() error {
	for field, rate := range map[string]uint64{"bandwidth.in": b.In, "bandwidth.out": b.Out} {
		if rate != 0 && (rate < minBandwidth || rate > maxBandwidth) {
			return api.FieldError(field, "%d is not within %d and %d bits per second", rate, uint64(minBandwidth), uint64(maxBandwidth))
		}
	}
	return nil
}

// kept is the limit as the kernel keeps it, in whole bytes.
func (b Bandwidth) kept() Bandwidth { return Bandwidth{b.In / 8 * 8, b.Out / 8 * 8} }

const (
	// burstTime is what may pass at once after a pause. It covers a timer that fires
	// late on a busy host.
	burstTime = 10 * time.Millisecond
	// queueTime bounds what waits, and so the latency that a full link adds.
	queueTime = 50 * time.Millisecond
	// maxSegment is the largest packet that the kernel and a guest hand over as one
	// (64 KiB and its headers); a slow link must still have room for it.
	maxSegment = 66 << 10
)

// shaper is the token bucket of a link for a rate in bits per second.
func shaper(link netlink.Link, rate uint64) *netlink.Tbf {
	bytes := rate / 8
	in := func(d time.Duration) uint32 { return max(uint32(bytes*uint64(d/time.Millisecond)/1000), maxSegment) }
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       bytes,
		Buffer:     netlink.Xmittime(bytes, in(burstTime)),
		Limit:      in(queueTime),
	}
}

// redirection leads what enters a link through another device.
func redirection(link, through netlink.Link) *netlink.U32 {
	return &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link.Attrs().Index, Parent: netlink.MakeHandle(0xffff, 0), Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		RedirIndex: through.Attrs().Index,
	}
}

func ingressOf(link netlink.Link) *netlink.Ingress {
	return &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}
}

// shape holds a NIC to its limits, live, whatever limits it had.
func (m *Manager) shape(v *vpc, n NIC, outer netlink.Link) error {
	if err := shapeLink(v.space.route, outer, n.Bandwidth.In); err != nil {
		return shapingHint(fmt.Errorf("limit what reaches it: %w", err))
	}
	if err := m.shapeOut(v, n, outer); err != nil {
		return shapingHint(fmt.Errorf("limit what it sends: %w", err))
	}
	return nil
}

// shapingHint names the next step where the kernel knows no such queue or device.
func shapingHint(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return api.Errorf(api.Unavailable, "%w", err).
			WithNext("check that the kernel has sch_tbf, sch_ingress, cls_u32, act_mirred and ifb")
	}
	return err
}

// shapeLink limits what leaves a link; a rate of 0 removes the limit.
func shapeLink(h *netlink.Handle, link netlink.Link, rate uint64) error {
	if rate != 0 {
		return h.QdiscReplace(shaper(link, rate))
	}
	// Without a look first: the kernel lists the queues of one link no sooner than those
	// of all. The queue that a link is born with counts as none.
	root := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT}
	return ignoring(unix.ENOENT, h.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: root}))
}

func (m *Manager) shapeOut(v *vpc, n NIC, outer netlink.Link) error {
	if n.Bandwidth.Out == 0 {
		return m.unshapeOut(v, n.ID, outer)
	}
	h := v.space.route
	through, err := m.detour(v, n.ID)
	if err != nil {
		return fmt.Errorf("make intermediate device: %w", err)
	}
	if err := shapeLink(h, through, n.Bandwidth.Out); err != nil {
		return err
	}
	if err := ignoring(unix.EEXIST, h.QdiscAdd(ingressOf(outer))); err != nil {
		return err
	}
	redirected, err := redirects(h, outer, through)
	if redirected || err != nil {
		return err
	}
	return h.FilterReplace(redirection(outer, through))
}

// detour finds or makes the device that leads what a NIC sends through a queue.
func (m *Manager) detour(v *vpc, nicID string) (netlink.Link, error) {
	h := v.space.route
	name := detourName(m.cfg.Prefix, nicID)
	link, err := findLink(h, name)
	if err != nil {
		return nil, err
	}
	if link == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		link = &netlink.Ifb{LinkAttrs: attrs}
		if err := h.LinkAdd(link); err != nil {
			return nil, err
		}
	}
	return link, h.LinkSetUp(link)
}

// unshapeOut takes the way over the intermediate device away, then the device.
func (m *Manager) unshapeOut(v *vpc, nicID string, outer netlink.Link) error {
	h := v.space.route
	err := h.QdiscDel(ingressOf(outer))
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // there is none
		return err
	}
	return m.removeDetour(v, nicID)
}

func (m *Manager) removeDetour(v *vpc, nicID string) error {
	link, err := findLink(v.space.route, detourName(m.cfg.Prefix, nicID))
	if err != nil {
		return err
	}
	return deleteLink(v.space.route, link)
}

// redirects says whether all that enters the link goes through the other, and
// nothing else happens to it. A redirection to a device that is gone does nothing.
func redirects(h *netlink.Handle, link, through netlink.Link) (bool, error) {
	filters, err := dump(func() ([]netlink.Filter, error) { return h.FilterList(link, netlink.MakeHandle(0xffff, 0)) })
	if err != nil {
		return false, err
	}
	for _, f := range filters {
		if u, ok := f.(*netlink.U32); ok && u.RedirIndex == through.Attrs().Index {
			return true, nil
		}
	}
	return false, nil
}

// unknown is a limit that is not as shape makes it.
const unknown = math.MaxUint64

// limits reads what limits the VPC's links have, by index, in one dump and one look at
// each link whose traffic is led aside.
func (m *Manager) limits(v *vpc, links []netlink.Link) (map[int]Bandwidth, error) {
	h := v.space.route
	qdiscs, err := dump(func() ([]netlink.Qdisc, error) { return h.QdiscList(nil) })
	if err != nil {
		return nil, err
	}
	byName, rates, led := map[string]netlink.Link{}, map[int]uint64{}, map[int]bool{}
	for _, l := range links {
		byName[l.Attrs().Name] = l
	}
	for _, q := range qdiscs {
		switch q := q.(type) {
		case *netlink.Tbf:
			rates[q.LinkIndex] = q.Rate * 8
		case *netlink.Ingress:
			led[q.LinkIndex] = true
		}
	}
	limits := map[int]Bandwidth{}
	for _, l := range links {
		index := l.Attrs().Index
		b := Bandwidth{In: rates[index]}
		detour := byName[detourOf(m.cfg.Prefix, l.Attrs().Name)]
		if led[index] || detour != nil {
			b.Out = unknown
		}
		if led[index] && detour != nil && detour.Attrs().Flags&net.FlagUp != 0 {
			redirected, err := redirects(h, l, detour)
			if err != nil {
				return nil, err
			}
			if redirected {
				b.Out = rates[detour.Attrs().Index]
			}
		}
		limits[index] = b
	}
	return limits, nil
}

// discardDetours removes, of the VPC's links, the intermediate devices of NICs that are
// not wanted.
func (m *Manager) discardDetours(v *vpc, links []netlink.Link, wanted map[string]NIC) error {
	keep := map[string]bool{}
	for id, n := range wanted {
		keep[detourName(m.cfg.Prefix, id)] = n.Bandwidth.Out != 0
	}
	var errs []error
	for _, l := range links {
		if ownsLink(m.cfg.Prefix, l, "b") && !keep[l.Attrs().Name] {
			errs = append(errs, deleteLink(v.space.route, l))
		}
	}
	return errors.Join(errs...)
}
