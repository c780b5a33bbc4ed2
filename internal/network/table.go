package network

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// A ruleset is what one nftables table of the inet family shall hold. Chains are
// constant; what comes and goes are elements of sets.
type ruleset struct {
	table  string
	sets   []*nftables.Set
	chains []chain
}

type chain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	policy   nftables.ChainPolicy
	rules    []rule
}

// A rule says why it is there; the words show as its comment in `nft list`.
type rule struct {
	why   string
	exprs []expr.Any
}

// mark is the rule's user data: its comment, which ends in a digest of its
// expressions. The kernel cannot change a rule in place, so a rule that carries the
// mark is the rule that was made with it.
func (r rule) mark() ([]byte, error) {
	h := sha256.New()
	for _, e := range r.exprs {
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, err
		}
		h.Write(b)
	}
	comment := fmt.Sprintf("%s #%x", r.why, h.Sum(nil)[:4])
	return userdata.AppendString(nil, userdata.TypeComment, comment), nil
}

// tables speaks to nftables in one namespace.
type tables struct {
	fd int

	mu   sync.Mutex
	conn *nftables.Conn // nil until used and after an error
}

func (t *tables) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop()
}

func (t *tables) drop() {
	if t.conn != nil {
		t.conn.CloseLasting()
		t.conn = nil
	}
}

// do runs f with a connection. After an error the connection is dropped, because it
// may hold half a transaction or answers that nobody read.
func (t *tables) do(f func(*nftables.Conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		c, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(t.fd))
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		t.conn = c
	}
	err := f(t.conn)
	if err != nil {
		t.drop()
	}
	return err
}

// ensure makes the table hold the ruleset. Chains that differ are replaced in one
// transaction, so that no packet meets half a ruleset; sets keep their elements. It
// says whether anything had to change.
func (t *tables) ensure(want ruleset) (changed bool, err error) {
	err = t.do(func(c *nftables.Conn) error {
		changed, err = ensureRuleset(c, want)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ensure nftables table %s: %w", want.table, err)
	}
	return changed, nil
}

func ensureRuleset(c *nftables.Conn, want ruleset) (changed bool, err error) {
	table := &nftables.Table{Name: want.table, Family: nftables.TableFamilyINet}
	have, err := listTable(c, table)
	if err != nil {
		return false, err
	}
	if !have.exists {
		c.AddTable(table)
		changed = true
	}
	for i, s := range want.sets {
		if have.sets[s.Name] {
			continue
		}
		set := *s
		set.Table, set.ID = table, uint32(i+1)
		if err := c.AddSet(&set, nil); err != nil {
			return false, err
		}
		changed = true
	}
	for name, h := range have.chains {
		if !slices.ContainsFunc(want.chains, func(w chain) bool { return w.name == name }) {
			c.DelChain(h)
			changed = true
		}
	}
	for _, w := range want.chains {
		same, err := ensureChain(c, table, have.chains[w.name], w)
		if err != nil {
			return false, err
		}
		changed = changed || !same
	}
	if !changed {
		return false, nil
	}
	return true, c.Flush()
}

// ensureChain adds to the transaction what turns the chain have, which may be nil,
// into want.
func ensureChain(c *nftables.Conn, table *nftables.Table, have *nftables.Chain, want chain) (same bool, err error) {
	marks := make([][]byte, len(want.rules))
	for i, r := range want.rules {
		if marks[i], err = r.mark(); err != nil {
			return false, err
		}
	}
	if have != nil {
		if sameHook(have, want) {
			rules, err := c.GetRules(table, have)
			if err != nil {
				return false, err
			}
			if slices.EqualFunc(rules, marks, func(r *nftables.Rule, mark []byte) bool { return bytes.Equal(r.UserData, mark) }) {
				return true, nil
			}
		}
		c.DelChain(have)
	}
	ch := c.AddChain(&nftables.Chain{
		Name: want.name, Table: table, Type: want.kind, Hooknum: want.hook, Priority: want.priority, Policy: &want.policy,
	})
	for i, r := range want.rules {
		c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: r.exprs, UserData: marks[i]})
	}
	return false, nil
}

