package server

import (
	"context"
	"io"
	"time"

	"cis/api"
)

// Engine is what the server needs of the engine. A ref is an instance's name,
// ID, or an unambiguous beginning of its ID. Errors are *api.Error. Everything is about what
// the caller's account owns: ctx carries the caller (package account).
type Engine interface {
	Identities
	// Create records an instance and starts it. The second result is false when
	// the client token named an instance that exists already. The spec is
	// validated and has its defaults.
	Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error)
	Get(ctx context.Context, ref string) (api.Instance, error)
	List(ctx context.Context, opts ListOptions) (api.List[api.Instance], error)
	// Watch calls fn for each change after the given revision (0: first ADDED for
	// all that exist), until fn fails or ctx ends.
	Watch(ctx context.Context, opts ListOptions, since int64, fn func(api.WatchEvent[api.Instance]) error) error
	// Wait returns the instance once it has finished (or was removed: then as it
	// was last).
	Wait(ctx context.Context, ref string) (api.Instance, error)
	// AddContainer records one more container of a live instance and has it started. It is
	// valid for the instance and has its defaults.
	AddContainer(ctx context.Context, ref string, c api.EphemeralContainer) (api.Instance, error)
	// Resize records another size of a live instance, which its sandbox is given soon after. It
	// checks the change, within the bounds, for the instance as it is then.
	Resize(ctx context.Context, ref string, r api.InstanceResize, d api.Defaults) (api.Instance, error)
	// SetSecurityGroups changes the groups of an instance, live.
	SetSecurityGroups(ctx context.Context, ref string, g api.InstanceGroups) (api.Instance, error)
	// Stop ends the programs and the sandbox; the record stays. Nil grace: the spec's.
	Stop(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error)
	// Start runs a finished instance again, with the address it had.
	Start(ctx context.Context, ref string) (api.Instance, error)
	// Restart is Stop and Start.
	Restart(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error)
	// Remove deletes the record and the logs of a finished instance. With force it
	// first ends a running one (grace nil: at once).
	Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error
	// Kill sends a signal to a container's program (empty container: the first).
	Kill(ctx context.Context, ref, container string, signal int) error

	// Logs calls fn for each piece of output, oldest first.
	Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(LogEntry) error) error
	// Exec runs a command and returns its exit code.
	Exec(ctx context.Context, ref string, req api.ExecRequest, s Streams) (int, error)
	// Attach joins a container's program: its output, from the beginning of the
	// attempt if replay is set, and its input. It waits for a container that has
	// not started yet, and returns the exit code once it has ended for good.
	Attach(ctx context.Context, ref, container string, replay bool, s Streams) (int, error)
	// PortForward joins conn with a port inside, until either side ends.
	PortForward(ctx context.Context, ref string, port uint16, conn io.ReadWriteCloser) error
	CopyOut(ctx context.Context, ref, container, path string, w io.Writer) error
	CopyIn(ctx context.Context, ref, container, path string, r io.Reader) error
	Stats(ctx context.Context, ref string) (api.Stats, error)
	Console(ctx context.Context, ref string) (api.Console, error)

	Events(ctx context.Context, opts EventOptions) (api.List[api.Event], error)
	WatchEvents(ctx context.Context, opts EventOptions, fn func(api.Event) error) error

	PullImage(ctx context.Context, req api.ImagePull, progress func(api.Progress)) (api.Image, error)
	// ImportImage reads an OCI layout, docker-archive or rootfs tar.
	ImportImage(ctx context.Context, ref string, r io.Reader, progress func(api.Progress)) (api.Image, error)
	Images(ctx context.Context) ([]api.Image, error)
	RemoveImage(ctx context.Context, ref string) error

	PutSecret(ctx context.Context, s api.Secret) (api.Secret, error)
	Secrets(ctx context.Context) ([]api.Secret, error)
	RemoveSecret(ctx context.Context, name string) error

	VPCs(ctx context.Context) ([]api.VPC, error)
	VPC(ctx context.Context, ref string) (api.VPC, error)
	CreateVPC(ctx context.Context, v api.VPC) (api.VPC, error)
	UpdateVPC(ctx context.Context, ref string, u api.VPCUpdate) (api.VPC, error)
	RemoveVPC(ctx context.Context, ref string) error
	// Flows tells what traffic a VPC has seen.
	Flows(ctx context.Context, ref string) ([]api.Flow, error)

	Subnets(ctx context.Context) ([]api.Subnet, error)
	Subnet(ctx context.Context, ref string) (api.Subnet, error)
	CreateSubnet(ctx context.Context, s api.Subnet) (api.Subnet, error)
	RemoveSubnet(ctx context.Context, ref string) error

	SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error)
	SecurityGroup(ctx context.Context, ref string) (api.SecurityGroup, error)
	CreateSecurityGroup(ctx context.Context, g api.SecurityGroup) (api.SecurityGroup, error)
	UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error)
	RemoveSecurityGroup(ctx context.Context, ref string) error

	Addresses(ctx context.Context) ([]api.Address, error)
	Address(ctx context.Context, ref string) (api.Address, error)
	CreateAddress(ctx context.Context, a api.Address) (api.Address, error)
	// BindAddress binds a public address to an instance, from wherever it was.
	BindAddress(ctx context.Context, ref, instance string) (api.Address, error)
	// RouteAddress binds it to a VPC.
	RouteAddress(ctx context.Context, ref, vpc string) (api.Address, error)
	UnbindAddress(ctx context.Context, ref string) (api.Address, error)
	RemoveAddress(ctx context.Context, ref string) error

	Disks(ctx context.Context) ([]api.Disk, error)
	Disk(ctx context.Context, ref string) (api.Disk, error)
	CreateDisk(ctx context.Context, d api.Disk) (api.Disk, error)
	UpdateDisk(ctx context.Context, ref string, u api.DiskUpdate) (api.Disk, error)
	RemoveDisk(ctx context.Context, ref string) error
	// AttachDisk and DetachDisk change an instance that has ended.
	AttachDisk(ctx context.Context, ref string, a api.DiskAttachment) (api.Instance, error)
	DetachDisk(ctx context.Context, ref string, d api.DiskDetachment) (api.Instance, error)
	DiskSnapshots(ctx context.Context) ([]api.DiskSnapshot, error)
	DiskSnapshot(ctx context.Context, ref string) (api.DiskSnapshot, error)
	CreateDiskSnapshot(ctx context.Context, s api.DiskSnapshot) (api.DiskSnapshot, error)
	RemoveDiskSnapshot(ctx context.Context, ref string) error

	// CheckNetwork tells whether one may connect to another, and tries it.
	CheckNetwork(ctx context.Context, check api.NetworkCheck) (api.NetworkVerdict, error)
	// Traffic reads the counters of every live instance.
	Traffic(ctx context.Context) ([]api.Traffic, error)

	// Usage adds up what was used; the options are valid and have their defaults.
	Usage(ctx context.Context, opts api.UsageOptions) (api.Usage, error)
	// Price says what an instance costs, of a size that is given whole.
	Price(ctx context.Context, opts api.PriceOptions) (api.Price, error)

	Info(ctx context.Context) (api.Info, error)
}

