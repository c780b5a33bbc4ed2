package cli

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"cis/api"
)

func TestAccounts(t *testing.T) {
	l := newLab(t)
	create := "account create shop --quota-instances 2 --quota-cpu 1.5 --quota-memory 2Gi --quota-addresses none --quota-images 1Gi --quota-disks 0 " +
		"--size small=0.5,512Mi --size large=2,4Gi --budget 120.50 --budget-stop -l team=web"
	l.want(l.cis("", strings.Fields(create)...), 0, "shop\n", "")
	l.want(l.cis("", "account", "create", "shop"), 1, "", "exists")
	l.want(l.cis("", "account", "create", "Shop"), 1, "", "name: ")
	l.want(l.cis("", "account", "list", "-q"), 0, "default\nshop\n", "")
	if r := l.cis("", "account", "list"); !strings.HasPrefix(r.out, "NAME      STATE    INSTANCES   CPU   MEMORY   SIZES         BUDGET                      AGE\n") ||
		!strings.Contains(r.out, "shop      active   2           1.5   2Gi      small,large   120.50 a month, then stop   -\n") {
		t.Errorf("%s", r.out)
	}
	if r := l.cis("", "account", "inspect", "shop"); r.out != `Name:             shop
State:            active
Labels:           team=web
At most:
  instances:      2
  cpu:            1.5
  memory:         2Gi
  addresses:      any
  images:         1Gi
  disks:          0
Sizes:            small, 0.5 cpu, 512Mi
                  large, 2 cpu, 4Gi
Budget:           120.50 a month, then stop
` {
		t.Errorf("%s", r.out)
	}
	// What no flag names stays.
	l.want(l.cis("", "account", "update", "shop", "--quota-cpu", "none", "--budget-stop=false"), 0, "shop\n", "")
	if v := inspected[api.Account](t, l, "account", "shop"); *v.Quota.Instances != 2 || v.Quota.CPU != nil || len(v.Sizes) != 2 || v.Budget.Amount != "120.50" || v.Budget.Stop {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "account", "update", "shop", "--size", "none", "--budget", "7"), 0, "shop\n", "")
	if v := inspected[api.Account](t, l, "account", "shop"); len(v.Sizes) != 0 || v.Budget.Amount != "7" || *v.Quota.Images != api.GiB || v.Labels["team"] != "web" {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "account", "disable", "shop"), 0, "shop\n", "")
	if v := inspected[api.Account](t, l, "account", "shop"); !v.Disabled {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "account", "enable", "shop"), 0, "shop\n", "")
	l.want(l.cis("", "account", "rm", "shop", "none"), 1, "shop\n", `there is no account "none"`)
	for args, says := range map[string]string{
		"create x --quota-instances -1": `--quota-instances: "-1" is not a number from 0`, "create x --quota-memory much": "--quota-memory: ",
		"create x --size 1,2Gi": `--size: "1,2Gi" is not NAME=CPU,MEMORY`, "create x --size s=1,lots": "--size: ", "create x --budget-stop": "--budget-stop needs a --budget",
		"create x --budget none --budget-stop": "--budget-stop needs a --budget",
	} {
		l.want(l.cis("", append([]string{"account"}, strings.Fields(args)...)...), 2, "", says)
	}
	l.want(l.cis("", "account", "create", "x", "--budget", "lots"), 1, "", "budget.amount: must be a decimal number")
}

func TestQuota(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "account", "create", "shop", "--quota-instances", "4", "--quota-memory", "1Gi"), 0, "shop\n", "")
	l.want(l.cis("", "quota", "set", "shop", "--instances", "3", "--cpu", "4", "--memory", "none"), 0, "shop\n", "")
	l.want(l.cis("", "quota", "shop"), 0, `WHAT        USED   LIMIT   PERCENT
instances   1      3       33.3%
cpu         -      4       0.0%
memory      -      none    -
addresses   -      none    -
images      -      none    -
disks       -      none    -
`, "")
	// The account that the requests act for, and all of them.
	if r := l.cis("", "quota", "--account", "shop"); !strings.Contains(r.out, "33.3%") {
		t.Errorf("%+v", r)
	}
	if r := l.cis("", "quota", "-A"); !strings.HasPrefix(r.out, "ACCOUNT   WHAT ") || !strings.Contains(r.out, "default   cpu ") || !strings.Contains(r.out, "shop      cpu ") {
		t.Errorf("%+v", r)
	}
	var all []api.QuotaStatus
	if err := json.Unmarshal([]byte(l.cis("", "quota", "-A", "-o", "json").out), &all); err != nil || len(all) != 2 || *all[1].Limits.Instances != 3 {
		t.Errorf("%v: %+v", err, all)
	}
	l.want(l.cis("", "quota", "set", "shop"), 2, "", "there is no bound to change")
	l.want(l.cis("", "quota", "none"), 1, "", `there is no account "none"`)
	rows := quotaRows(&api.QuotaStatus{Budget: &api.Budget{Amount: "120.50"}, Spent: "30.125"})
	if got := strings.Join(rows[len(rows)-1], ", "); got != "budget of the month, 30.125, 120.50, 25.0%" {
		t.Error(got)
	}
}

func TestUsers(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "user", "create", "ann", "--role", "admin"), 0, "ann\n", "")
	l.want(l.cis("", "user", "create", "bob"), 0, "bob\n", "")
	l.want(l.cis("", "user", "create", "eve", "--role", "king"), 1, "", "role: must be one of viewer, operator, admin")
	l.want(l.cis("", "user", "update", "bob", "--role", "viewer"), 0, "bob\n", "")
	l.want(l.cis("", "user", "update", "bob"), 2, "", "use --role")
	l.want(l.cis("", "user", "disable", "bob", "ann"), 0, "bob\nann\n", "")
	l.want(l.cis("", "user", "enable", "ann"), 0, "ann\n", "")
	l.want(l.cis("", "user", "list"), 0, `NAME    ROLE     STATE      AGE
admin   admin    active     -
ann     admin    active     -
bob     viewer   disabled   -
`, "")
	l.want(l.cis("", "user", "rm", "bob"), 0, "bob\n", "")
	l.want(l.cis("", "user", "list", "-q"), 0, "admin\nann\n", "")
}

func TestKeys(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "account", "create", "shop"), 0, "shop\n", "")
	r := l.cis("", "key", "create", "--account", "shop", "--description", "for the test", "-o", "json")
	var k map[string]any
	if err := json.Unmarshal([]byte(r.out), &k); err != nil || k["secretId"] != "key-1" || k["secretKey"] != "secret-of-key-1" || k["account"] != "shop" || r.err != "" {
		t.Errorf("%v: %+v", err, r)
	}
	l.want(l.cis("", "key", "create"), 0, `Account:          default
User:             admin
Expires:          never
Secret ID:        key-2
Secret key:       secret-of-key-2
`, "The secret is shown only now")
	if r = l.cis("", "key", "create", "--user", "admin", "--token", "--expires", "90d"); !strings.Contains(r.out, "Token:            token-of-key-3\n") || !strings.Contains(r.out, "(in 89d)") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "key", "disable", "key-1"), 0, "key-1\n", "")
	l.want(l.cis("", "key", "update", "key-2", "--expires", "2h", "--description", "short"), 0, "key-2\n", "")
	if r = l.cis("", "key", "rotate", "key-3", "--overlap", "1d", "-o", "json"); !strings.Contains(r.out, `"token": "token-of-key-4"`) {
		t.Errorf("%+v", r)
	}
	if r = l.cis("", "key", "rotate", "key-3"); !strings.Contains(r.out, "Token:            token-of-key-5\n") || !strings.Contains(r.err, "shown only now") {
		t.Errorf("%+v", r)
	}
	r = l.cis("", "key", "list")
	r.out = regexp.MustCompile(`[0-9]s ago`).ReplaceAllString(r.out, "0s ago") // on a slow machine
	l.want(r, 0, `ID      TYPE      USER    STATE      EXPIRES   LAST USED   AGE   DESCRIPTION
key-1   signing   admin   disabled   never     never       -     for the test
key-2   signing   admin   active     in 119m   never       -     short
key-3   token     admin   expired    0s ago    never       -     -
key-4   token     admin   active     in 89d    never       -     -
key-5   token     admin   active     in 23h    never       -     -
`, "")
	if r = l.cis("", "key", "list", "-A"); !strings.HasPrefix(r.out, "ACCOUNT   ID ") || !strings.Contains(r.out, "\nshop      key-1 ") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "key", "enable", "key-1"), 0, "key-1\n", "")
	l.want(l.cis("", "key", "rm", "key-1", "key-9"), 1, "key-1\n", `there is no key "key-9"`)
	l.want(l.cis("", "key", "create", "--user", "nobody"), 1, "", `there is no user "nobody"`)
	l.want(l.cis("", "key", "create", "--expires", "soon"), 2, "", `--expires: "soon" is not a duration such as 90d`)
	l.want(l.cis("", "key", "create", "--expires", "2001-01-01"), 1, "", "expiresAt: must be a time to come")
	l.want(l.cis("", "key", "rotate", "key-2", "--overlap", "-1h"), 2, "", "--overlap: ")
	l.want(l.cis("", "key", "rotate", "key-2", "--overlap", "31d"), 1, "", "overlapSeconds: must be 0 to 2592000")
	l.want(l.cis("", "key", "update", "key-2"), 2, "", "use --expires or --description")
}

