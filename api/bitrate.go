package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// BitRate is an amount of traffic in bits per second. In text it is a number with an
// optional suffix k, M or G, powers of 1000.
type BitRate int64

// Decimal units.
const (
	Kbit BitRate = 1e3
	Mbit BitRate = 1e6
	Gbit BitRate = 1e9
)

// bitUnits from the largest on.
var bitUnits = []struct {
	suffix string
	rate   BitRate
}{{"G", Gbit}, {"M", Mbit}, {"k", Kbit}, {"", 1}}

// ParseBitRate reads bits per second, such as 100M.
func ParseBitRate(s string) (BitRate, error) {
	for _, u := range bitUnits {
		num, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		f, err := parseDecimal(num)
		if f *= float64(u.rate); err == nil && f == math.Trunc(f) && f < 1<<53 {
			return BitRate(f), nil
		}
		break
	}
	return 0, fmt.Errorf("%q is not an amount of bits per second: use a whole number, or one with k, M or G such as 100M", clip(s))
}

// String gives the largest unit that divides the amount.
func (r BitRate) String() string {
	for _, u := range bitUnits {
		if r != 0 && r%u.rate == 0 {
			return strconv.FormatInt(int64(r/u.rate), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(r), 10)
}

// MarshalJSON writes the text form.
func (r BitRate) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads a string or a plain number; null changes nothing.
func (r *BitRate) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := ParseBitRate(unquote(data))
	if err == nil {
		*r = v
	}
	return err
}
