package network

import (
	"context"
	"errors"
	"fmt"
)

// Clean removes every namespace, link and table of the prefix from the host that the
// calling thread is in, record or no record, and puts back what stateFile, if it is
// not "", says that the host had before. No Manager of that prefix may be open.
//
// Processes in the namespaces are not ended. The directory /run/netns stays, as after
// any use of `ip netns`.
func Clean(ctx context.Context, prefix, stateFile string) error {
	if err := errors.Join(checkPrefix(prefix), ctx.Err()); err != nil {
		return fmt.Errorf("clean network: %w", err)
	}
	fd, err := openThreadNS()
	if err != nil {
		return fmt.Errorf("clean network: %w", err)
	}
	host, err := openSpace(fd)
	if err != nil {
		return fmt.Errorf("clean network: %w", err)
	}
	defer host.close()
	rules := &tables{fd: fd}
	defer rules.close()

	// The rules go last: as long as a link is there they guard the host.
	err = errors.Join(
		cleanSpaces(prefix),
		cleanUplinks(host, prefix),
		cleanProxies(host, rules, prefix),
		rules.remove(prefix),
		host.within(func() error { return restoreHost(stateFile) }),
	)
	if err != nil {
		return fmt.Errorf("clean network: %w", err)
	}
	return nil
}

func cleanSpaces(prefix string) error {
	nics := func(id string) error { return removeSpace(nicSpaceName(prefix, id)) }
	vpcs := func(id string) error { return removeVPCSpace(prefix, id) }
	return errors.Join(
		cleanKind(nicSpaceName(prefix, ""), nics),
		cleanKind(vpcSpaceName(prefix, ""), vpcs),
	)
}

// cleanKind removes the namespaces whose names begin so.
func cleanKind(kind string, remove func(id string) error) error {
	ids, err := listSpaces(kind)
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, remove(id))
	}
	return errors.Join(errs...)
}

func cleanUplinks(host *space, prefix string) error {
	links, err := dump(host.route.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	var errs []error
	for _, l := range links {
		if ownsLink(prefix, l, "u") {
			errs = append(errs, deleteLink(host.route, l))
		}
	}
	return errors.Join(errs...)
}
