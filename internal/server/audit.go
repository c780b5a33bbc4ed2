package server

import (
	"net/http"
	"strings"
	"time"

	"cis/api"
)

// audited tells whether calls of a route go on record: those that change something or look
// into an instance.
func (r *Route) audited() bool {
	return r.Method != http.MethodGet || r.needs() != api.RoleViewer
}

// begun is the result of what goes on after its reply began.
const begun = "begun"

// note puts a call of a route on record, as it ended, or as it begins.
func (s *Server) note(route *Route, w http.ResponseWriter, r *http.Request, c caller, result string, err error) {
	denied := api.CodeOf(err) == api.Forbidden
	if !route.audited() && !denied {
		return
	}
	entry := api.AuditEntry{Time: time.Now().UTC(), Account: c.Account, User: c.User, Key: c.Key, From: origin(r),
		Action: route.Name, Object: objectOf(w, r), Result: result, RequestID: requestID(r.Context())}
	if c.own != c.Account {
		entry.CallerAccount = c.own
	}
	if err != nil {
		e := toAPI(r.Context(), err)
		entry.Result, entry.Message = string(e.Code), e.Message
	}
	s.Engine.Note(r.Context(), entry)
}

// objectOf is what a call was about: what it made, or what its path names.
func objectOf(w http.ResponseWriter, r *http.Request) string {
	path := w.Header().Get("Location")
	if path == "" {
		path = r.URL.Path
	}
	return strings.TrimPrefix(path, "/v1/")
}
