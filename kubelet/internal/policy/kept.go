package policy

import (
	"context"
	"errors"
	"fmt"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// openGroup is the security group of pods that no policy isolates. It is made if it is not
// there, and its rules are the operator's from then on.
const openGroup = "pods"

// kept are the node's security groups as they are in cis.
type kept struct {
	cis  Cis
	node string
	// known are their rules by name; nil: nobody knows.
	known map[string]rules
}

// doubt has the groups asked for again: an answer was lost, or one is not there.
func (k *kept) doubt() { k.known = nil }

func (k *kept) learn(ctx context.Context) error {
	if k.known != nil {
		return nil
	}
	all, err := k.cis.SecurityGroups(ctx)
	if err != nil {
		return fmt.Errorf("list security groups: %w", err)
	}
	k.known = map[string]rules{}
	for _, one := range all {
		if one.Name == openGroup || one.Labels[translate.LabelNode] == k.node {
			k.known[one.Name] = rules{one.Ingress, one.Egress}
		}
	}
	return nil
}

// keep makes the group of a class be there with its rules.
func (k *kept) keep(ctx context.Context, c class, want rules) error {
	if err := k.learn(ctx); err != nil {
		return err
	}
	name := c.group(k.node)
	have, there := k.known[name]
	if there && (c.open() || have.equals(want)) {
		return nil
	}
	var err error
	if there {
		_, err = k.cis.UpdateSecurityGroup(ctx, name, api.SecurityGroupUpdate{Ingress: want.ingress, Egress: want.egress})
	} else {
		_, err = k.cis.CreateSecurityGroup(ctx, k.groupFor(c, want))
	}
	if c.open() && api.CodeOf(err) == api.Conflict {
		err = nil // another node has made it
	}
	if err != nil {
		k.doubt()
		return fmt.Errorf("keep security group %s: %w", name, err)
	}
	k.known[name] = want
	return nil
}

func (k *kept) groupFor(c class, r rules) api.SecurityGroup {
	g := api.SecurityGroup{Name: c.group(k.node), Description: c.description(), Ingress: r.ingress, Egress: r.egress}
	if !c.open() {
		g.Labels = map[string]string{translate.LabelNode: k.node}
	}
	return g
}

// removeBut removes the groups that nobody wants. One that an instance is in that ends is left
// for the next time.
func (k *kept) removeBut(ctx context.Context, wanted func(name string) bool) (left bool, err error) {
	if err := k.learn(ctx); err != nil {
		return false, err
	}
	var errs []error
	for name := range k.known {
		if name == openGroup || wanted(name) {
			continue
		}
		switch err := k.cis.RemoveSecurityGroup(ctx, name); api.CodeOf(err) {
		case "", api.NotFound:
			delete(k.known, name)
		case api.Conflict:
			left = true
		default:
			errs = append(errs, fmt.Errorf("remove security group %s: %w", name, err))
		}
	}
	return left, errors.Join(errs...)
}
