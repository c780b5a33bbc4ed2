package server

import (
	"net/http"
	"time"

	"cis/api"
)

func (s *Server) whoami(w http.ResponseWriter, r *request) error {
	c := callerOf(r.Context())
	return answer(w, api.Identity{Account: c.Account, User: c.User, Key: c.Key, Role: c.Role, System: c.System}, nil)
}

func (s *Server) listAccounts(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Accounts(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createAccount(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateAccount, func(a api.Account) string { return a.Name })
}

func (s *Server) getAccount(w http.ResponseWriter, r *request) error {
	a, err := s.Engine.Account(r.Context(), r.ref())
	return answer(w, a, err)
}

func (s *Server) updateAccount(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateAccount)
}

func (s *Server) removeAccount(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveAccount(r.Context(), r.ref()))
}

func (s *Server) getQuota(w http.ResponseWriter, r *request) error {
	q, err := s.Engine.Quota(r.Context(), r.ref())
	return answer(w, q, err)
}

func (s *Server) listUsers(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Users(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createUser(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateUser, func(u api.User) string { return u.Name })
}

func (s *Server) updateUser(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateUser)
}

func (s *Server) removeUser(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveUser(r.Context(), r.ref()))
}

func (s *Server) listKeys(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Keys(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createKey(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateKey, func(k api.Key) string { return k.ID })
}

func (s *Server) updateKey(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateKey)
}

func (s *Server) rotateKey(w http.ResponseWriter, r *request) error {
	var rotation api.KeyRotation
	if err := r.take(w, &rotation); err != nil {
		return err
	}
	k, err := s.Engine.RotateKey(r.Context(), r.ref(), rotation)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/keys/"+k.ID)
	return writeJSON(w, http.StatusCreated, k)
}

func (s *Server) removeKey(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveKey(r.Context(), r.ref()))
}

func (s *Server) listAudit(w http.ResponseWriter, r *request) error {
	opts := api.AuditOptions{From: arg[time.Time](r.query, "from"), To: arg[time.Time](r.query, "to"),
		Since: arg[int64](r.query, "since"), Limit: int(arg[int64](r.query, "limit"))}
	if !arg[bool](r.query, "watch") {
		list, err := s.Engine.Audit(r.Context(), opts)
		return answer(w, list, err)
	}
	lines := &lineWriter{w: w}
	if err := lines.begin(); err != nil {
		return err
	}
	err := s.Engine.WatchAudit(r.Context(), opts, func(e api.AuditEntry) error {
		return lines.send(api.WatchEvent[api.AuditEntry]{Type: api.WatchAdded, Object: e})
	})
	return endWatch[api.AuditEntry](s, lines, r, err)
}
