// Package collect has kubectl collect garbage seldom, from before the packages of Kubernetes
// are initialized, which by the order of their paths come later: most calls end before any
// would be collected.
package collect

import (
	"os"
	"runtime/debug"
)

// percent is how much memory grows before garbage is collected.
const percent = 400

func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
