package cloudtest

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is a request before it is signed.
type Call struct {
	ID, Secret              string
	Service, Version        string
	Action, Region          string
	Host                    string
	Body                    string // JSON
	Params                  map[string]string
	At                      time.Time
	SignedHeaders           []string // default content-type and host
	SignedHost, ContentType string   // default Host and application/json
	Unsigned                bool     // the payload
	Nonce                   int
}

// POST makes the request in JSON, signed with TC3-HMAC-SHA256.
func (c Call) POST() *http.Request {
	r, _ := http.NewRequest(http.MethodPost, "http://"+c.Host+"/", strings.NewReader(c.Body))
	c.sign(r, c.Body)
	return r
}

// GET makes the request with its parameters in the query, signed with TC3-HMAC-SHA256.
func (c Call) GET() *http.Request {
	c.ContentType = "application/x-www-form-urlencoded"
	r, _ := http.NewRequest(http.MethodGet, "http://"+c.Host+"/?"+encode(c.Params), nil)
	c.sign(r, "")
	return r
}

// sign adds the headers. It is written from the documents, apart from the server.
func (c Call) sign(r *http.Request, body string) {
	if c.ContentType == "" {
		c.ContentType = "application/json"
	}
	if c.SignedHost == "" {
		c.SignedHost = c.Host
	}
	if c.SignedHeaders == nil {
		c.SignedHeaders = []string{"content-type", "host"}
	}
	h := r.Header
	stamp := strconv.FormatInt(c.At.Unix(), 10)
	for name, value := range map[string]string{"Content-Type": c.ContentType, "X-TC-Action": c.Action, "X-TC-Version": c.Version,
		"X-TC-Region": c.Region, "X-TC-Timestamp": stamp} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if c.Unsigned {
		body = "UNSIGNED-PAYLOAD"
		h.Set("X-TC-Content-SHA256", body)
	}
	canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\n"
	for _, name := range c.SignedHeaders {
		value := h.Get(name)
		if name == "host" {
			value = c.SignedHost
		}
		canonical += name + ":" + strings.ToLower(value) + "\n"
	}
	names := strings.Join(c.SignedHeaders, ";")
	canonical += "\n" + names + "\n" + hashed(body)
	date := c.At.UTC().Format("2006-01-02")
	scope := date + "/" + c.Service + "/tc3_request"
	key := keyed(sha256.New, keyed(sha256.New, keyed(sha256.New, []byte("TC3"+c.Secret), date), c.Service), "tc3_request")
	signature := hex.EncodeToString(keyed(sha256.New, key, "TC3-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hashed(canonical)))
	h.Set("Authorization", fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", c.ID, scope, names, signature))
}

// V1 makes the request as a form, signed with HmacSHA1 or HmacSHA256.
func (c Call) V1(method, signatureMethod string) *http.Request {
	all := map[string]string{"Action": c.Action, "Version": c.Version, "SecretId": c.ID, "SignatureMethod": signatureMethod,
		"Timestamp": strconv.FormatInt(c.At.Unix(), 10), "Nonce": strconv.Itoa(c.Nonce)}
	if c.Region != "" {
		all["Region"] = c.Region
	}
	maps.Copy(all, c.Params)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, name+"="+all[name])
	}
	newHash := map[string]func() hash.Hash{"HmacSHA1": sha1.New, "HmacSHA256": sha256.New}[signatureMethod]
	all["Signature"] = base64.StdEncoding.EncodeToString(keyed(newHash, []byte(c.Secret), method+c.Host+"/?"+strings.Join(parts, "&")))
	if method == http.MethodGet {
		r, _ := http.NewRequest(method, "http://"+c.Host+"/?"+encode(all), nil)
		return r
	}
	r, _ := http.NewRequest(method, "http://"+c.Host+"/", strings.NewReader(encode(all)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func encode(params map[string]string) string {
	v := url.Values{}
	for name, value := range params {
		v.Set(name, value)
	}
	return v.Encode()
}

func keyed(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Answer is what comes back.
type Answer struct {
	Error *struct{ Code, Message string }
	// Fields of the response, by name.
	Fields map[string]json.RawMessage
}

// Read reads the body of a reply.
func Read(body []byte) (a Answer, err error) {
	var envelope struct{ Response json.RawMessage }
	if err = json.Unmarshal(body, &envelope); err == nil {
		err = json.Unmarshal(envelope.Response, &a)
	}
	if err == nil {
		err = json.Unmarshal(envelope.Response, &a.Fields)
	}
	return a, err
}
