package qemu

import "strconv"

// firstUser begins the range from which every VM has a user of its own. It lies above
// those of people, of services and of the usual user namespaces.
const firstUser = 0x70000000

// userOf derives the user from the sandbox's ID.
func userOf(id string) int {
	n, _ := strconv.ParseUint(id[len(id)-7:], 16, 28) // CheckID holds
	return firstUser + int(n)
}
