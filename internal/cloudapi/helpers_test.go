package cloudapi_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/cloudapi"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/cloudtest"
)

func listen(at string) (net.Listener, error) { return net.Listen("tcp", at) }

// versions of the products.
var versions = map[string]string{"cis": "2018-04-08", "vpc": "2017-03-12", "tke": "2018-05-25"}

// send carries an action out, PRODUCT:ACTION, a second after the one before.
func (l *lab) send(t *testing.T, action, body string) cloudtest.Answer {
	t.Helper()
	l.now = l.now.Add(time.Second)
	product, name, _ := strings.Cut(action, ":")
	c := call(product, versions[product], name, body)
	c.At = l.now
	return l.do(t, c.POST())
}

// ok carries an action out that must succeed, and reads the response into v if it is
// not nil.
func (l *lab) ok(t *testing.T, action, body string, v any) {
	t.Helper()
	a := l.send(t, action, body)
	if a.Error != nil {
		t.Fatalf("%s %s: %s: %s", action, body, a.Error.Code, a.Error.Message)
	}
	data, err := json.Marshal(a.Fields)
	if err == nil && v != nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bad carries an action out that must be refused.
func (l *lab) bad(t *testing.T, action, body string, code cloud.Code, says string) {
	t.Helper()
	a := l.send(t, action, body)
	if a.Error == nil || a.Error.Code != string(code) || !strings.Contains(a.Error.Message, says) {
		t.Errorf("%s %s: got %+v\nwant %s: …%s…", action, body, a.Error, code, says)
	}
}

// with replaces parts of a body.
func with(body string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(body) }

var listAll = api.ListOptions{}

// Products are those of the lab's server.
func (l *lab) Products() []cloud.Product {
	return cloudapi.Products(l.engine, l.Place, l.Defaults)
}
