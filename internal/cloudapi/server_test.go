package cloudapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/cloudapi"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/cloudtest"
)

var now = time.Unix(1551113065, 0)

// lab is a server over an engine without containers.
type lab struct {
	*cloudapi.Server
	engine  cloudtest.Engine
	records []cloudapi.Record
	// now is the server's time.
	now time.Time
}

func newLab() *lab {
	l := &lab{engine: cloudtest.NewEngine(), now: now}
	l.Server = cloudapi.New(cloudapi.Config{Engine: l.engine, Keys: cloudtest.NewKeys(), Place: cloud.Place{Region: "local", Zone: "local-1"},
		Defaults: api.Defaults{MaxCPU: 4000, MaxMemory: 4 * api.GiB}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return l.now },
		Audit: func(_ context.Context, r cloudapi.Record) { l.records = append(l.records, r) }})
	return l
}

// call is a signed call of the operator's.
func call(product, version, action, body string) cloudtest.Call {
	return cloudtest.Call{ID: cloudtest.OperatorID, Secret: cloudtest.OperatorSecret, Service: product, Version: version, Action: action,
		Region: "local", Host: product + ".localhost:7480", Body: body, At: now, Nonce: 1}
}

func describe() cloudtest.Call {
	return call("cis", "2018-04-08", "DescribeContainerInstances", `{"Limit":5}`)
}

// do sends a request and reads the envelope, which is always of the status 200.
func (l *lab) do(t *testing.T, r *http.Request) cloudtest.Answer {
	t.Helper()
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	l.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	a, err := cloudtest.Read(body)
	if err != nil || w.Code != http.StatusOK || len(a.Fields["RequestId"]) != len(`"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"`) {
		t.Fatalf("%d, %v: %s", w.Code, err, body)
	}
	return a
}

func (l *lab) refused(t *testing.T, r *http.Request, code cloud.Code, says string) {
	t.Helper()
	a := l.do(t, r)
	if a.Error == nil || a.Error.Code != string(code) || !strings.Contains(a.Error.Message, says) {
		t.Errorf("got %+v, want %s: …%s…", a.Error, code, says)
	}
}

func (l *lab) fine(t *testing.T, r *http.Request) cloudtest.Answer {
	t.Helper()
	a := l.do(t, r)
	if a.Error != nil {
		t.Errorf("got %+v", a.Error)
	}
	return a
}

func TestEveryWayToSign(t *testing.T) {
	l := newLab()
	l.fine(t, describe().POST())
	c := describe()
	c.ContentType = "application/json; charset=utf-8"
	l.fine(t, c.POST())
	c = describe()
	c.SignedHeaders = []string{"content-type", "host", "x-tc-action", "x-tc-version", "x-tc-region"}
	l.fine(t, c.POST())
	c = describe()
	c.Unsigned = true
	l.fine(t, c.POST())
	// The official SDK for Node signs the host without its port.
	c = describe()
	c.SignedHost = "cis.localhost"
	l.fine(t, c.POST())
	// SDKs that are given a plain address take its first part for the product.
	c = describe()
	c.Host, c.Service = "127.0.0.1:7480", "127"
	l.fine(t, c.POST())
	c = describe()
	c.Params = map[string]string{"Limit": "5", "Filters.0.Name": "InstanceName", "Filters.0.ValueList.0": "a b+c"}
	l.fine(t, c.GET())
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, signature := range []string{"HmacSHA1", "HmacSHA256"} {
			l.fine(t, c.V1(method, signature))
			plain := c
			plain.Host = "localhost:7480"
			l.fine(t, plain.V1(method, signature))
		}
	}
}

func TestTampering(t *testing.T) {
	l := newLab()
	all := describe()
	all.SignedHeaders = []string{"content-type", "host", "x-tc-action", "x-tc-version", "x-tc-region", "x-tc-timestamp"}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	inAuthorization := func(old, fresh string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, fresh, 1))
		}
	}
	for name, tamper := range map[string]func(*http.Request){
		"body":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"Limit":6}`)) },
		"no body": func(r *http.Request) { r.Body = http.NoBody },
		"method": func(r *http.Request) {
			r.Method = http.MethodGet
			header("Content-Type", "application/x-www-form-urlencoded")(r)
			r.Body = http.NoBody
		},
		"host":           func(r *http.Request) { r.Host = "cis.example.com" },
		"content type":   header("Content-Type", "application/json; charset=utf-8"),
		"action":         header("X-TC-Action", "DescribeContainerInstance"),
		"version":        header("X-TC-Version", "2018-04-09"),
		"region":         header("X-TC-Region", "other"),
		"timestamp":      header("X-TC-Timestamp", "1551113066"),
		"twice":          func(r *http.Request) { r.Header.Add("X-TC-Action", "DescribeContainerInstances") },
		"missing":        func(r *http.Request) { r.Header.Del("X-TC-Region") },
		"payload":        header("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD"),
		"payload's hash": header("X-TC-Content-SHA256", strings.Repeat("0", 64)),
		"key":            inAuthorization(cloudtest.OperatorID, cloudtest.ViewerID),
		"unknown key":    inAuthorization(cloudtest.OperatorID, "AKIDnobody"),
		"date":           inAuthorization("2019-02-25", "2019-02-26"),
		"service":        inAuthorization("/cis/", "/vpc/"),
		"terminator":     inAuthorization("tc3_request", "tc4_request"),
		"order":          inAuthorization("content-type;host", "host;content-type"),
		"fewer":          inAuthorization(";x-tc-region", ""),
		"more":           inAuthorization(";x-tc-region", ";x-tc-region;accept"),
		"signature": func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1]+flip(a[len(a)-1]))
		},
		"signature's case": func(r *http.Request) {
			a := r.Header.Get("Authorization")
			i := strings.Index(a, "Signature=")
			r.Header.Set("Authorization", a[:i]+"Signature="+strings.ToUpper(a[i+10:]))
		},
	} {
		r := all.POST()
		l.fine(t, r.Clone(t.Context()))
		r = all.POST()
		tamper(r)
		if a := l.do(t, r); a.Error == nil || !strings.HasPrefix(a.Error.Code, "AuthFailure.") {
			t.Errorf("%s: got %+v", name, a.Error)
		}
	}
}

func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

func TestTamperingWithForms(t *testing.T) {
	l := newLab()
	c := describe()
	c.Params = map[string]string{"Limit": "5"}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for field, fresh := range map[string]string{"Action=DescribeContainerInstances": "Action=DescribeContainerInstance", "Limit=5": "Limit=6", "Nonce=1": "Nonce=2",
			"Region=local": "Region=other", "SecretId=AKIDoperator": "SecretId=AKIDviewer", "SignatureMethod=HmacSHA256": "SignatureMethod=HmacSHA1",
			"Timestamp=1551113065": "Timestamp=1551113064", "Version=2018-04-08": "Version=2018-04-09", "&Version": "&Offset=1&Version"} {
			r := c.V1(method, "HmacSHA256")
			if method == http.MethodGet {
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, field, fresh, 1)
			} else {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), field, fresh, 1)))
			}
			l.refused(t, r, cloud.SignatureFailure, "")
		}
		r := c.V1(method, "HmacSHA256")
		r.Host = "cis.example.com"
		l.refused(t, r, cloud.SignatureFailure, "")
	}
}

func TestRefusals(t *testing.T) {
	l := newLab()
	at := func(skew time.Duration) cloudtest.Call { c := describe(); c.At = now.Add(skew); return c }
	l.fine(t, at(5*time.Minute).POST())
	l.refused(t, at(5*time.Minute+time.Second).POST(), cloud.SignatureExpire, "five minutes")
	l.refused(t, at(-5*time.Minute-time.Second).POST(), cloud.SignatureExpire, "five minutes")
	l.refused(t, at(-5*time.Minute-time.Second).V1("GET", "HmacSHA1"), cloud.SignatureExpire, "five minutes")

	c := describe()
	c.Version = "2018-04-09"
	l.refused(t, c.POST(), cloud.NoSuchVersion, "2018-04-08")
	c = describe()
	c.Version = ""
	l.refused(t, c.POST(), cloud.MissingParameter, "X-TC-Version")
	c = describe()
	c.Service = "cvm"
	l.refused(t, c.POST(), cloud.NoSuchProduct, "cis 2018-04-08")
	c = describe()
	c.Action = "describecontainerinstances"
	l.refused(t, c.POST(), cloud.InvalidAction, "did you mean DescribeContainerInstances?")
	c = describe()
	c.Region = "ap-chengdu"
	l.refused(t, c.POST(), cloud.UnsupportedRegion, "local")
	c = describe()
	c.Region = ""
	l.fine(t, c.POST())
	c = describe()
	c.ID = "AKIDnobody"
	l.refused(t, c.POST(), cloud.SecretIDNotFound, "")
	c = describe()
	c.ContentType = "multipart/form-data; boundary=x"
	l.refused(t, c.POST(), cloud.UnsupportedProtocol, "application/json")
	c = describe()
	c.Body = `{"Limit":5,"Foo":1}`
	l.refused(t, c.POST(), cloud.UnknownParameter, "Foo")
	c.Body = strings.Repeat(" ", 10<<20) + "{}"
	l.refused(t, c.POST(), cloud.RequestSizeLimitExceeded, "10485760")
	c = describe()
	c.Params = map[string]string{"Foo": strings.Repeat("x", 33<<10)}
	l.refused(t, c.GET(), cloud.RequestSizeLimitExceeded, "32768")
	c.Params = map[string]string{"Foo": strings.Repeat("x", 1<<20)}
	l.refused(t, c.V1("POST", "HmacSHA1"), cloud.RequestSizeLimitExceeded, "1048576")

	r := describe().POST()
	r.Header.Set("X-TC-Token", "t")
	l.refused(t, r, cloud.TokenFailure, "temporary")
	r = describe().POST()
	r.Header.Del("Authorization")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = http.NoBody
	l.refused(t, r, cloud.InvalidAuthorization, "not signed")
	r = describe().POST()
	r.Method = http.MethodPut
	l.refused(t, r, cloud.UnsupportedProtocol, "PUT")
	r = describe().POST()
	r.URL.Path = "/x"
	l.refused(t, r, cloud.InvalidRequest, "/x")
}

func TestChangesAreMadeOnce(t *testing.T) {
	l := newLab()
	// What only shows something may be asked for twice in the same second.
	l.fine(t, describe().POST())
	l.fine(t, describe().POST())
	allocate := call("vpc", "2017-03-12", "AllocateAddresses", `{}`)
	l.fine(t, allocate.POST())
	l.refused(t, allocate.POST(), cloud.SignatureFailure, "already")
	l.fine(t, allocate.V1("POST", "HmacSHA256"))
	l.refused(t, allocate.V1("POST", "HmacSHA256"), cloud.SignatureFailure, "already")
	allocate.Nonce = 2
	l.fine(t, allocate.V1("POST", "HmacSHA256"))
	if all, _ := l.engine.Addresses(t.Context()); len(all) != 3 {
		t.Errorf("%d addresses", len(all))
	}
	// At the same time, too: exactly one of them.
	again := call("vpc", "2017-03-12", "AllocateAddresses", `{"AddressCount":2}`)
	var work sync.WaitGroup
	l.Audit = nil
	for range 16 {
		work.Go(func() { l.ServeHTTP(httptest.NewRecorder(), again.POST()) })
	}
	work.Wait()
	if all, _ := l.engine.Addresses(t.Context()); len(all) != 5 {
		t.Errorf("%d addresses", len(all))
	}
}

func TestRolesLimitsAndAudit(t *testing.T) {
	l := newLab()
	view := describe()
	view.ID, view.Secret = cloudtest.ViewerID, cloudtest.ViewerSecret
	l.fine(t, view.POST())
	view = call("cis", "2018-04-08", "DeleteContainerInstance", `{"InstanceName":"a"}`)
	view.ID, view.Secret = cloudtest.ViewerID, cloudtest.ViewerSecret
	l.refused(t, view.POST(), cloud.UnauthorizedOperation, "operator")
	l.refused(t, call("cis", "2018-04-08", "DeleteContainerInstance", `{"InstanceName":"a"}`).POST(), cloud.ResourceNotFound, "InstanceName")
	want := []cloudapi.Record{
		{Action: "cis:DescribeContainerInstances"},
		{Action: "cis:DeleteContainerInstance", Code: cloud.UnauthorizedOperation},
		{Action: "cis:DeleteContainerInstance", Object: "a", Code: cloud.ResourceNotFound},
	}
	for i, r := range l.records {
		if w := want[i]; r.Action != w.Action || r.Object != w.Object || r.Code != w.Code || r.Caller.Account != "a" || r.RequestID == "" {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	// A refused request may be sent again as it is.
	var refuse error = api.Errorf(api.Exhausted, "more than 20 in a second")
	l.Allow = func(_ context.Context, c account.Caller, action string) error {
		if c.User != "op" || action != "vpc:AllocateAddresses" {
			t.Errorf("%+v, %s", c, action)
		}
		return refuse
	}
	allocate := call("vpc", "2017-03-12", "AllocateAddresses", `{}`)
	l.refused(t, allocate.POST(), cloud.RequestLimitExceeded, "20 in a second")
	refuse = nil
	l.fine(t, allocate.POST())
}

func TestServeInTheClearIsForLoopback(t *testing.T) {
	l := newLab()
	open, err := listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Serve(t.Context(), open, nil); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("got %v", err)
	}
	inside, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, inside, nil) }()
	c := describe()
	c.Host = inside.Addr().String()
	c.Service = "127"
	reply, err := http.DefaultClient.Do(c.POST())
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", reply, err)
	}
	reply.Body.Close()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
