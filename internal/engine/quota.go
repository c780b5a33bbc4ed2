package engine

import (
	"context"
	"fmt"
	"strconv"

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

// overQuota refuses what is more than an account's quota has; relief is what makes room.
func overQuota(account, field, limit string, asked, used any, relief string) error {
	e := api.Errorf(api.Exhausted, "the quota of account %s is %s: %s asked for, %s in use", account, limit, asked, used)
	e.Field = field
	return e.WithNext("%s, or have the quota raised: `cis quota set %s`", relief, account)
}

// fitsAddresses refuses one more public address than the quota has.
func (e *Engine) fitsAddresses(name string) error {
	a, _ := e.identities.account(name)
	have := e.networks.countPublic(name)
	if a.Quota.Addresses == nil || have < *a.Quota.Addresses {
		return nil
	}
	return overQuota(name, "quota.addresses", fmt.Sprintf("%d public addresses", *a.Quota.Addresses), "one more", strconv.Itoa(have), "remove one")
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
	return overQuota(name, "quota.disks", a.Quota.Disks.String()+" of disks", more, have, "remove a disk or a snapshot")
}

// disksPromised is what an account's disks and snapshots may take.
func (e *Engine) disksPromised(name string) api.Bytes {
	disks, snapshots := e.disks.sizes(name)
	return disks + snapshots
}
