package api

import (
	"math/big"
	"regexp"
)

// Decimal is an exact decimal number as text, such as "0.0125".
type Decimal string

var plainDecimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$`)

// Rat is the number, if the text is a plain one from 0 with at most 12 digits before and
// after the point.
func (d Decimal) Rat() (*big.Rat, bool) {
	if !plainDecimal.MatchString(string(d)) {
		return nil, false
	}
	return new(big.Rat).SetString(string(d))
}