func TestAudit(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "account", "create", "shop"), 0, "shop\n", "")
	l.want(l.cis("", "user", "create", "ann", "--account", "shop"), 0, "ann\n", "")
	l.want(l.cis("", "user", "rm", "nobody"), 1, "", "there is no user")
	r := l.cis("", "audit")
	lines := strings.Split(r.out, "\n")
	if !strings.HasPrefix(lines[0], "TIME                   USER           ACTION          OBJECT          RESULT      FROM") ||
		!strings.Contains(lines[1], "Z   root           createAccount   accounts/shop   ok          socket uid 0   -") ||
		!strings.Contains(lines[2], "Z   default/root   createUser      users/ann       ok") ||
		!strings.Contains(lines[3], "removeUser      users/nobody    not_found   socket uid 0   there is no user") {
		t.Errorf("%s", r.out)
	}
	if r = l.cis("", "audit", "-A"); !strings.HasPrefix(r.out, "ACCOUNT   TIME ") || !strings.Contains(r.out, "\nshop      20") {
		t.Errorf("%s", r.out)
	}
	var all []api.AuditEntry
	if err := json.Unmarshal([]byte(l.cis("", "audit", "-o", "json", "--from", "1h").out), &all); err != nil || len(all) < 3 || all[1].Object != "users/ann" {
		t.Errorf("%v: %+v", err, all)
	}
	rows, err := csv.NewReader(strings.NewReader(l.cis("", "audit", "-o", "csv").out)).ReadAll()
	if err != nil || len(rows) < 4 || rows[0][0] != "id" || rows[2][2] != "shop" || rows[2][5] != "default" || rows[3][9] != "not_found" {
		t.Errorf("%v: %q", err, rows)
	}
	l.want(l.cis("", "audit", "--to", "2001-01-01", "-o", "json"), 0, "[]\n", "")
	l.want(l.cis("", "audit", "--from", "x"), 2, "", `--from: "x" is not a date`)
	l.want(l.cis("", "audit", "--follow", "--to", "1h"), 2, "", "leave --to out")
}

func TestFollowAudit(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "user", "create", "ann"), 0, "ann\n", "")
	p := l.start(nil, "audit", "--follow", "-o", "json")
	p.expect(`"object":"users/ann"`)
	l.want(l.cis("", "user", "create", "bob"), 0, "bob\n", "")
	p.expect(`"object":"users/bob"`)
	p.kill()
}

func TestActsForAnAccount(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "account", "create", "shop"), 0, "shop\n", "")
	shop := map[string]string{"CIS_ACCOUNT": "shop"}
	for _, tt := range []struct {
		env     map[string]string
		args    []string
		account string
	}{
		{nil, nil, "default"}, {shop, nil, "shop"}, {shop, []string{"--account", "default"}, "default"}, {shop, []string{"-A"}, "all of them"},
		{nil, []string{"--account", "*"}, "all of them"},
	} {
		r := l.cisEnv(tt.env, "", append([]string{"whoami"}, tt.args...)...)
		if want := "Account:          " + tt.account + "\nUser:             root\nRole:             admin\nKey:              none: you have the socket\n" +
			"May also:         act for every account: you run the service\n"; r.out != want {
			t.Errorf("%v %v: %+v", tt.env, tt.args, r)
		}
	}
	l.want(l.cis("", "whoami", "--account", "none"), 1, "", `there is no account "none"`)
	l.want(l.cis("", "whoami", "--account", "shop", "-A"), 2, "", "--account or --all-accounts, not both")
	for args, header := range map[string]string{"ps": "NAME", "events": "AGE", "vpc list": "NAME", "subnet list": "NAME", "user list": "NAME"} {
		if r := l.cis("", strings.Fields(args)...); !strings.HasPrefix(r.out, header) {
			t.Errorf("%s: %s", args, r.out)
		}
		if r := l.cis("", append(strings.Fields(args), "-A")...); !strings.HasPrefix(r.out, "ACCOUNT   "+header) {
			t.Errorf("%s -A: %s", args, r.out)
		}
	}
	for args, want := range map[string]string{"whoami --account ": "default\nshop", "quota ": "default\nshop", "quota set ": "default\nshop", "account update ": "shop",
		"user create x --role ": "viewer\noperator\nadmin", "key create --user ": "admin", "user rm ": "admin"} {
		words := strings.Split(args, " ")
		if r := l.cis("", append([]string{"__complete"}, words...)...); !strings.Contains(r.out, want) {
			t.Errorf("%s offers %q, want %q", args, r.out, want)
		}
	}
}

func TestKeyTexts(t *testing.T) {
	for _, tt := range []struct {
		key                    api.Key
		state, expires, lastly string
	}{
		{api.Key{}, "active", "never", "never"},
		{api.Key{Disabled: true, ExpiresAt: before(-time.Hour), LastUsedAt: before(59 * time.Minute)}, "disabled", "in 60m", "within 1h"},
		{api.Key{ExpiresAt: before(time.Hour), LastUsedAt: before(5 * time.Hour)}, "expired", "60m ago", "5h ago"},
	} {
		if s, e, u := keyState(&tt.key, testNow), expiryText(&tt.key, testNow), lastUseText(&tt.key, testNow); s != tt.state || e != tt.expires || u != tt.lastly {
			t.Errorf("%q, %q, %q; want %q, %q, %q", s, e, u, tt.state, tt.expires, tt.lastly)
		}
	}
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "0s": 0, "1h30m": 90 * time.Minute, "d": -1, "-1d": -1, "70000d": -1, "-1h": -1, "x": -1, "1.5d": -1} {
		if got, err := parseSpan(text); (want < 0) != (err != nil) || err == nil && got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}
