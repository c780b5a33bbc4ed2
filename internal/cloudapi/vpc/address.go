package vpc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func (p *product) addressActions() []cloud.Action {
	return []cloud.Action{
		cloud.Changes("AllocateAddresses", func(r *AllocateAddressesRequest) string { return r.AddressName }, p.allocate),
		cloud.Changes("AssociateAddress", func(r *AssociateAddressRequest) string { return r.AddressId }, p.associate),
		cloud.Changes("DisassociateAddress", func(r *DisassociateAddressRequest) string { return r.AddressId }, p.disassociate),
		cloud.Changes("ReleaseAddresses", func(r *ReleaseAddressesRequest) string { return fmt.Sprint(r.AddressIds) }, p.release),
		cloud.Reads("DescribeAddresses", nil, p.describeAddresses),
		cloud.Changes("ModifyAddressAttribute", func(r *ModifyAddressAttributeRequest) string { return r.AddressId }, p.modifyAddress),
	}
}

// maxAddresses bounds the addresses of one request.
const maxAddresses = 20

// tokenLabel marks the addresses that a client token made.
const tokenLabel = "vpc.cis/client-token"

// instancePrefixes begin the IDs of instances; they are shown with the first.
var instancePrefixes = []string{"eksci-", "cis-"}

var addressNames = cloud.Names{Whole: map[string]string{"name": "AddressName", "instance": "InstanceId"}, Parts: []string{"labels", "Tags"}}

func (p *product) allocate(ctx context.Context, r *AllocateAddressesRequest) (*AllocateAddressesResponse, error) {
	wanted, err := r.addresses()
	if err != nil {
		return nil, err
	}
	if r.ClientToken != "" {
		p.allocating.Lock()
		defer p.allocating.Unlock()
		if made, err := p.madeBy(ctx, wanted[0].Labels[tokenLabel]); len(made) > 0 || err != nil {
			return &AllocateAddressesResponse{AddressSet: made}, err
		}
	}
	out := &AllocateAddressesResponse{}
	for _, a := range wanted {
		made, err := p.engine.CreateAddress(ctx, a)
		if err != nil {
			told := *cloud.From(err, addressNames)
			told.Err = errors.Join(told.Err, p.giveBack(context.WithoutCancel(ctx), out.AddressSet))
			return nil, &told
		}
		out.AddressSet = append(out.AddressSet, made.ID)
	}
	return out, nil
}

// addresses are those that a request asks for.
func (r *AllocateAddressesRequest) addresses() (all []api.Address, err error) {
	count := int64(1)
	if r.AddressCount != nil {
		if count = *r.AddressCount; count < 1 || count > maxAddresses {
			return nil, cloud.Bad("AddressCount", "must be 1 to %d, not %d", maxAddresses, count)
		}
	}
	if len(r.ClientToken) > 64 {
		return nil, cloud.Bad("ClientToken", "must be at most 64 characters")
	}
	for i := range int(count) {
		a := api.Address{Name: r.AddressName}
		if a.Labels, err = labels(r.Tags); err != nil {
			return nil, err
		}
		if count > 1 && a.Name != "" {
			a.Name += "-" + strconv.Itoa(i)
		}
		if err := a.Validate(); err != nil {
			return nil, tell(err, addressNames)
		}
		if r.ClientToken != "" {
			if a.Labels == nil {
				a.Labels = map[string]string{}
			}
			sum := sha256.Sum256([]byte(r.ClientToken))
			a.Labels[tokenLabel] = hex.EncodeToString(sum[:16])
		}
		all = append(all, a)
	}
	return all, nil
}

// madeBy are the addresses that a client token made.
func (p *product) madeBy(ctx context.Context, token string) (ids []string, err error) {
	all, err := p.engine.Addresses(ctx)
	for _, a := range all {
		if a.Labels[tokenLabel] == token {
			ids = append(ids, a.ID)
		}
	}
	return ids, err
}

func (p *product) giveBack(ctx context.Context, ids []string) (err error) {
	for _, id := range ids {
		err = errors.Join(err, p.engine.RemoveAddress(ctx, id))
	}
	return err
}

// findAddress reads a public address by its ID.
func (p *product) findAddress(ctx context.Context, path, id string) (api.Address, error) {
	if err := cloud.CheckID(path, "eip-", id); err != nil {
		return api.Address{}, err
	}
	a, err := p.engine.Address(ctx, id)
	return a, missing(err, path, id)
}

func (p *product) associate(ctx context.Context, r *AssociateAddressRequest) (*AssociateAddressResponse, error) {
	a, err := p.findAddress(ctx, "AddressId", r.AddressId)
	if err != nil {
		return nil, err
	}
	id := ""
	for _, prefix := range instancePrefixes {
		if inside, ok := cloud.InsideID(prefix, r.InstanceId); ok {
			id = inside
		}
	}
	if id == "" {
		return nil, cloud.Bad("InstanceId", "must be the ID of a container instance: eksci- or cis- and 12 hexadecimal digits")
	}
	if a.InstanceID != "" && a.InstanceID != id {
		return nil, cloud.Errorf(cloud.ResourceInUse, "AddressId: it is bound to %s: disassociate it first", cloud.OutsideID(instancePrefixes[0], a.InstanceID))
	}
	if _, err := p.engine.BindAddress(ctx, a.ID, id); err != nil {
		return nil, tell(missing(err, "InstanceId", r.InstanceId), addressNames)
	}
	return &AssociateAddressResponse{}, nil
}

