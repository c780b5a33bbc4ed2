package cloudapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cis/internal/cloudapi/cloud"
)

// The example of the public documents of TC3-HMAC-SHA256: the same request, signed with
// the secrets that the editions show, with and without the action among the headers.
const (
	exampleBody = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	exampleTime = 1551113065
)

func example(signed, signature string) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com/", strings.NewReader(exampleBody))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-TC-Action", "DescribeInstances")
	r.Header.Set("X-TC-Timestamp", "1551113065")
	r.Header.Set("X-TC-Version", "2017-03-12")
	r.Header.Set("X-TC-Region", "ap-guangzhou")
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, SignedHeaders="+
		signed+", Signature="+signature)
	return r
}

func TestDocumentedSignatures(t *testing.T) {
	for _, v := range []struct{ secret, signed, signature string }{
		{"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "content-type;host", "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"},
		{"Gu5t9xGARNpq86cd98joQYCN3*******", "content-type;host", "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"},
		{"Gu5t9xGARNpq86cd98joQYCN3*******", "content-type;host;x-tc-action", "be4f67d323c78ab9acb7395e43c0dbcf822a9cfac32fea2449a7bc7726b770a3"},
	} {
		r := example(v.signed, v.signature)
		a, err := parseTC3(r.Header.Get("Authorization"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.checkTime(r.Header.Get("X-TC-Timestamp"), time.Unix(exampleTime+299, 0)); err != nil {
			t.Error(err)
		}
		if err := a.verify(v.secret, r, []byte(exampleBody)); err != nil {
			t.Errorf("%s: %v", v.signature, err)
		}
		if err := a.verify(v.secret+"x", r, []byte(exampleBody)); err == nil {
			t.Error("another secret is as good")
		}
	}
}

func TestDocumentedV1Signatures(t *testing.T) {
	const query = "Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou&SecretId="
	for _, v := range []struct{ id, secret, signature string }{
		{"AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE", "EliP9YW3pW28FpsEdkXt%2F%2BWcGeI%3D"},
		{"AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******", "zmmjn35mikh6pM3V7sUEuX4wyYM%3D"},
	} {
		r, _ := http.NewRequest(http.MethodGet, "https://cvm.tencentcloudapi.com/?"+query+v.id+"&Signature="+v.signature+"&Timestamp=1465185768&Version=2017-03-12", nil)
		f, err := parseForm(r.URL.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyV1(v.secret, r, f); err != nil {
			t.Errorf("%s: %v", v.signature, err)
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	const good = "TC3-HMAC-SHA256 Credential=ID/2019-02-25/cis/tc3_request, SignedHeaders=content-type;host, Signature="
	signature := strings.Repeat("ab", 32)
	if a, err := parseTC3(good + signature); err != nil || a.secretID != "ID" || a.service != "cis" || a.date != "2019-02-25" || len(a.headers) != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{
		"", "TC3-HMAC-SHA256", "TC3-HMAC-SHA1 Credential=", good, good + signature[1:], good + strings.ToUpper(signature), good + signature + ",",
		strings.Replace(good, "ID/", "/", 1) + signature, strings.Replace(good, "/cis/", "//", 1) + signature, strings.Replace(good, "tc3_request", "tc3", 1) + signature,
		strings.Replace(good, "/cis/", "/cis/x/", 1) + signature, strings.Replace(good, "content-type;host", "host", 1) + signature,
		strings.Replace(good, "content-type;host", "content-type", 1) + signature, strings.Replace(good, ";host", ";host;host", 1) + signature,
		strings.Replace(good, ";host", ";Host", 1) + signature, strings.Replace(good, ";host", ";;host", 1) + signature,
		strings.Replace(good, "SignedHeaders", "signedHeaders", 1) + signature,
	} {
		_, err := parseTC3(bad)
		if e, ok := errors.AsType[*cloud.Error](err); !ok || e.Code != cloud.InvalidAuthorization {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseTC3(f *testing.F) {
	f.Add("TC3-HMAC-SHA256 Credential=ID/2019-02-25/cis/tc3_request, SignedHeaders=content-type;host, Signature=" + strings.Repeat("0", 64))
	f.Add("TC3-HMAC-SHA256 Credential=a/b/c/tc3_request,SignedHeaders=host;content-type;x,Signature=")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseTC3(s)
		if err != nil {
			if e, ok := errors.AsType[*cloud.Error](err); !ok || e.Code != cloud.InvalidAuthorization {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		// What was taken in says the same when it is written again.
		again, err := parseTC3(tc3Algorithm + " Credential=" + a.secretID + "/" + a.date + "/" + a.service + "/" + tc3Terminator +
			", SignedHeaders=" + strings.Join(a.headers, ";") + ", Signature=" + a.signature)
		if err != nil || again.secretID != a.secretID || again.signature != a.signature || strings.Join(again.headers, ";") != strings.Join(a.headers, ";") {
			t.Fatalf("%q: %+v, %+v, %v", s, a, again, err)
		}
		// And no secret makes anything of it by accident.
		r := example("content-type;host", a.signature)
		if err := a.verify("secret", r, nil); err == nil {
			t.Fatalf("%q is a signature", s)
		}
	})
}

func TestReplays(t *testing.T) {
	var r replays
	now := time.Unix(exampleTime, 0)
	if err := r.note("a", "x", "s", now); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{0, time.Second, 2 * maxSkew, 2*maxSkew + time.Second} {
		if err := r.note("a", "x", "s", now.Add(later)); err == nil {
			t.Errorf("accepted again after %s", later)
		}
	}
	for _, other := range [][3]string{{"b", "x", "s"}, {"a", "y", "s"}, {"a", "x", "t"}} {
		if err := r.note(other[0], other[1], other[2], now); err != nil {
			t.Errorf("%v: %v", other, err)
		}
	}
	r.forget("a", "x", "t")
	if err := r.note("a", "x", "t", now); err != nil {
		t.Error(err)
	}
	// It forgets what cannot be accepted any more.
	_ = r.note("a", "x", "u", now.Add(5*maxSkew))
	_ = r.note("a", "x", "v", now.Add(8*maxSkew))
	if len(r.now.seen)+len(r.old.seen) != 2 {
		t.Errorf("%d and %d are kept", len(r.now.seen), len(r.old.seen))
	}
	r.now.byKey["c"] = maxSeenByKey
	if err := r.note("c", "x", "w", now.Add(8*maxSkew)); err == nil {
		t.Error("a key has no bound")
	}
}
