package engine

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
	"cis/internal/meter"
	"cis/internal/network"
)

// system is the context of who runs the service and acts for an account (empty: all).
func system(t *testing.T, name string) context.Context {
	return account.With(t.Context(), account.Caller{Account: name, User: "root", Role: api.RoleAdmin, System: true})
}

// as is the context of an account's admin.
func as(t *testing.T, name string) context.Context {
	return account.With(t.Context(), account.Caller{Account: name, User: "admin", Role: api.RoleAdmin})
}

func (b *bench) account(a api.Account) context.Context {
	b.t.Helper()
	if err := a.Validate(); err != nil {
		b.t.Fatal(err)
	}
	ok[api.Account](b.t)(b.CreateAccount(system(b.t, account.Default), a))
	if _, err := b.images.Import(b.t.Context(), rootfs(b.t), image.ImportOptions{Owner: a.Name, Ref: "programs"}); err != nil {
		b.t.Fatal(err)
	}
	return as(b.t, a.Name)
}

func TestAccountsDoNotSeeEachOther(t *testing.T) {
	b := newBench(t, func(c *Config) { c.PublicAddresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/29")} })
	us, them := b.account(api.Account{Name: "us"}), b.account(api.Account{Name: "them"})
	req := request("web", "sleep")
	req.Network.Ports = []api.PublishedPort{{Port: 80, HostPort: 8080, Protocol: "TCP"}}
	ours, _, err := b.Create(us, req)
	if err != nil || ours.Account != "us" {
		t.Fatalf("%+v, %v", ours, err)
	}
	same := request("web", "sleep") // names are each account's own
	theirs, _, err := b.Create(them, same)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutSecret(us, api.Secret{Name: "s", Data: map[string][]byte{"a": []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	ok[api.VPC](t)(b.CreateVPC(us, api.VPC{Name: "shop", CIDR: "10.9.0.0/16"}))
	ok[api.VPC](t)(b.CreateVPC(them, api.VPC{Name: "shop", CIDR: "10.9.0.0/16"}))
	sub := ok[api.Subnet](t)(b.CreateSubnet(us, api.Subnet{Name: "front", VPC: "shop", CIDR: "10.9.1.0/24"}))
	group := ok[api.SecurityGroup](t)(b.CreateSecurityGroup(us, api.SecurityGroup{Name: "fw"}))
	public := ok[api.Address](t)(b.CreateAddress(us, api.Address{Name: "ip"}))
	key := ok[api.Key](t)(b.CreateKey(us, api.Key{User: "admin", Type: api.KeySigning}))

	vol := ok[api.Disk](t)(b.CreateDisk(us, api.Disk{Name: "data", Size: api.MinDisk, Isolation: api.IsolationGVisor}))
	snap := ok[api.DiskSnapshot](t)(b.CreateDiskSnapshot(us, api.DiskSnapshot{Disk: "data", Name: "copy"}))

	// By no name and no ID.
	for what, look := range map[string]func(context.Context) error{
		"instance by ID":   func(ctx context.Context) error { _, err := b.Get(ctx, ours.ID); return err },
		"by its beginning": func(ctx context.Context) error { _, err := b.Get(ctx, ours.ID[:6]); return err },
		"logs": func(ctx context.Context) error {
			return b.Logs(ctx, ours.ID, api.LogOptions{}, func(api.LogEntry) error { return nil })
		},
		"stop":          func(ctx context.Context) error { _, err := b.Stop(ctx, ours.ID, nil); return err },
		"remove":        func(ctx context.Context) error { return b.Remove(ctx, ours.ID, true, nil) },
		"kill":          func(ctx context.Context) error { return b.Kill(ctx, ours.ID, "", 9) },
		"stats":         func(ctx context.Context) error { _, err := b.Stats(ctx, ours.ID); return err },
		"wait":          func(ctx context.Context) error { _, err := b.Wait(ctx, ours.ID); return err },
		"subnet":        func(ctx context.Context) error { _, err := b.Subnet(ctx, sub.ID); return err },
		"subnet's name": func(ctx context.Context) error { _, err := b.Subnet(ctx, "front"); return err },
		"group":         func(ctx context.Context) error { _, err := b.SecurityGroup(ctx, group.ID); return err },
		"address":       func(ctx context.Context) error { _, err := b.Address(ctx, public.ID); return err },
		"bind":          func(ctx context.Context) error { _, err := b.BindAddress(ctx, public.ID, theirs.ID); return err },
		"disk":          func(ctx context.Context) error { _, err := b.Disk(ctx, vol.ID); return err },
		"disk's name":   func(ctx context.Context) error { return b.RemoveDisk(ctx, "data") },
		"attach": func(ctx context.Context) error {
			_, err := b.AttachDisk(ctx, vol.ID, api.DiskAttachment{Instance: theirs.ID, MountPath: "/x"})
			return err
		},
		"snapshot": func(ctx context.Context) error { return b.RemoveDiskSnapshot(ctx, snap.ID) },
		"secret":   func(ctx context.Context) error { return b.RemoveSecret(ctx, "s") },
		"key":      func(ctx context.Context) error { return b.RemoveKey(ctx, key.ID) },
		"account":  func(ctx context.Context) error { _, err := b.Account(ctx, "us"); return err },
		"flows":    func(ctx context.Context) error { _, err := b.Flows(ctx, sub.VPC+"-"); return err },
	} {
		if err := look(them); api.CodeOf(err) != api.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	// In no list, and in no message.
	list := ok[api.List[api.Instance]](t)(b.List(them, api.ListOptions{}))
	if len(list.Items) != 1 || list.Items[0].ID != theirs.ID {
		t.Errorf("they list %+v", list.Items)
	}
	seen := fmt.Sprint(ok[[]api.VPC](t)(b.VPCs(them)), ok[[]api.Subnet](t)(b.Subnets(them)), ok[[]api.SecurityGroup](t)(b.SecurityGroups(them)),
		ok[[]api.Address](t)(b.Addresses(them)), ok[[]api.Secret](t)(b.Secrets(them)), ok[[]api.Key](t)(b.Keys(them)),
		ok[[]api.Account](t)(b.Accounts(them)), ok[[]api.User](t)(b.Users(them)), ok[api.List[api.Event]](t)(b.Events(them, api.EventOptions{})),
		ok[[]api.Disk](t)(b.Disks(them)), ok[[]api.DiskSnapshot](t)(b.DiskSnapshots(them)), ok[api.Usage](t)(b.Usage(them, usageNow())))
	for _, secret := range []string{"us", ours.ID, sub.ID, group.ID, public.ID, key.ID, vol.ID, snap.ID} {
		if strings.Contains(seen, " "+secret+" ") || strings.Contains(seen, "{"+secret+" ") {
			t.Errorf("they see %s in %s", secret, seen)
		}
	}
	clash := request("clash", "sleep")
	clash.Network.Ports = req.Network.Ports
	_, _, err = b.Create(them, clash)
	wantError(t, err, api.Conflict, "network.ports[0].hostPort", "used by another account")
	_, err = b.CreateAddress(them, api.Address{Address: public.Address})
	wantError(t, err, api.Conflict, "address", public.Address+" is taken")
	_, _, err = b.Create(them, disked("with-ours", "data", "sleep"))
	wantError(t, err, api.Invalid, "volumes[0].disk", "there is no disk")
	place := request("in-ours", "sleep")
	place.Network.Subnet = sub.ID
	_, _, err = b.Create(them, place)
	wantError(t, err, api.Invalid, "network.subnet", "there is no subnet")

	// Nor on the network: each has its own, and names lead nowhere else.
	a, c := b.until2(us, "web"), b.until2(them, "web")
	if a.VPC == c.VPC || a.VPC == "default" || c.VPC == "default" {
		t.Errorf("on the networks %s and %s", a.VPC, c.VPC)
	}
	if got := (resolver{b.names}).Lookup(a.VPC, "web"); len(got) != 1 || got[0] != a.Address {
		t.Errorf("web is %v", got)
	}
	if got := (resolver{b.names}).Lookup("default", "web"); got != nil {
		t.Errorf("web is %v in the default account", got)
	}
	verdict := network.Verdict{By: "egress rule 1 of " + group.ID, VPC: a.VPC}
	if mine, other := b.networks.byName(account.Of(us), verdict), b.networks.byName(account.Of(them), verdict); mine != "egress rule 1 of fw" || other != "the rules of another account" {
		t.Errorf("a check tells %q and %q", mine, other)
	}
	// Who runs the service sees all of it.
	everything := ok[api.List[api.Instance]](t)(b.List(system(t, ""), api.ListOptions{}))
	if len(everything.Items) != 2 {
		t.Errorf("of all accounts: %+v", everything.Items)
	}
	_, err = b.Get(system(t, ""), "web")
	wantError(t, err, api.Invalid, "", "more than one instance")
	_, _, err = b.Create(system(t, ""), request("x", "echo"))
	wantError(t, err, api.Invalid, "account", "must be one account")
	b.reopen()
	if got, err := b.Get(us, "web"); err != nil || got.ID != ours.ID {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
}

func usageNow() api.UsageOptions {
	var opts api.UsageOptions
	opts.Default(time.Now())
	return opts
}

// until2 waits for the NIC of an account's instance.
func (b *bench) until2(ctx context.Context, ref string) (n struct {
	VPC     string
	Address netip.Addr
}) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		in, err := b.Get(ctx, ref)
		if err != nil {
			b.t.Fatal(err)
		}
		if box, attached := b.networks.attached(in.ID); attached && in.Status.Phase == api.PhaseRunning {
			nic := b.networks.nic(box)
			n.VPC, n.Address = nic.VPC, nic.Address
			return n
		}
	}
	b.t.Fatalf("%s has no NIC", ref)
	return n
}

func TestAnAccountGoesWhenItOwnsNothing(t *testing.T) {
	b := newBench(t)
	us, root := b.account(api.Account{Name: "us"}), system(t, account.Default)
	b.Create(us, request("a", "echo"))
	_, err := b.CreateAccount(root, api.Account{Name: "us"})
	wantError(t, err, api.Conflict, "name", "exists")
	wantError(t, b.RemoveAccount(root, "us"), api.Conflict, "", "still owns instances (1)")
	if a := ok[api.Account](t)(b.Account(root, "us")); a.Disabled {
		t.Error("it stays disabled")
	}
	if _, err := b.Wait(us, "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(us, "a", true, nil); err != nil {
		t.Fatal(err)
	}
	key := ok[api.Key](t)(b.CreateKey(us, api.Key{User: "admin", Type: api.KeyToken}))
	if err := b.RemoveAccount(root, "us"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.TokenCaller(root, key.Token); api.CodeOf(err) != api.Unauthenticated {
		t.Errorf("its token: %v", err)
	}
	if got := fmt.Sprint(ok[[]api.VPC](t)(b.VPCs(system(t, "")))); strings.Contains(got, "us") {
		t.Errorf("left: %s", got)
	}
	wantError(t, b.RemoveAccount(root, "default"), api.Conflict, "", "is always there")
	b.account(api.Account{Name: "us"})
	b.reopen()
	if got := ok[[]api.VPC](t)(b.VPCs(us)); len(got) != 1 {
		t.Errorf("made anew it has %+v", got)
	}
}

// A crash in the middle of the making of an account is finished at the next start.
func TestAHalfMadeAccountIsFinished(t *testing.T) {
	b := newBench(t)
	if err := b.store.PutAccount(t.Context(), api.Account{Name: "half"}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	in, _, err := b.Create(as(t, "half"), request("a", "sleep"))
	if err != nil || in.Spec.Network.VPC != "default" {
		t.Errorf("%+v, %v", in, err)
	}
	if users := ok[[]api.User](t)(b.Users(as(t, "half"))); len(users) != 1 || users[0].Role != api.RoleAdmin {
		t.Errorf("users %+v", users)
	}
}

func TestKeysProveTheirUser(t *testing.T) {
	b := newBench(t)
	us := b.account(api.Account{Name: "us"})
	ok[api.User](t)(b.CreateUser(us, api.User{Name: "ci", Role: api.RoleOperator}))
	signing := ok[api.Key](t)(b.CreateKey(us, api.Key{User: "ci", Type: api.KeySigning}))
	token := ok[api.Key](t)(b.CreateKey(us, api.Key{User: "ci", Type: api.KeyToken}))
	if signing.SecretID == "" || signing.SecretKey == "" || token.Token == "" || token.SecretKey != "" {
		t.Fatalf("made %+v and %+v", signing, token)
	}
	_, err := b.CreateKey(us, api.Key{User: "nobody", Type: api.KeyToken})
	wantError(t, err, api.Invalid, "user", "there is no user")
	check := func(want string) {
		t.Helper()
		secret, c, err := b.SigningKey(t.Context(), signing.SecretID)
		_, err2 := b.TokenCaller(t.Context(), token.Token)
		if want == "" {
			if err != nil || err2 != nil || secret != signing.SecretKey || c.Account != "us" || c.User != "ci" || c.Role != api.RoleOperator || c.System || c.Key != signing.ID {
				t.Errorf("%q, %+v, %v, %v", secret, c, err, err2)
			}
			return
		}
		for _, err := range []error{err, err2} {
			wantError(t, err, api.Unauthenticated, "", want)
		}
	}
	check("")
	b.reopen()
	check("")
	// Nothing on record gives a secret away.
	b.close()
	record, err := os.ReadFile(b.dir + "/record.db")
	wal, _ := os.ReadFile(b.dir + "/record.db-wal")
	if text := string(record) + string(wal); err != nil || strings.Contains(text, signing.SecretKey) || strings.Contains(text, token.Token) {
		t.Error("the record has a secret in clear")
	}
	b.open()
	if got := fmt.Sprint(ok[[]api.Key](t)(b.Keys(us))); strings.Contains(got, signing.SecretKey) || strings.Contains(got, token.Token) {
		t.Error("a list has a secret")
	}
	yes, no := true, false
	for what, toggle := range map[string]func(*bool) error{
		"the key's user is disabled": func(v *bool) error { _, err := b.UpdateUser(us, "ci", api.UserUpdate{Disabled: v}); return err },
		"the key's account is disabled": func(v *bool) error {
			_, err := b.UpdateAccount(system(t, "default"), "us", api.AccountUpdate{Disabled: v})
			return err
		},
		"the key is disabled": func(v *bool) error {
			_, err1 := b.UpdateKey(us, signing.ID, api.KeyUpdate{Disabled: v})
			_, err2 := b.UpdateKey(us, token.ID, api.KeyUpdate{Disabled: v})
			return errorsOf(err1, err2)
		},
	} {
		if err := toggle(&yes); err != nil {
			t.Fatal(err)
		}
		check(what)
		if err := toggle(&no); err != nil {
			t.Fatal(err)
		}
		check("")
	}
	// A rotated key gives way at once, or after a while.
	next := ok[api.Key](t)(b.RotateKey(us, token.ID, api.KeyRotation{OverlapSeconds: 3600}))
	if _, err := b.TokenCaller(t.Context(), next.Token); err != nil || next.ID == token.ID {
		t.Errorf("the next one: %v", err)
	}
	check("")
	ok[api.Key](t)(b.RotateKey(us, signing.ID, api.KeyRotation{}))
	_, _, err = b.SigningKey(t.Context(), signing.ID)
	wantError(t, err, api.Unauthenticated, "", "has expired")
	if err := b.RemoveUser(us, "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.TokenCaller(t.Context(), next.Token); api.CodeOf(err) != api.Unauthenticated {
		t.Errorf("the token of a user who is gone: %v", err)
	}
	wantError(t, b.RemoveUser(us, "admin"), api.Conflict, "", "the only admin")
	_, err = b.UpdateUser(us, "admin", api.UserUpdate{Role: api.RoleViewer})
	wantError(t, err, api.Conflict, "", "the only admin")
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestQuotaSizesAndBudgetBoundAnAccount(t *testing.T) {
	prices, err := meter.ParsePrices([]byte("currency: EUR\nvcpuHour: 1000000\n"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *Config) { c.Prices = prices })
	one := 1
	disks := api.Bytes(2 * api.MinDisk)
	us := b.account(api.Account{Name: "us", Quota: api.Quota{Instances: &one, Addresses: new(int), Disks: &disks},
		Sizes: []api.Size{{Name: "small", CPU: 500, Memory: 256 * api.MiB}}})
	big := request("big", "sleep")
	big.CPU = 1000
	_, _, err = b.Create(us, big)
	wantError(t, err, api.Invalid, "size", "choose one of small (0.5 cores with 256Mi)")
	if _, _, err := b.Create(us, request("a", "sleep")); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.Create(us, request("b", "sleep"))
	wantError(t, err, api.Exhausted, "quota.instances", "1 in use")
	_, err = b.CreateAddress(us, api.Address{})
	wantError(t, err, api.Exhausted, "quota.addresses", "0 public addresses")
	ok[api.Disk](t)(b.CreateDisk(us, api.Disk{Name: "d", Size: api.MinDisk, Isolation: api.IsolationGVisor}))
	_, err = b.UpdateDisk(us, "d", api.DiskUpdate{Size: 3 * api.MinDisk})
	wantError(t, err, api.Exhausted, "quota.disks", "16Mi in use")
	ok[api.DiskSnapshot](t)(b.CreateDiskSnapshot(us, api.DiskSnapshot{Disk: "d"}))
	_, err = b.CreateDiskSnapshot(us, api.DiskSnapshot{Disk: "d"})
	wantError(t, err, api.Exhausted, "quota.disks", "32Mi in use")
	q := ok[api.QuotaStatus](t)(b.Quota(us, "us"))
	if *q.Used.Instances != 1 || *q.Used.CPU != 500 || *q.Used.Memory != 256*api.MiB || *q.Limits.Instances != 1 {
		t.Errorf("quota %+v", q)
	}
	// A million a core and hour: used up in a moment.
	b.update(us, api.AccountUpdate{Quota: &api.Quota{}, Budget: &api.Budget{Amount: "1", Stop: true}})
	deadline := time.Now().Add(time.Minute)
	for over := false; !over; time.Sleep(10 * time.Millisecond) {
		b.spending.last = nil
		a, _ := b.identities.account("us")
		if _, over, err = b.overBudget(t.Context(), a); err != nil || time.Now().After(deadline) {
			t.Fatalf("not over the budget: %v", err)
		}
	}
	_, _, err = b.Create(us, request("b", "sleep"))
	wantError(t, err, api.Exhausted, "", "of its budget of 1 for this month")
	b.holdBudgets(b.ctx)
	in, err := b.Wait(us, "a")
	if err != nil || in.Status.Reason != api.ReasonBudgetSpent {
		t.Errorf("%+v, %v", in.Status, err)
	}
	b.update(us, api.AccountUpdate{Budget: &api.Budget{}})
	if _, err := b.Start(us, "a"); err != nil {
		t.Errorf("without a budget: %v", err)
	}
}

func TestImagesAreEachAccountsOwn(t *testing.T) {
	b := newBench(t)
	if _, err := b.CreateAccount(system(t, account.Default), api.Account{Name: "us"}); err != nil {
		t.Fatal(err)
	}
	us := as(t, "us")
	req := request("a", "echo")
	req.Containers[0].ImagePullPolicy = api.PullNever // what the operator imported is not theirs
	if _, _, err := b.Create(us, req); err != nil {
		t.Fatal(err)
	}
	if in, err := b.Wait(us, "a"); err != nil || in.Status.Phase != api.PhaseFailed {
		t.Errorf("%+v, %v", in.Status, err)
	}
	if got := ok[[]api.Image](t)(b.Images(us)); len(got) != 0 {
		t.Errorf("they see %+v", got)
	}
	wantError(t, b.RemoveImage(us, "programs"), api.NotFound, "", "there is no image")
	im, err := b.ImportImage(us, "mine", rootfs(t), func(api.Progress) {})
	if err != nil || fmt.Sprint(im.Refs) != "[docker.io/library/mine:latest]" {
		t.Fatalf("%+v, %v", im, err)
	}
	if got := ok[[]api.Image](t)(b.Images(t.Context())); len(got) != 1 || fmt.Sprint(got[0].Refs) != "[docker.io/library/programs:latest]" {
		t.Errorf("the operator sees %+v", got)
	}
	size := api.Bytes(1)
	b.update(us, api.AccountUpdate{Quota: &api.Quota{Images: &size}})
	_, err = b.ImportImage(us, "more", rootfs(t), func(api.Progress) {})
	wantError(t, err, api.Exhausted, "quota.images", "of images")
	// A name of the one goes without the other's; the image with the last of all.
	if err := b.RemoveImage(us, im.Digest); err != nil {
		t.Fatal(err)
	}
	if got := ok[[]api.Image](t)(b.Images(t.Context())); len(got) != 1 {
		t.Errorf("the operator has %+v left", got)
	}
}

func (b *bench) update(ctx context.Context, u api.AccountUpdate) {
	b.t.Helper()
	ok[api.Account](b.t)(b.UpdateAccount(system(b.t, "default"), account.Of(ctx).Account, u))
}

func TestWhatWasDoneIsOnRecord(t *testing.T) {
	b := newBench(t)
	us := as(t, "us")
	began := time.Now().UTC().Truncate(time.Second) // what is old is removed
	at := func(second int) time.Time { return began.Add(time.Duration(second) * time.Second) }
	for i := range 3 {
		b.Note(us, api.AuditEntry{Time: at(i), Account: "us", Action: fmt.Sprint("a", i), Result: "ok"})
	}
	b.Note(us, api.AuditEntry{Time: at(9), Account: "them", Action: "hidden"})
	page := ok[api.List[api.AuditEntry]](t)(b.Audit(us, api.AuditOptions{From: at(1), To: at(2)}))
	if len(page.Items) != 1 || page.Items[0].Action != "a1" || page.Items[0].ID == 0 {
		t.Fatalf("%+v", page.Items)
	}
	ctx, cancel := context.WithCancel(us)
	var seen []string
	go b.Note(us, api.AuditEntry{Time: at(9), Account: "us", Action: "last"})
	b.WatchAudit(ctx, api.AuditOptions{Since: page.Items[0].ID}, func(e api.AuditEntry) error {
		seen = append(seen, e.Action)
		if e.Action == "last" {
			cancel()
		}
		return nil
	})
	if fmt.Sprint(seen) != "[a2 last]" {
		t.Errorf("watched %v", seen)
	}
}
