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
	mdnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A ruleset is what one nftables table of the inet family shall hold. Chains are
// constant; what comes and goes are elements of sets.
type ruleset struct {
	table  string
	sets   []*nftables.Set
	chains []chain
}

// A chain without a hook is one that others jump to.
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
		c, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(t.fd), nftables.WithSockOptions(holdTransaction))
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

// holdTransaction makes room for a whole transaction, which is sent at once.
func holdTransaction(c *mdnetlink.Conn) error { return c.SetWriteBuffer(maxTransaction) }

// maxTransaction is the length of the longest transaction, in bytes.
const maxTransaction = 32 << 20

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
	same, err := sameChains(c, table, have.chains, want.chains)
	if err != nil {
		return false, err
	}
	if !same {
		if err := replaceChains(c, table, have.chains, want.chains); err != nil {
			return false, err
		}
		changed = true
	}
	if !changed {
		return false, nil
	}
	return true, c.Flush()
}

func sameChains(c *nftables.Conn, table *nftables.Table, have map[string]*nftables.Chain, want []chain) (bool, error) {
	if len(have) != len(want) {
		return false, nil
	}
	for _, w := range want {
		h := have[w.name]
		if h == nil || !sameHook(h, w) {
			return false, nil
		}
		rules, err := c.GetRules(table, h)
		if err != nil {
			return false, err
		}
		marks, err := w.marks()
		if err != nil {
			return false, err
		}
		if !slices.EqualFunc(rules, marks, func(r *nftables.Rule, mark []byte) bool { return bytes.Equal(r.UserData, mark) }) {
			return false, nil
		}
	}
	return true, nil
}

// replaceChains adds to the transaction what puts the wanted chains in place of those
// that are there: all of them, since a chain that another jumps to cannot go alone.
func replaceChains(c *nftables.Conn, table *nftables.Table, have map[string]*nftables.Chain, want []chain) error {
	for _, h := range have {
		c.FlushChain(h)
	}
	for _, h := range have {
		c.DelChain(h)
	}
	made := make([]*nftables.Chain, len(want))
	for i, w := range want {
		ch := &nftables.Chain{Name: w.name, Table: table, Type: w.kind, Hooknum: w.hook, Priority: w.priority}
		if w.hook != nil {
			ch.Policy = &w.policy
		}
		made[i] = c.AddChain(ch)
	}
	for i, w := range want {
		marks, err := w.marks()
		if err != nil {
			return err
		}
		for j, r := range w.rules {
			c.AddRule(&nftables.Rule{Table: table, Chain: made[i], Exprs: r.exprs, UserData: marks[j]})
		}
	}
	return nil
}

func (c chain) marks() (marks [][]byte, err error) {
	for _, r := range c.rules {
		mark, err := r.mark()
		if err != nil {
			return nil, err
		}
		marks = append(marks, mark)
	}
	return marks, nil
}

func sameHook(have *nftables.Chain, want chain) bool {
	if want.hook == nil {
		return have.Hooknum == nil
	}
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

// An element of a set: a key, or, in a set of ranges, the first and the last key of a
// range in each field; of a map, with what the key stands for.
type element struct{ key, end, data []byte }

func keyed(keys ...[]byte) []element {
	es := make([]element, len(keys))
	for i, k := range keys {
		es[i].key = k
	}
	return es
}

func (e element) id() string { return string(e.key) + "-" + string(e.end) + "=" + string(e.data) }

// An edit is a change of a set's elements.
type edit struct {
	set      *nftables.Set
	del, add []element
}

// del takes elements out of sets of the table; an element, set or table that is not
// there is fine.
func (t *tables) del(table string, edits ...edit) error {
	err := t.apply(table, edits...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	// One that is not there has kept the others in.
	for _, e := range edits {
		for _, one := range e.del {
			if err := t.apply(table, edit{set: e.set, del: []element{one}}); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	}
	return nil
}

// maxElements of the longest keys fit a netlink attribute, which ends at 64 KiB.
const maxElements = 250

// apply makes the edits in one transaction, which takes before it puts.
func (t *tables) apply(table string, edits ...edit) error {
	return t.do(func(c *nftables.Conn) error {
		for _, e := range edits {
			s := inTable(e.set, table)
			for es := range slices.Chunk(e.del, maxElements) {
				if err := c.SetDeleteElements(s, asElements(es)); err != nil {
					return err
				}
			}
		}
		for _, e := range edits {
			s := inTable(e.set, table)
			for es := range slices.Chunk(e.add, maxElements) {
				if err := c.SetAddElements(s, asElements(es)); err != nil {
					return err
				}
			}
		}
		return c.Flush()
	})
}

// content is what a set shall hold: of the elements whose keys begin with scope, those
// that are wanted, and no others.
type content struct {
	set   *nftables.Set
	want  []element
	scope []byte
}

// keep makes sets hold what they shall, in one transaction.
func (t *tables) keep(table string, contents ...content) error {
	edits, err := t.diff(table, contents...)
	if err != nil || len(edits) == 0 {
		return err
	}
	return t.apply(table, edits...)
}

// diff is what turns what sets hold into what they shall.
func (t *tables) diff(table string, contents ...content) (edits []edit, err error) {
	for _, c := range contents {
		have, err := t.list(table, c.set)
		if err != nil {
			return nil, err
		}
		have = slices.DeleteFunc(have, func(e element) bool { return !bytes.HasPrefix(e.key, c.scope) })
		if del, add := without(have, c.want), without(c.want, have); len(del)+len(add) > 0 {
			edits = append(edits, edit{set: c.set, del: del, add: add})
		}
	}
	return edits, nil
}

// list returns what is in a set.
func (t *tables) list(table string, set *nftables.Set) (es []element, err error) {
	all, err := t.listWhole(table, set)
	for _, e := range all {
		es = append(es, element{key: e.Key, end: e.KeyEnd, data: e.Val})
	}
	return es, err
}

// listWhole returns what is in a set, with counters and times.
func (t *tables) listWhole(table string, set *nftables.Set) (es []nftables.SetElement, err error) {
	err = t.do(func(c *nftables.Conn) error {
		es, err = c.GetSetElements(inTable(set, table))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list set %s: %w", set.Name, err)
	}
	return es, nil
}

func inTable(set *nftables.Set, table string) *nftables.Set {
	s := *set
	s.Table = &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	return &s
}

func asElements(es []element) []nftables.SetElement {
	all := make([]nftables.SetElement, len(es))
	for i, e := range es {
		all[i] = nftables.SetElement{Key: e.key, KeyEnd: e.end, Val: e.data}
	}
	return all
}

// without returns the elements of a that are not in b.
func without(a, b []element) []element {
	in := make(map[string]bool, len(b))
	for _, e := range b {
		in[e.id()] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(e element) bool { return in[e.id()] })
}
