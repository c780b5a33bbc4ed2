package network

import (
	"crypto/sha256"
	"encoding/base32"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"cis/api"
)

// Names inside the namespaces that the package makes.
const (
	uplinkName = "uplink" // the VPC's end of its uplink
	innerName  = "eth0"   // the NIC's end that a sandbox takes over
)

var (
	prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,4}$`)
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)
)

func checkPrefix(prefix string) error {
	if !prefixPattern.MatchString(prefix) {
		return api.FieldError("prefix", "%q is not 1 to 5 lower-case letters and digits, a letter first", prefix)
	}
	return nil
}

func checkID(field, id string) error {
	if !idPattern.MatchString(id) {
		return api.FieldError(field, "%q is not 1 to 63 letters, digits, '-', '_' and '.', a letter or digit first", id)
	}
	return nil
}

// vpcSpaceName is the name of a VPC's namespace under netnsDir.
func vpcSpaceName(prefix, id string) string { return prefix + "-vpc-" + id }

// nicSpaceName is the name of a NIC's namespace under netnsDir.
func nicSpaceName(prefix, id string) string { return prefix + "-nic-" + id }

// uplinkHostName is the name of the host's end of a VPC's uplink.
func uplinkHostName(prefix, vpc string) string { return linkName(prefix, "u", vpc) }

// uplinkNames is what the names of the host's ends of all uplinks begin with, and no others:
// a prefix has no dash.
func uplinkNames(prefix string) string { return prefix + "-u" }

// outerName is the name of a NIC's end in its VPC's namespace.
func outerName(prefix, nic string) string { return linkName(prefix, "n", nic) }

// detourName is the name of the device that what a NIC sends is queued at.
func detourName(prefix, nic string) string { return linkName(prefix, "b", nic) }

// detourOf is detourName by outerName.
func detourOf(prefix, outer string) string {
	return strings.Replace(outer, prefix+"-n", prefix+"-b", 1)
}

// linkName fits any id into the 15 bytes of a link's name: 40 bits of its digest
// tell links apart, and a collision shows in the alias.
func linkName(prefix, kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	digest := base32.StdEncoding.EncodeToString(sum[:5])
	return prefix + "-" + kind + strings.ToLower(digest)
}

func uplinkAlias(vpc string) string { return "vpc " + vpc }

// nicAlias is what the outer end of a complete NIC says about itself.
func nicAlias(id string, addrs ...netip.Addr) string {
	alias := "nic " + id
	for _, a := range addrs {
		alias += " " + a.String()
	}
	return alias
}

func parseNICAlias(alias string) (id string, addrs []netip.Addr, ok bool) {
	f := strings.Fields(alias)
	if len(f) < 3 || f[0] != "nic" || !idPattern.MatchString(f[1]) {
		return "", nil, false
	}
	for _, word := range f[2:] {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return "", nil, false
		}
		addrs = append(addrs, a)
	}
	return f[1], addrs, true
}

// gatewayMAC is the address of every outer end. One address serves for all, since
// no two of them share a segment.
var gatewayMAC = net.HardwareAddr{0x02, 'c', 'i', 's', 0, 1}

// The two ends of every uplink.
var (
	uplinkHostMAC = net.HardwareAddr{0x02, 'c', 'i', 's', 0, 2}
	uplinkVPCMAC  = net.HardwareAddr{0x02, 'c', 'i', 's', 0, 3}
)

// nicMAC derives the address of a NIC's inner end from its IPv4 address.
func nicMAC(address netip.Addr) net.HardwareAddr {
	a := address.As4()
	return net.HardwareAddr{0x02, 'n', a[0], a[1], a[2], a[3]}
}