func sameHook(have *nftables.Chain, want chain) bool {
	return have.Hooknum != nil && *have.Hooknum == *want.hook &&
		have.Priority != nil && *have.Priority == *want.priority &&
		have.Type == want.kind && have.Policy != nil && *have.Policy == want.policy
}

type liveTable struct {
	exists bool
	sets   map[string]bool
	chains map[string]*nftables.Chain
}

func listTable(c *nftables.Conn, table *nftables.Table) (liveTable, error) {
	lt := liveTable{sets: map[string]bool{}, chains: map[string]*nftables.Chain{}}
	all, err := c.ListTablesOfFamily(table.Family)
	if err != nil {
		return lt, err
	}
	lt.exists = slices.ContainsFunc(all, func(t *nftables.Table) bool { return t.Name == table.Name })
	if !lt.exists {
		return lt, nil
	}
	sets, err := c.GetSets(table)
	if err != nil {
		return lt, err
	}
	for _, s := range sets {
		lt.sets[s.Name] = true
	}
	chains, err := c.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return lt, err
	}
	for _, ch := range chains {
		if ch.Table.Name == table.Name {
			lt.chains[ch.Name] = ch
		}
	}
	return lt, nil
}

// remove deletes a table; one that is not there is fine.
func (t *tables) remove(name string) error {
	return t.do(func(c *nftables.Conn) error {
		table := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
		have, err := listTable(c, table)
		if err != nil || !have.exists {
			return err
		}
		c.DelTable(table)
		return c.Flush()
	})
}

// add puts keys into a set of the table; keys that are in it are fine.
func (t *tables) add(table string, set *nftables.Set, keys ...[]byte) error {
	return t.change(table, set, keys, nil)
}

// del takes a key out of a set of the table; a key, set or table that is not there
// is fine.
func (t *tables) del(table string, set *nftables.Set, key []byte) error {
	err := t.change(table, set, nil, [][]byte{key})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// maxElements of the longest keys fit a netlink attribute, which ends at 64 KiB.
const maxElements = 500

// change adds and removes keys of a set in one transaction.
func (t *tables) change(table string, set *nftables.Set, add, del [][]byte) error {
	s := *set
	s.Table = &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	return t.do(func(c *nftables.Conn) error {
		for keys := range slices.Chunk(del, maxElements) {
			if err := c.SetDeleteElements(&s, elements(keys)); err != nil {
				return err
			}
		}
		for keys := range slices.Chunk(add, maxElements) {
			if err := c.SetAddElements(&s, elements(keys)); err != nil {
				return err
			}
		}
		return c.Flush()
	})
}

// keep makes the set hold the wanted keys and no others.
func (t *tables) keep(table string, set *nftables.Set, want [][]byte) error {
	have, err := t.list(table, set)
	if err != nil {
		return err
	}
	add := without(want, have)
	del := without(have, want)
	if len(add)+len(del) == 0 {
		return nil
	}
	return t.change(table, set, add, del)
}

// list returns the keys in a set.
func (t *tables) list(table string, set *nftables.Set) (keys [][]byte, err error) {
	s := *set
	s.Table = &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	err = t.do(func(c *nftables.Conn) error {
		elems, err := c.GetSetElements(&s)
		for _, e := range elems {
			keys = append(keys, e.Key)
		}
		return err
	})
	return keys, err
}

func elements(keys [][]byte) []nftables.SetElement {
	es := make([]nftables.SetElement, len(keys))
	for i, k := range keys {
		es[i].Key = k
	}
	return es
}

// without returns the keys of a that are not in b.
func without(a, b [][]byte) [][]byte {
	in := make(map[string]bool, len(b))
	for _, k := range b {
		in[string(k)] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(k []byte) bool { return in[string(k)] })
}
