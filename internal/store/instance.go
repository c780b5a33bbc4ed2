package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	// Reads a page of a list in half of the time of encoding/json (BenchmarkList500).
	jsonv1 "github.com/go-json-experiment/json/v1"

	"cis/api"
	"cis/internal/meter"
)

// Instance is one instance on record.
type Instance struct {
	api.Instance
	Run Run
}

// Run is what the engine remembers of an instance beside what users see.
type Run struct {
	// Number counts the runs: 1 at the create, one more with each start by a user.
	Number int `json:"number"`
	// Stop and Remove are what was asked for and not yet done.
	Stop   bool `json:"stop,omitempty"`
	Remove bool `json:"remove,omitempty"`
	// Again: once stopped, run again.
	Again bool `json:"again,omitempty"`
	// Next is the spec of the next run, where it is another than that of this one.
	Next *api.InstanceSpec `json:"next,omitempty"`
	// StopBy goes with Stop: when the grace period is over.
	StopBy *time.Time `json:"stopBy,omitempty"`
	// StopReason and StopMessage say why it was stopped.
	StopReason  string `json:"stopReason,omitempty"`
	StopMessage string `json:"stopMessage,omitempty"`
	// RemoveAfter removes the record at the end (run --rm).
	RemoveAfter bool `json:"removeAfter,omitempty"`
	// RegistryAuth of the request, for this and later pulls.
	RegistryAuth *api.RegistryAuth `json:"registryAuth,omitempty"`
	// Images are the digests by container name, once resolved.
	Images map[string]string `json:"images,omitempty"`
	// Sandbox is the ID of the current one.
	Sandbox string `json:"sandbox,omitempty"`
	// AgentEvent is the last event seen from the sandbox's agent.
	AgentEvent uint64 `json:"agentEvent,omitempty"`
	// Resize: the sandbox is not known to have the spec's size. Restarts are the attempts of
	// containers that end once it has.
	Resize   bool           `json:"resize,omitempty"`
	Restarts map[string]int `json:"restarts,omitempty"`
	// Clock is when programs ran in the current sandbox; nil: none did yet.
	Clock *meter.Clock `json:"clock,omitempty"`
	// LostSandboxes counts those that died in this run, for the back-off.
	LostSandboxes int `json:"lostSandboxes,omitempty"`
}

// ErrNotFound: there is no such record.
var ErrNotFound = errors.New("not on record")

// ErrNameTaken: another one of the account has the name.
var ErrNameTaken = errors.New("the name is taken")

// CreateInstance records a new instance, durably, with the client token that made
// it (nil: none), and sets its Revision. then is called before any later change of
// an instance is recorded.
func (s *Store) CreateInstance(ctx context.Context, in *Instance, token *Token, then func()) error {
	err := s.revise(ctx, s.durable, func(tx *sql.Tx, revision int64) error {
		in.Revision = revision
		doc, run, err := in.marshal()
		if err != nil {
			return err
		}
		if token != nil {
			if err := token.insert(tx, in.Account, in.ID); err != nil {
				return err
			}
		}
		_, err = tx.Exec("INSERT INTO instances (id,account,name,phase,created_at,revision,doc,run) VALUES (?,?,?,?,?,?,?,?)",
			in.ID, in.Account, in.Spec.Name, in.Status.Phase, in.CreatedAt.UnixNano(), revision, doc, run)
		return err
	}, then)
	if err != nil && strings.Contains(err.Error(), "instances.account") {
		return ErrNameTaken
	}
	if err != nil {
		return fmt.Errorf("record instance %s: %w", in.ID, err)
	}
	return nil
}

// UpdateInstance records a change, with what it means for the usage, and sets the
// instance's Revision. With durable
// it is on disk when this returns. then is as in CreateInstance.
func (s *Store) UpdateInstance(ctx context.Context, in *Instance, durable bool, then func()) error {
	db := s.relaxed
	if durable {
		db = s.durable
	}
	err := s.revise(ctx, db, func(tx *sql.Tx, revision int64) error {
		in.Revision = revision
		doc, run, err := in.marshal()
		if err != nil {
			return err
		}
		err = affected(tx.Exec("UPDATE instances SET phase=?, revision=?, doc=?, run=? WHERE id=?",
			in.Status.Phase, revision, doc, run, in.ID))
		if err != nil {
			return err
		}
		return in.meter(tx)
	}, then)
	if err != nil {
		return fmt.Errorf("record instance %s: %w", in.ID, err)
	}
	return nil
}

// DeleteInstance removes an instance from the record, durably, and sets its
// Revision to that of the removal. then is as in CreateInstance.
func (s *Store) DeleteInstance(ctx context.Context, in *Instance, then func()) error {
	err := s.revise(ctx, s.durable, func(tx *sql.Tx, revision int64) error {
		in.Revision = revision
		if err := affected(tx.Exec("DELETE FROM instances WHERE id=?", in.ID)); err != nil {
			return err
		}
		// It has ended before; nothing is metered without a record.
		_, err := tx.Exec("UPDATE usage SET ended_at=max(seen_at,started_at+1) WHERE instance=? AND ended_at IS NULL", in.ID)
		return err
	}, then)
	if err != nil {
		return fmt.Errorf("remove instance %s: %w", in.ID, err)
	}
	return nil
}

// Instance returns the one with an ID, whoever owns it.
func (s *Store) Instance(ctx context.Context, id string) (*Instance, error) {
	return one(s.query(ctx, "id=?", id))
}

