package machine

import (
	"fmt"
	"regexp"

	"cis/api"
)

// sandboxID keeps foreign names away from paths and lists.
var sandboxID = regexp.MustCompile(`^s-[0-9a-f]{12}$`)

// IsSandboxID tells whether a name is the ID of a sandbox: "s-" and 12 hexadecimal
// digits.
func IsSandboxID(name string) bool { return sandboxID.MatchString(name) }

// CheckID fails, with Internal, for what is not the ID of a sandbox. Drivers make paths
// of IDs.
func CheckID(id string) error {
	if !IsSandboxID(id) {
		return &api.Error{Code: api.Internal, Message: fmt.Sprintf("%q is not the ID of a sandbox", id)}
	}
	return nil
}
