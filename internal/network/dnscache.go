package network

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Bounds of the cache. Times bound what an upstream server asks for.
const (
	maxCached      = 4096
	maxCachedBytes = 8 << 10 // of one answer
	maxPositiveTTL = 5 * time.Minute
	maxNegativeTTL = 30 * time.Second
)

// cacheKey is everything of a query that its answer depends on.
type cacheKey struct {
	name  string // lower case
	qtype uint16
	do    bool // wants DNSSEC records
	cd    bool // wants them unchecked
}

func keyOf(req *dns.Msg) cacheKey {
	q := req.Question[0]
	opt := req.IsEdns0()
	return cacheKey{name: strings.ToLower(q.Name), qtype: q.Qtype, do: opt != nil && opt.Do(), cd: req.CheckingDisabled}
}

// cache keeps upstream's answers, least recently used out first.
type cache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[cacheKey]*list.Element
	order   list.List // of *cached, most recently used first
}

type cached struct {
	key     cacheKey
	msg     *dns.Msg
	stored  time.Time
	expires time.Time
}

func newCache(now func() time.Time) *cache {
	return &cache{now: now, entries: map[cacheKey]*list.Element{}}
}

// get returns a copy of the answer, with TTLs that count down, or nil.
func (c *cache) get(key cacheKey) *dns.Msg {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	entry := e.Value.(*cached)
	now := c.now()
	if !now.Before(entry.expires) {
		c.remove(e)
		return nil
	}
	c.order.MoveToFront(e)
	msg := entry.msg.Copy()
	age := uint32(now.Sub(entry.stored) / time.Second)
	for _, section := range [][]dns.RR{msg.Answer, msg.Ns, msg.Extra} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl -= min(h.Ttl, age)
		}
	}
	return msg
}

// put keeps a copy of the answer for as long as it says, within the bounds.
func (c *cache) put(key cacheKey, msg *dns.Msg) {
	ttl := lifetime(msg)
	if ttl <= 0 || msg.Len() > maxCachedBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	now := c.now()
	c.entries[key] = c.order.PushFront(&cached{key: key, msg: msg.Copy(), stored: now, expires: now.Add(ttl)})
	for c.order.Len() > maxCached {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	c.order.Remove(e)
	delete(c.entries, e.Value.(*cached).key)
}

// lifetime is how long an answer may be kept; not at all if it is a failure or, of
// nothing, without the SOA record that would say how long (RFC 2308 5).
func lifetime(msg *dns.Msg) time.Duration {
	if msg.Truncated {
		return 0
	}
	switch {
	case msg.Rcode == dns.RcodeSuccess && len(msg.Answer) > 0:
		ttl := maxPositiveTTL
		for _, rr := range msg.Answer {
			ttl = min(ttl, seconds(rr.Header().Ttl))
		}
		return ttl
	case msg.Rcode == dns.RcodeSuccess, msg.Rcode == dns.RcodeNameError:
		for _, rr := range msg.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				return min(maxNegativeTTL, seconds(soa.Hdr.Ttl), seconds(soa.Minttl))
			}
		}
	}
	return 0
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }
