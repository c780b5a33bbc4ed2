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
	return append([]string{Verb, c.Root, strconv.Itoa(c.User), c.Device, strconv.FormatBool(c.KeepFiles)}, c.Args...)
}

// Parse reads what Command wrote.
func Parse(args []string) (Cell, error) {
	if len(args) < 6 || args[0] != Verb {
		return Cell{}, errors.New("usage: " + Verb + " ROOT USER DEVICE KEEPFILES PROGRAM [ARGUMENT...]")
	}
	user, err := strconv.Atoi(args[2])
	if err != nil || user <= 0 {
		return Cell{}, errors.New("the jail's user must be a number above 0")
	}
	keep, err := strconv.ParseBool(args[4])
	if err != nil {
		return Cell{}, errors.New("whether the jail keeps files must be true or false")
	}
	return Cell{Root: args[1], User: user, Device: args[3], KeepFiles: keep, Args: args[5:]}, nil
}
