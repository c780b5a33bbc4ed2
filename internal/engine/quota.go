package engine

import (
	"context"

	"cis/api"
)

// Quota tells what an account may own at a time, and what it does.
func (e *Engine) Quota(ctx context.Context, name string) (api.QuotaStatus, error) {
	a, err := e.Account(ctx, name)
	if err != nil {
		return api.QuotaStatus{}, err
	}
	held := e.capacity.held(name)
	addresses, images := e.networks.countPublic(name), e.imagesSize(name)
	disks := e.disksPromised(name)
	q := api.QuotaStatus{Account: name, Limits: a.Quota, Budget: a.Budget,
		Used: api.Quota{Instances: &held.instances, CPU: &held.cpu, Memory: &held.memory, Addresses: &addresses, Images: &images, Disks: &disks}}
	if a.Budget != nil {
		q.Spent, err = e.spent(ctx, name)
	}
	return q, err
}

// fitsAddresses refuses one more public address than the quota has.
func (e *Engine) fitsAddresses(name string) error {
	a, _ := e.identities.account(name)
	have := e.networks.countPublic(name)
	if a.Quota.Addresses == nil || have < *a.Quota.Addresses {
		return nil
	}
	err := api.Errorf(api.Exhausted, "the quota of account %s is %d public addresses, %d are in use", name, *a.Quota.Addresses, have)
	err.Field = "quota.addresses"
	return err.WithNext("remove one, or have the quota raised: `cis quota set %s`", name)
}

func (n *networks) countPublic(owner string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(sorted(n.public, owner, addressTitle))
}

// imagesSize is what an account's images take on disk.
func (e *Engine) imagesSize(name string) (size api.Bytes) {
	for _, im := range e.imagesOf(name) {
		size += api.Bytes(im.DiskSize)
	}
	return size
}

// fitsImages refuses more than the quota has for images.
func (e *Engine) fitsImages(name string) error {
	a, _ := e.identities.account(name)
	if a.Quota.Images == nil {
		return nil
	}
	if have := e.imagesSize(name); have > *a.Quota.Images {
		err := api.Errorf(api.Exhausted, "the quota of account %s is %s of images, and they would take %s", name, *a.Quota.Images, have)
		err.Field = "quota.images"
		return err.WithNext("remove some: `cis image rm`, or have the quota raised: `cis quota set %s`", name)
	}
	return nil
}

// fitsDisks refuses so much more of disks and snapshots than the quota has.
func (e *Engine) fitsDisks(name string, more api.Bytes) error {
	a, _ := e.identities.account(name)
	have := e.disksPromised(name)
	if a.Quota.Disks == nil || have+more <= *a.Quota.Disks {
		return nil
	}
	err := api.Errorf(api.Exhausted, "the quota of account %s is %s of disks: %s asked for, %s in use", name, *a.Quota.Disks, more, have)
	err.Field = "quota.disks"
	return err.WithNext("remove a disk or a snapshot, or have the quota raised: `cis quota set %s`", name)
}

// disksPromised is what an account's disks and snapshots may take.
func (e *Engine) disksPromised(name string) api.Bytes {
	disks, snapshots := e.disks.sizes(name)
	return disks + snapshots
}