// Identities are accounts, their users and keys, and what was done by whom.
type Identities interface {
	// Accounts lists the accounts that the caller may act for.
	Accounts(ctx context.Context) ([]api.Account, error)
	Account(ctx context.Context, name string) (api.Account, error)
	CreateAccount(ctx context.Context, a api.Account) (api.Account, error)
	UpdateAccount(ctx context.Context, name string, u api.AccountUpdate) (api.Account, error)
	RemoveAccount(ctx context.Context, name string) error
	// Quota tells what an account may own, and what it does.
	Quota(ctx context.Context, name string) (api.QuotaStatus, error)

	Users(ctx context.Context) ([]api.User, error)
	CreateUser(ctx context.Context, u api.User) (api.User, error)
	UpdateUser(ctx context.Context, name string, u api.UserUpdate) (api.User, error)
	RemoveUser(ctx context.Context, name string) error

	Keys(ctx context.Context) ([]api.Key, error)
	// CreateKey and RotateKey give the new key with its secret.
	CreateKey(ctx context.Context, k api.Key) (api.Key, error)
	UpdateKey(ctx context.Context, id string, u api.KeyUpdate) (api.Key, error)
	RotateKey(ctx context.Context, id string, r api.KeyRotation) (api.Key, error)
	RemoveKey(ctx context.Context, id string) error

	// Note puts what was done on record.
	Note(ctx context.Context, entry api.AuditEntry)
	Audit(ctx context.Context, opts api.AuditOptions) (api.List[api.AuditEntry], error)
	WatchAudit(ctx context.Context, opts api.AuditOptions, fn func(api.AuditEntry) error) error
}

// What the engine's methods take, by the names of this package.
type (
	ListOptions  = api.ListOptions
	EventOptions = api.EventOptions
	LogEntry     = api.LogEntry
	Streams      = api.Streams
	WindowSize   = api.WindowSize
)
