package server_test

import (
	"net/http"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/account"
	"cis/internal/server"
)

// by makes requests as a user of a role.
func by(c account.Caller) server.Authenticate {
	return func(*http.Request) (account.Caller, error) { return c, nil }
}

func TestBearer(t *testing.T) {
	w := newWorld(nil)
	k, err := w.engine.CreateKey(account.With(t.Context(), account.Caller{Account: "default"}), api.Key{User: "admin", Type: api.KeyToken})
	if err != nil {
		t.Fatal(err)
	}
	auth := server.Bearer(w.engine.TokenCaller)
	for header, known := range map[string]bool{"Bearer " + k.Token: true, "bearer  " + k.Token: true, "Bearer x": false, "Basic " + k.Token: false,
		k.Token: false, "": false, "Bearer ": false} {
		c, err := auth(&http.Request{Header: http.Header{"Authorization": {header}}})
		if known != (err == nil) || known && c.Key != k.ID || !known && api.CodeOf(err) != api.Unauthenticated {
			t.Errorf("%q gives %+v, %v", header, c, err)
		}
	}
}

// Every route asks for a role, and each role is let in where it is enough.
func TestRoles(t *testing.T) {
	for _, route := range server.Routes() {
		for _, c := range []account.Caller{{Role: api.RoleViewer}, {Role: api.RoleOperator}, {Role: api.RoleAdmin}, {Role: "other"}} {
			c.Account, c.User = "us", "u"
			w := newWorld(by(c))
			target := strings.NewReplacer("{ref}", "x", "{name}", "x", "{ref...}", "x").Replace(route.Path)
			rec := w.do(route.Method, target, "")
			manages := strings.HasPrefix(route.Path, "/v1/keys") || strings.HasPrefix(route.Path, "/v1/audit") ||
				strings.HasPrefix(route.Path, "/v1/users") && route.Method != "GET"
			intrudes := route.Name == "execInstance" || route.Name == "attachInstance" || route.Name == "forwardPort" || route.Name == "copyOut"
			serves := strings.HasPrefix(route.Path, "/v1/accounts") && route.Method != "GET" || route.Path == "/metrics"
			may := route.Path == "/healthz" || c.Role != "other" && !serves && (c.Role == api.RoleAdmin || !manages &&
				(c.Role == api.RoleOperator || route.Method == "GET" && !intrudes))
			if denied := rec.Code == http.StatusForbidden; denied == may {
				t.Errorf("%s of %s by %q: %d", route.Method, route.Path, c.Role, rec.Code)
			}
		}
	}
}

func TestAccountHeader(t *testing.T) {
	own := account.Caller{Account: "us", User: "u", Key: "k", Role: api.RoleAdmin}
	root := account.Caller{Account: account.Default, User: "admin", Role: api.RoleAdmin, System: true}
	for _, tt := range []struct {
		caller account.Caller
		header string
		status int
		acts   string
	}{
		{own, "", 200, `"account":"us"`}, {own, "us", 200, `"account":"us"`}, {own, "default", 403, ""}, {own, "*", 403, ""},
		{root, "", 200, `"account":"default"`}, {root, "us", 200, `"account":"us"`}, {root, "*", 200, `"account":""`}, {root, "none", 404, ""},
	} {
		w := newWorld(by(tt.caller))
		if _, err := w.engine.CreateAccount(t.Context(), api.Account{Name: "us"}); err != nil {
			t.Fatal(err)
		}
		rec := w.do("GET", "/v1/whoami", "", func(r *http.Request) { r.Header.Set("Cis-Account", tt.header) })
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.acts) {
			t.Errorf("%s for %q: %d, %s", tt.caller.Account, tt.header, rec.Code, rec.Body)
		}
	}
}

func TestAudit(t *testing.T) {
	root := account.Caller{Account: account.Default, User: "ann", Key: "key-1", Role: api.RoleAdmin, System: true}
	w := newWorld(by(root))
	if _, err := w.engine.CreateAccount(t.Context(), api.Account{Name: "us"}); err != nil {
		t.Fatal(err)
	}
	us := func(r *http.Request) { r.Header.Set("Cis-Account", "us"); r.RemoteAddr = "192.0.2.1:99" }
	w.do("POST", "/v1/instances", `{"name":"web","containers":[{"image":"a"}]}`, us)
	w.do("GET", "/v1/instances", "", us)
	w.do("DELETE", "/v1/instances/none", "", us)
	w.do("POST", "/v1/instances?x=1", "", us)
	w.do("GET", "/v1/instances/web/exec?command=x", "", us)
	w.do("POST", "/v1/users", `{"name":"bob"}`, us)
	var got []string
	for _, e := range w.engine.Noted {
		if e.Account != "us" || e.CallerAccount != "default" || e.User != "ann" || e.Key != "key-1" || e.From != "192.0.2.1" || e.RequestID == "" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		got = append(got, strings.Join([]string{e.Action, e.Object, e.Result}, " "))
	}
	want := []string{"createInstance instances/i-", "removeInstance instances/none not_found", "createInstance instances invalid",
		"execInstance instances/web/exec begun", "execInstance instances/web/exec invalid", "createUser users/bob ok"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}
