package image

import (
	"fmt"
	"strings"
	"testing"

	"cis/api"
)

const testPasswd = `# a comment
root:x:0:0:root:/root:/bin/sh
app:x:1000:100:an app:/home/app:/bin/sh
app:x:2000:200:a second line:/other:/bin/sh
nohome:x:1001:101::
short:x:1002:102
broken:x:many:1:::
:x:1:1:::
1234:x:5:5:a name of digits:/five:/bin/sh
crlf:x:1003:103::/crlf:/bin/sh` + "\r\n"

const testGroup = `root:x:0:
users:x:100:app
wheel:x:10:root,app,nohome
docker:x:9:app
app:x:999:
twice:x:10:app
broken:x:many:app
short:x:77
`

func TestResolveUser(t *testing.T) {
	for spec, want := range map[string]string{
		"":             "0:0 [10] root /root",
		":":            "0:0 [10] root /root",
		"root":         "0:0 [10] root /root",
		"app":          "1000:100 [9 10] app /home/app",
		"app:":         "1000:100 [9 10] app /home/app",
		"1000":         "1000:100 [9 10] app /home/app",
		"app:wheel":    "1000:10 [] app /home/app",
		"app:55":       "1000:55 [] app /home/app",
		"4242":         "4242:0 []  /",
		"4242:4343":    "4242:4343 []  /",
		"4242:app":     "4242:999 []  /",
		":app":         "0:999 [] root /root",
		"nohome":       "1001:101 [10] nohome /",
		"short":        "1002:102 [] short /",
		"short:short":  "1002:77 [] short /",
		"crlf":         "1003:103 [] crlf /crlf",
		"1234":         "1234:0 []  /",
		"2147483647:0": "2147483647:0 []  /",
	} {
		u, err := ResolveUser(spec, []byte(testPasswd), []byte(testGroup))
		got := fmt.Sprintf("%d:%d %v %s %s", u.UID, u.GID, u.AdditionalGIDs, u.Name, u.Home)
		if got != want || err != nil {
			t.Errorf("%q gives %q, %v, want %q", spec, got, err, want)
		}
	}
	for spec, words := range map[string]string{
		"nobody": "no user", "app:nogroup": "no group", "broken": "no user", "app:broken": "no group",
		"2147483648": "between", "-1": "between", "0:4294967295": "between", "app:-1": "between", "a:b:c": "no user", "app:b:c": "no group",
	} {
		_, err := ResolveUser(spec, []byte(testPasswd), []byte(testGroup))
		wantCode(t, err, api.Invalid, "user:", words)
	}
	if u, err := ResolveUser("", nil, nil); err != nil || u.UID != 0 || u.GID != 0 || u.Home != "/" {
		t.Errorf("without files: %+v, %v", u, err)
	}
}

func FuzzResolveUser(f *testing.F) {
	f.Add("app:wheel", []byte(testPasswd), []byte(testGroup))
	f.Add("0", []byte("a:::"), []byte(":::\n"))
	f.Fuzz(func(t *testing.T, spec string, passwd, group []byte) {
		u, err := ResolveUser(spec, passwd, group)
		if err != nil {
			if api.CodeOf(err) != api.Invalid {
				t.Fatalf("%q: %v", spec, err)
			}
			return
		}
		if u.UID > 1<<31-1 || u.GID > 1<<31-1 || u.Home == "" || strings.Contains(u.Home, "\n") {
			t.Errorf("%q gives %+v", spec, u)
		}
	})
}
