package qemu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"time"
)

// builderPrefix begins the IDs of VMs that are no sandboxes: they are booted to make
// templates, or to see whether KVM works.
const builderPrefix = "t-"

// withBuilder boots a VM that is no sandbox, for as long as use runs.
func (m *Machine) withBuilder(ctx context.Context, l launch, use func(*vm) error) (err error) {
	var random [6]byte
	rand.Read(random[:])
	l.id = builderPrefix + hex.EncodeToString(random[:])
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, m.destroy(after, l.id))
	}()
	if err := os.Mkdir(m.dir(l.id), 0o700); err != nil {
		return err
	}
	v, err := m.launch(ctx, l)
	if err != nil {
		return err
	}
	if err := use(v); err != nil {
		return m.explain(ctx, v, err)
	}
	return nil
}

// destroyBuilders ends those that were left behind.
func (m *Machine) destroyBuilders(ctx context.Context) error {
	ids, err := m.ids()
	for _, id := range ids {
		if strings.HasPrefix(id, builderPrefix) {
			err = errors.Join(err, m.destroy(ctx, id))
		}
	}
	return err
}
