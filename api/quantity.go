package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// CPU is an amount of processor time in thousandths of a core. In text it is a
// decimal number of cores ("0.5", 2) or thousandths ("500m"), as in Kubernetes.
type CPU int64

// Bytes is an amount of memory or storage. In text it is a number with an
// optional suffix: Ki, Mi, Gi, Ti for powers of 1024, k, M, G, T for powers of 1000.
type Bytes int64

// Binary units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// ParseCPU reads a CPU amount. It accepts what can be said in whole thousandths
// and refuses negative and absurd amounts (over a million cores).
func ParseCPU(s string) (CPU, error) {
	num, milli := strings.CutSuffix(s, "m")
	f, err := parseDecimal(num)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount of cpu: use cores such as 0.5 or thousandths such as 500m", s)
	}
	if !milli {
		f *= 1000
	}
	if f > 1e9 || math.Abs(f-math.Round(f)) > 1e-6 {
		return 0, fmt.Errorf("%q is not an amount of cpu: it must be whole thousandths of a core, at most a million cores", s)
	}
	return CPU(math.Round(f)), nil
}

// byteUnits in the order they are tried: longer suffixes first.
var byteUnits = []struct {
	suffix string
	factor float64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"", 1},
}

// ParseBytes reads an amount of bytes, such as 256Mi or 1G, up to 8 Ei.
func ParseBytes(s string) (Bytes, error) {
	for _, u := range byteUnits {
		num, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		f, err := parseDecimal(num)
		if err != nil {
			break
		}
		if f *= u.factor; f != math.Trunc(f) || f >= math.MaxInt64 {
			return 0, fmt.Errorf("%q is not a whole number of bytes below 8Ei", s)
		}
		return Bytes(f), nil
	}
	return 0, fmt.Errorf("%q is not an amount of bytes: use a number with Ki, Mi, Gi, Ti, k, M, G or T", s)
}

// parseDecimal reads plain decimal digits with at most one point: no sign,
// exponent, hexadecimal or underscore.
func parseDecimal(s string) (float64, error) {
	if s == "" || len(s) > 32 || strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// String gives cores as a decimal number.
func (c CPU) String() string {
	return strconv.FormatFloat(float64(c)/1000, 'f', -1, 64)
}

// Cores as a floating-point number.
func (c CPU) Cores() float64 { return float64(c) / 1000 }

// String gives the largest binary unit that divides the amount.
func (b Bytes) String() string {
	for _, u := range []struct {
		suffix string
		size   Bytes
	}{{"Ti", TiB}, {"Gi", GiB}, {"Mi", MiB}, {"Ki", KiB}} {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalJSON writes the text form.
func (c CPU) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// MarshalJSON writes the text form.
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(b.String()) }

// UnmarshalJSON reads a string or a plain number of cores; null changes nothing.
func (c *CPU) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := ParseCPU(unquote(data))
	if err == nil {
		*c = v
	}
	return err
}

// UnmarshalJSON reads a string or a plain number of bytes; null changes nothing.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := ParseBytes(unquote(data))
	if err == nil {
		*b = v
	}
	return err
}

// unquote takes the text of a JSON string, or the number as it stands.
func unquote(data []byte) string {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s
	}
	return string(data)
}
