package e2e

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
)

const prices = `
currency: EUR
vcpuHour: 7200
`

// TestUsageOutlivesKills kills cisd while instances run and while one ends: each second
// of theirs is told once, and costs what the list says.
func TestUsageOutlivesKills(t *testing.T) {
	list := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(list, []byte(prices), 0o600); err != nil {
		t.Fatal(err)
	}
	ownStage(t, func(e *env) {
		stays := e.start("--cpu", "0.5", "-l", "team=a", "--", "sleep", "1000")
		ends := e.start("--cpu", "0.5", "-l", "team=a", "--", "sh", "-c", "sleep 4; exit 3")
		e.when(stays, "running", running)
		e.when(ends, "running", running)
		for range 3 {
			e.crash()
		}
		if err := e.stage.Kill(); err != nil {
			e.Fatal(err)
		}
		time.Sleep(5 * time.Second) // it ends meanwhile
		e.again()
		ended := e.ended(ends)
		e.ok("stop", "-t", "0", stays)
		first := e.ended(stays)
		e.crash()
		e.equal("seconds of what ended meanwhile", e.usage(ends).Total.Seconds, shown(length(ended), 3))
		e.equal("seconds of what was stopped", e.usage(stays).Total.Seconds, shown(length(first), 3))

		e.ok("start", stays)
		e.when(stays, "running", running)
		e.crash()
		e.ok("stop", "-t", "0", stays)
		second := e.ended(stays)
		all := length(first) + length(second)
		used := e.usage(stays, "--by", "label", "--label", "team")
		e.equal("seconds of two runs", used.Total.Seconds, shown(all, 3))
		e.equal("cost", used.Total.Cost, shown(all, 6)) // half a core at two a second
		e.equal("label", used.Items[0].Key, "a")
		e.equal("again after a while", e.usage(stays).Total, used.Total)
		e.ok("rm", stays)
		e.equal("after the removal", e.usage(second.ID).Total, used.Total)
	}, "-prices", list)
}

// usage is what an instance has used.
func (e *env) usage(args ...string) (u api.Usage) {
	e.Helper()
	out := e.ok(append([]string{"usage", "--from", "1h", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &u); err != nil {
		e.Fatalf("%v: %s", err, out)
	}
	return u
}

// length is how long an instance ran, by its own record.
func length(in api.Instance) time.Duration { return in.Status.FinishedAt.Sub(*in.Status.StartedAt) }

// shown are seconds as usage shows them.
func shown(d time.Duration, digits int) api.Decimal {
	s := big.NewRat(d.Nanoseconds(), int64(time.Second)).FloatString(digits)
	return api.Decimal(strings.TrimRight(strings.TrimRight(s, "0"), "."))
}
