package api

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// nfsVersions are those of the protocol, the highest first.
var nfsVersions = []string{"4.2", "4.1", "4.0", "3"}

// Versions of the protocol to try for the volume, the first one first.
func (n *NFSVolume) Versions() []string {
	switch n.Version {
	case "":
		return slices.Clone(nfsVersions)
	case "4":
		return slices.DeleteFunc(slices.Clone(nfsVersions), func(v string) bool { return v == "3" })
	}
	return []string{n.Version}
}

// maxNFSPath is the longest path of a server's directory in bytes, as the protocol's version 3
// has it (MNTPATHLEN).
const maxNFSPath = 1024

// nfs checks a directory of a server.
func (c *checker) nfs(n *NFSVolume, field string) {
	c.check(isNFSServer(n.Server), field+".server", "must be an IP address of one host or a DNS name, not %q", clip(n.Server))
	c.check(path.IsAbs(n.Path) && path.Clean(n.Path) == n.Path && len(n.Path) <= maxNFSPath && !hasControl(n.Path), field+".path",
		"must be an absolute path of at most %d bytes in its shortest form, without control characters, not %q", maxNFSPath, clip(n.Path))
	if n.Version != "" {
		oneOf(c, n.Version, field+".version", append([]string{"4"}, nfsVersions...)...)
	}
}

func isNFSServer(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast()
	}
	// A name that ends in a number is a mistyped address: no domain is one (RFC 1123, 2.1).
	last := s[strings.LastIndexByte(s, '.')+1:]
	return isDNSSubdomain(s) && !each(last, isDigit)
}
