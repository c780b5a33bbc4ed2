package osthread

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDo(t *testing.T) {
	failure := errors.New("no")
	if err := Do(func() error { return failure }); err != failure {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			Do(func() error {
				if unix.Gettid() == unix.Getpid() {
					t.Error("on the main thread")
				}
				// Were the thread used again, another would find the new namespace.
				return unix.Unshare(unix.CLONE_NEWUTS)
			})
		})
	}
	all.Wait()
}