// FindInstance finds an account's instance by name, by ID, or by an unambiguous beginning
// of an ID of at least 4 characters. More than one match is an Invalid api.Error.
func (s *Store) FindInstance(ctx context.Context, account, ref string) (*Instance, error) {
	mine, args := owned(account)
	found, err := s.query(ctx, mine+" AND (name=? OR id=?) LIMIT 2", append(args, ref, ref)...)
	if err == nil && len(found) == 0 && len(ref) >= 4 && strings.HasPrefix(ref, "i-") {
		found, err = s.query(ctx, mine+" AND id>=? AND id<? LIMIT 2", append(args, ref, ref+"\x7f")...)
	}
	if len(found) > 1 {
		return nil, api.Errorf(api.Invalid, "%q is more than one instance", ref).WithNext("give more of the ID, or the name and its account")
	}
	return one(found, err)
}

// byID finds rows by a list of IDs in JSON: one statement for any number, parsed once.
const byID = "SELECT wanted.key, revision, doc FROM json_each(?) AS wanted CROSS JOIN instances ON instances.id=wanted.value"

// InstancesByID returns what users see of those of the given IDs that are on record, in the order of the IDs.
func (s *Store) InstancesByID(ctx context.Context, ids []string) ([]api.Instance, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := s.byID.QueryContext(ctx, string(list))
	if err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	defer rows.Close()
	found := make([]*row, len(ids))
	for rows.Next() {
		var at int
		var r row
		if err := rows.Scan(&at, &r.revision, &r.doc); err != nil {
			return nil, fmt.Errorf("read instances: %w", err)
		}
		found[at] = &r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	return decode(slices.DeleteFunc(found, func(r *row) bool { return r == nil }), (*row).shown)
}

func one(found []*Instance, err error) (*Instance, error) {
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// owned is the condition that a row is an account's; the empty account means all of them.
func owned(account string) (where string, args []any) {
	if account == "" {
		return "true", nil
	}
	return "account=?", []any{account}
}

// ListInstances returns up to limit instances of an account (empty: of all) and of the
// given phases (none: all), oldest first, that come after the place (creation time and ID)
// given.
func (s *Store) ListInstances(ctx context.Context, account string, after time.Time, afterID string, phases []api.Phase, limit int) ([]*Instance, error) {
	where, args := owned(account)
	where, args = where+" AND (created_at,id)>(?,?)", append(args, nanos(after), afterID)
	if len(phases) > 0 {
		where += " AND phase IN (?" + strings.Repeat(",?", len(phases)-1) + ")"
		for _, p := range phases {
			args = append(args, p)
		}
	}
	return s.query(ctx, where+" ORDER BY created_at,id LIMIT ?", append(args, limit)...)
}

// CountInstances counts those of an account (empty: of all) by phase.
func (s *Store) CountInstances(ctx context.Context, account string) (map[api.Phase]int, error) {
	where, args := owned(account)
	rows, err := s.read.QueryContext(ctx, "SELECT phase, count(*) FROM instances WHERE "+where+" GROUP BY phase", args...)
	if err != nil {
		return nil, fmt.Errorf("count instances: %w", err)
	}
	defer rows.Close()
	counts := map[api.Phase]int{}
	for rows.Next() {
		var p api.Phase
		var n int
		if err := rows.Scan(&p, &n); err != nil {
			return nil, fmt.Errorf("count instances: %w", err)
		}
		counts[p] = n
	}
	return counts, rows.Err()
}

func (s *Store) query(ctx context.Context, where string, args ...any) ([]*Instance, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT revision, doc, run FROM instances WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	defer rows.Close()
	var found []*row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.revision, &r.doc, &r.run); err != nil {
			return nil, fmt.Errorf("read instances: %w", err)
		}
		found = append(found, &r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	return decode(found, (*row).instance)
}

// row is an instance as it is recorded.
type row struct {
	revision int64
	doc, run []byte
}

// share is how many rows one goroutine decodes: a page is there sooner with all cores.
const share = 25

func decode[T any](rows []*row, one func(*row) (T, error)) ([]T, error) {
	found, errs := make([]T, len(rows)), make([]error, len(rows))
	var work sync.WaitGroup
	for from := 0; from < len(rows); from += share {
		work.Go(func() {
			for i := from; i < min(from+share, len(rows)); i++ {
				found[i], errs[i] = one(rows[i])
			}
		})
	}
	work.Wait()
	return found, errors.Join(errs...)
}

// shown is what users see of it.
func (r *row) shown() (in api.Instance, err error) {
	if err := jsonv1.Unmarshal(r.doc, &in); err != nil {
		return in, fmt.Errorf("read instances: %w", err)
	}
	in.Revision = r.revision
	return in, nil
}

func (r *row) instance() (*Instance, error) {
	shown, err := r.shown()
	if err != nil {
		return nil, err
	}
	in := &Instance{Instance: shown}
	if err := jsonv1.Unmarshal(r.run, &in.Run); err != nil {
		return nil, fmt.Errorf("read instances: %w", err)
	}
	return in, nil
}

func (in *Instance) marshal() (doc, run string, err error) {
	d, err := json.Marshal(in.Instance)
	if err != nil {
		return "", "", err
	}
	r, err := json.Marshal(in.Run)
	return string(d), string(r), err
}

// nanos is t as it is recorded; the zero time comes before every other.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// affected turns an update of no row into ErrNotFound.
func affected(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrNotFound
}
