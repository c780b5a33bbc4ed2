package plane

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"cis/kube/internal/durable"
)

// cluster is what a data directory remembers, because it may not change or not change
// in every way.
type cluster struct {
	ServiceCIDR netip.Prefix `json:"serviceCIDR"`
	Version     string       `json:"version"`
}

// admit holds the settings to what the data directory was made with, and records them.
func (c *Config) admit() error {
	path := c.path(clusterFile)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		var was cluster
		if err := json.Unmarshal(data, &was); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if was.ServiceCIDR != c.ServiceCIDR {
			return fieldErrorf("service-cidr", "this cluster has %s, and Services cannot be given other addresses; take another --data-dir for another cluster", was.ServiceCIDR)
		}
		if err := upgradable(was.Version, c.Version); err != nil {
			return err
		}
	}
	if data, err = json.Marshal(cluster{c.ServiceCIDR, c.Version}); err != nil {
		return err
	}
	return durable.WriteFile(path, data)
}

// upgradable tells whether a version may take over the state of another: Kubernetes
// goes up one minor version at a time, and never down.
func upgradable(from, to string) error {
	var fromMajor, fromMinor, toMajor, toMinor int
	for _, v := range []struct {
		text         string
		major, minor *int
	}{{from, &fromMajor, &fromMinor}, {to, &toMajor, &toMinor}} {
		if _, err := fmt.Sscanf(v.text, "v%d.%d", v.major, v.minor); err != nil {
			return fmt.Errorf("version %q: want vMAJOR.MINOR", v.text)
		}
	}
	if fromMajor != toMajor || toMinor < fromMinor || toMinor > fromMinor+1 {
		return fmt.Errorf("the data directory was used by Kubernetes %s, which %s cannot follow: take the same or the next minor version", from, to)
	}
	return nil
}
