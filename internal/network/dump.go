package network

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often a listing is begun anew when somebody else changes what
// is listed meanwhile, which the kernel tells.
const dumpTries = 20

// dump lists something of the kernel whole.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		all, err = list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
