package network

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// contents is what a set or map of a table holds, as far as we know: keys, and a map's
// values. The key of an interval is its two ends. With it an edit that changes nothing
// costs nothing.
type contents struct {
	of   *nftables.Set
	have map[string]string
}

func contentsOf(s *nftables.Set) *contents { return &contents{s, map[string]string{}} }

// An edit puts a key, with its value, into a set or map, or takes it out.
type edit struct {
	in         *contents
	key, value string
	out        bool
}

func (c *contents) put(key, value string) edit { return edit{in: c, key: key, value: value} }
func (c *contents) del(key string) edit        { return edit{in: c, key: key, out: true} }

// needed says whether the edit changes what the kernel has.
func (e edit) needed() bool {
	old, there := e.in.have[e.key]
	return there == e.out || there && old != e.value
}

// note remembers an edit that was made.
func (e edit) note() {
	if e.out {
		delete(e.in.have, e.key)
	} else {
		e.in.have[e.key] = e.value
	}
}

// read learns what the kernel has. What is not there holds nothing.
func (t *tables) read(table string, cs ...*contents) error {
	return t.do(func(conn *nftables.Conn) error {
		live, err := listTable(conn, &nftables.Table{Name: table, Family: nftables.TableFamilyINet})
		if err != nil {
			return err
		}
		for _, c := range cs {
			clear(c.have)
			if !live.sets[c.of.Name] {
				continue
			}
			elements, err := conn.GetSetElements(c.in(table))
			if err != nil {
				return fmt.Errorf("read %s: %w", c.of.Name, err)
			}
			for _, e := range elements {
				c.have[string(e.Key)+string(e.KeyEnd)] = string(e.Val)
			}
		}
		return nil
	})
}

func (c *contents) in(table string) *nftables.Set {
	s := *c.of
	s.Table = &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	return &s
}

// edit makes the edits in one transaction. Keys are distinct.
func (t *tables) edit(table string, edits ...edit) error {
	err := t.tryEdit(table, edits)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) {
		// Somebody else changed them. Then see what is there.
		for _, e := range edits {
			if err := t.read(table, e.in); err != nil {
				return err
			}
		}
		err = t.tryEdit(table, edits)
	}
	if err != nil {
		return fmt.Errorf("edit nftables table %s: %w", table, err)
	}
	return nil
}

func (t *tables) tryEdit(table string, edits []edit) error {
	var needed []edit
	for _, e := range edits {
		if e.needed() {
			needed = append(needed, e)
		}
	}
	if len(needed) == 0 {
		return nil
	}
	err := t.do(func(conn *nftables.Conn) error {
		for _, e := range needed {
			if err := e.add(conn, table); err != nil {
				return err
			}
		}
		return conn.Flush()
	})
	if err != nil {
		return err
	}
	for _, e := range needed {
		e.note()
	}
	return nil
}

// add adds the edit to the connection's transaction. A value cannot be changed in
// place.
func (e edit) add(conn *nftables.Conn, table string) error {
	s := e.in.in(table)
	element := []nftables.SetElement{{Key: []byte(e.key)}}
	if s.Interval {
		element[0].Key, element[0].KeyEnd = []byte(e.key[:len(e.key)/2]), []byte(e.key[len(e.key)/2:])
	}
	if _, there := e.in.have[e.key]; there {
		if err := conn.SetDeleteElements(s, element); err != nil {
			return err
		}
	}
	if e.out {
		return nil
	}
	element[0].Val = []byte(e.value)
	return conn.SetAddElements(s, element)
}
