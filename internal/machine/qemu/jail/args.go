package jail

import (
	"errors"
	"strconv"
)

// Verb is the first argument of a program that Command starts; the others are for
// Parse.
const Verb = "jail"

// Command is the arguments of a program that calls Enter.
func (c Cell) Command() []string {
	return append([]string{Verb, c.Root, strconv.Itoa(c.User), c.Device}, c.Args...)
}

// Parse reads what Command wrote.
func Parse(args []string) (Cell, error) {
	if len(args) < 5 || args[0] != Verb {
		return Cell{}, errors.New("usage: " + Verb + " ROOT USER DEVICE PROGRAM [ARGUMENT...]")
	}
	user, err := strconv.Atoi(args[2])
	if err != nil || user <= 0 {
		return Cell{}, errors.New("the jail's user must be a number above 0")
	}
	return Cell{Root: args[1], User: user, Device: args[3], Args: args[4:]}, nil
}
