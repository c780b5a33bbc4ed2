package network

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ledger is what a set or map of a table holds, as far as we know: keys, and a map's
// values. The key of a range is its two ends. With it a change that is none costs
// nothing.
type ledger struct {
	set  *nftables.Set
	have map[string]string
}

func newLedger(s *nftables.Set) *ledger { return &ledger{s, map[string]string{}} }

// A change puts a key, with its value, into a set or map, or takes it out.
type change struct {
	in         *ledger
	key, value string
	out        bool
}

func (l *ledger) put(key, value string) change { return change{in: l, key: key, value: value} }
func (l *ledger) del(key string) change        { return change{in: l, key: key, out: true} }

// needed says whether the change makes a difference.
func (c change) needed() bool {
	old, there := c.in.have[c.key]
	return there == c.out || there && old != c.value
}

// edit is the change as one of a set. A value cannot be changed in place.
func (c change) edit() edit {
	e := edit{set: c.in.set}
	if _, there := c.in.have[c.key]; there {
		e.del = []element{c.in.element(c.key, "")}
	}
	if !c.out {
		e.add = []element{c.in.element(c.key, c.value)}
	}
	return e
}

func (l *ledger) element(key, value string) element {
	e := element{key: []byte(key), data: []byte(value)}
	if l.set.Interval {
		e.key, e.end = e.key[:len(key)/2], e.key[len(key)/2:]
	}
	return e
}

// note remembers a change that was made.
func (c change) note() {
	if c.out {
		delete(c.in.have, c.key)
	} else {
		c.in.have[c.key] = c.value
	}
}

// read learns what the kernel has. What is not there holds nothing.
func (t *tables) read(table string, ls ...*ledger) error {
	var live liveTable
	err := t.do(func(conn *nftables.Conn) (err error) {
		live, err = listTable(conn, &nftables.Table{Name: table, Family: nftables.TableFamilyINet})
		return err
	})
	if err != nil {
		return fmt.Errorf("list table %s: %w", table, err)
	}
	for _, l := range ls {
		clear(l.have)
		if !live.sets[l.set.Name] {
			continue
		}
		es, err := t.list(table, l.set)
		if err != nil {
			return err
		}
		for _, e := range es {
			l.have[string(e.key)+string(e.end)] = string(e.data)
		}
	}
	return nil
}

// change makes the changes in one transaction. Keys are distinct.
func (t *tables) change(table string, changes ...change) error {
	err := t.tryChange(table, changes)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		// Somebody else was there. Then see what is.
		for _, c := range changes {
			if err := t.read(table, c.in); err != nil {
				return err
			}
		}
		err = t.tryChange(table, changes)
	}
	if err != nil {
		return fmt.Errorf("change table %s: %w", table, err)
	}
	return nil
}

func (t *tables) tryChange(table string, changes []change) error {
	var edits []edit
	for _, c := range changes {
		if c.needed() {
			edits = append(edits, c.edit())
		}
	}
	if len(edits) == 0 {
		return nil
	}
	if err := t.apply(table, edits...); err != nil {
		return err
	}
	for _, c := range changes {
		c.note()
	}
	return nil
}
