// Package inside is what happens within a container before its program runs there.
// A helper, which the agent starts as root in namespaces of the container's, builds
// the container's view of the system around itself, gives up what the program shall
// not have, and becomes the program.
//
// A helper for a new container (Contain) does all that needs no image ahead and then
// waits for its orders; one for a container that runs (Join) enters its namespaces.
// Orders and open files come over a socket; on it the helper tells why it could not
// become the program, and its end without a word says that it could.
//
// It decides nothing: what a program may do is in its orders.
package inside