func (p *product) disassociate(ctx context.Context, r *DisassociateAddressRequest) (*DisassociateAddressResponse, error) {
	a, err := p.findAddress(ctx, "AddressId", r.AddressId)
	if err != nil {
		return nil, err
	}
	if a.InstanceID == "" {
		return nil, cloud.Errorf(cloud.UnsupportedOperation, "AddressId: it is bound to nothing")
	}
	_, err = p.engine.UnbindAddress(ctx, a.ID)
	return &DisassociateAddressResponse{}, err
}

func (p *product) release(ctx context.Context, r *ReleaseAddressesRequest) (*ReleaseAddressesResponse, error) {
	if len(r.AddressIds) == 0 || len(r.AddressIds) > maxAddresses {
		return nil, cloud.Bad("AddressIds", "must be 1 to %d IDs, not %d", maxAddresses, len(r.AddressIds))
	}
	seen := map[string]bool{}
	for i, id := range r.AddressIds {
		path := fmt.Sprintf("AddressIds.%d", i)
		a, err := p.findAddress(ctx, path, id)
		switch {
		case err != nil:
			return nil, err
		case a.InstanceID != "":
			return nil, cloud.Errorf(cloud.ResourceInUse, "%s: it is bound to %s: disassociate it first", path, cloud.OutsideID(instancePrefixes[0], a.InstanceID))
		case seen[id]:
			return nil, cloud.Bad(path, "%s is given twice", id)
		}
		seen[id] = true
	}
	return &ReleaseAddressesResponse{}, p.giveBack(ctx, r.AddressIds)
}

func (p *product) modifyAddress(ctx context.Context, r *ModifyAddressAttributeRequest) (*cloud.Nothing, error) {
	a, err := p.findAddress(ctx, "AddressId", r.AddressId)
	if err != nil {
		return nil, err
	}
	return &cloud.Nothing{}, sameName("AddressName", r.AddressName, a.Name)
}

func (p *product) describeAddresses(ctx context.Context, r *DescribeAddressesRequest) (*DescribeAddressesResponse, error) {
	all, err := p.engine.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	private := map[string]string{}
	for _, a := range all {
		if a.InstanceID == "" {
			continue
		}
		in, err := p.engine.Get(ctx, a.InstanceID)
		if err != nil && api.CodeOf(err) != api.NotFound {
			return nil, err
		}
		private[a.ID] = in.Status.Address
	}
	known := map[string]cloud.Property[api.Address]{
		"address-id":         func(a api.Address, v string) bool { return a.ID == v },
		"address-name":       func(a api.Address, v string) bool { return a.Name == v },
		"address-ip":         func(a api.Address, v string) bool { return a.Address == v },
		"address-status":     func(a api.Address, v string) bool { return addressStatus(a) == v },
		"instance-id":        func(a api.Address, v string) bool { return a.InstanceID != "" && isInstance(a.InstanceID, v) },
		"private-ip-address": func(a api.Address, v string) bool { return v != "" && private[a.ID] == v },
	}
	list, total, err := choose(all, chosen[api.Address]{idField: "AddressIds", ids: r.AddressIds, id: func(a api.Address) string { return a.ID },
		filters: r.Filters, known: known, labels: func(a api.Address) map[string]string { return a.Labels }}, r.Offset, r.Limit)
	out := &DescribeAddressesResponse{TotalCount: total}
	for _, a := range list {
		out.AddressSet = append(out.AddressSet, addressOf(a, private[a.ID]))
	}
	return out, err
}

// isInstance tells whether an ID that is shown is that of an instance.
func isInstance(id, shown string) bool {
	for _, prefix := range instancePrefixes {
		if cloud.OutsideID(prefix, id) == shown {
			return true
		}
	}
	return false
}

func addressStatus(a api.Address) string {
	if a.Bound() {
		return "BIND"
	}
	return "UNBIND"
}

func addressOf(a api.Address, private string) Address {
	out := Address{AddressId: a.ID, AddressName: a.Name, AddressStatus: addressStatus(a), AddressIp: a.Address, CreatedTime: cloud.UTCTime(a.CreatedAt),
		PrivateAddressIp: private, AddressType: "EIP", CascadeRelease: a.Auto, InternetServiceProvider: "BGP",
		InternetChargeType: "TRAFFIC_POSTPAID_BY_HOUR", TagSet: tags(a.Labels)}
	if a.InstanceID != "" {
		out.InstanceId = cloud.OutsideID(instancePrefixes[0], a.InstanceID)
	}
	return out
}
