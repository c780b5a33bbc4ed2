package cloud

import "strings"

// ownPrefix begins the IDs of instances in the rest of cis.
const ownPrefix = "i-"

// OutsideID is the ID of an instance as a product shows it: with the product's prefix,
// such as eksci-, in the place of ours.
func OutsideID(prefix, id string) string { return prefix + strings.TrimPrefix(id, ownPrefix) }

// InsideID is the ID of an instance by the one that a product shows; false for what is
// none. It does not tell whether there is such an instance.
func InsideID(prefix, outside string) (string, bool) {
	rest, ok := strings.CutPrefix(outside, prefix)
	return ownPrefix + rest, ok && len(rest) == 12 && strings.Trim(rest, "0123456789abcdef") == ""
}
