package client

import (
	"context"
	"net/url"

	"cis/api"
)

const (
	disksPath     = "/v1/disks"
	snapshotsPath = "/v1/disksnapshots"
)

// Disks lists the disks.
func (c *Client) Disks(ctx context.Context) ([]api.Disk, error) {
	return all[api.Disk](ctx, c, disksPath)
}

// Disk gets a disk by name or ID.
func (c *Client) Disk(ctx context.Context, ref string) (api.Disk, error) {
	return one[api.Disk](ctx, c, disksPath, ref)
}

// CreateDisk makes a disk.
func (c *Client) CreateDisk(ctx context.Context, d api.Disk) (api.Disk, error) {
	return fetch[api.Disk](ctx, c, call{method: "POST", path: disksPath, body: d})
}

// UpdateDisk changes a disk; one that an instance has cannot grow.
func (c *Client) UpdateDisk(ctx context.Context, ref string, u api.DiskUpdate) (api.Disk, error) {
	return fetch[api.Disk](ctx, c, call{method: "PATCH", path: disksPath + "/" + url.PathEscape(ref), body: u})
}

// AttachDisk lets an instance that has ended have a disk when it starts again.
func (c *Client) AttachDisk(ctx context.Context, ref string, a api.DiskAttachment) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: disksPath + "/" + url.PathEscape(ref) + "/attach", body: a})
}

// DetachDisk lets an instance that has ended start again without a disk.
func (c *Client) DetachDisk(ctx context.Context, ref, instance string) (api.Instance, error) {
	return fetch[api.Instance](ctx, c, call{method: "POST", path: disksPath + "/" + url.PathEscape(ref) + "/detach",
		body: api.DiskDetachment{Instance: instance}})
}

// RemoveDisk removes a disk that no instance has, with what is on it.
func (c *Client) RemoveDisk(ctx context.Context, ref string) error {
	return remove(ctx, c, disksPath, ref)
}

// DiskSnapshots lists the snapshots of disks.
func (c *Client) DiskSnapshots(ctx context.Context) ([]api.DiskSnapshot, error) {
	return all[api.DiskSnapshot](ctx, c, snapshotsPath)
}

// DiskSnapshot gets a snapshot of a disk by name or ID.
func (c *Client) DiskSnapshot(ctx context.Context, ref string) (api.DiskSnapshot, error) {
	return one[api.DiskSnapshot](ctx, c, snapshotsPath, ref)
}

// CreateDiskSnapshot makes a snapshot of a disk that no instance has.
func (c *Client) CreateDiskSnapshot(ctx context.Context, s api.DiskSnapshot) (api.DiskSnapshot, error) {
	return fetch[api.DiskSnapshot](ctx, c, call{method: "POST", path: snapshotsPath, body: s})
}

// RemoveDiskSnapshot removes a snapshot; disks that were made of it stay.
func (c *Client) RemoveDiskSnapshot(ctx context.Context, ref string) error {
	return remove(ctx, c, snapshotsPath, ref)
}
