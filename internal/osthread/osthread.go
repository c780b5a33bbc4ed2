// Package osthread runs functions that change the thread they run on, such as its
// network namespace, where the change can hurt nobody else.
package osthread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs fn on a thread of its own, which ends afterwards, and returns fn's error.
// A process that fn starts inherits what fn has changed.
func Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end: hold it, so that another is taken.
			done <- Do(fn)
			runtime.UnlockOSThread()
			return
		}
		done <- fn()
		// The thread ends with its goroutine, because it is still locked.
	}()
	return <-done
}
