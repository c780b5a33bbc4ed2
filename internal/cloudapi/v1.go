package cloudapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cis/internal/cloudapi/cloud"
)

// v1Hashes are the older signature methods; without one it is the first.
var v1Hashes = map[string]func() hash.Hash{"": sha1.New, "HmacSHA1": sha1.New, "HmacSHA256": sha256.New}

// v1Common are the parameters that every signed form has beside the action's own.
var v1Common = []string{"Action", "Language", "Nonce", "Region", "RequestClient", "SecretId", "Signature", "SignatureMethod", "Timestamp", "Token", "Version"}

// form is what a query or a form says: each parameter once.
type form map[string]string

// parseForm reads a query string or the body of a form.
func parseForm(raw string) (form, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, cloud.Errorf(cloud.InvalidRequest, "the parameters are not a URL-encoded form")
	}
	f := form{}
	for name, all := range values {
		if len(all) != 1 {
			return nil, cloud.Errorf(cloud.InvalidParameter, "%s: is given twice", clip(name))
		}
		f[name] = all[0]
	}
	return f, nil
}

// verifyV1 checks the signature in a form.
func verifyV1(secret string, r *http.Request, f form) error {
	newHash := v1Hashes[f["SignatureMethod"]]
	if newHash == nil {
		return cloud.Errorf(cloud.InvalidParameterValue, "SignatureMethod: must be HmacSHA1 or HmacSHA256; for %s use the header Authorization", tc3Algorithm)
	}
	if nonce, err := strconv.ParseUint(f["Nonce"], 10, 64); err != nil || strconv.FormatUint(nonce, 10) != f["Nonce"] {
		return cloud.Errorf(cloud.InvalidParameterValue, "Nonce: must be a whole number that is not negative")
	}
	given, err := base64.StdEncoding.Strict().DecodeString(f["Signature"])
	if err != nil {
		return wrongSignature()
	}
	good := false
	for _, host := range hosts(r) {
		h := hmac.New(newHash, []byte(secret))
		h.Write([]byte(r.Method + host + "/?" + f.canonical()))
		good = hmac.Equal(h.Sum(nil), given) || good
	}
	if !good {
		return wrongSignature()
	}
	return nil
}

// canonical is what is signed of the parameters: all but the signature, sorted, as they
// were before they were encoded.
func (f form) canonical() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if name == "Signature" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + f[name])
	}
	return b.String()
}

// own are the parameters of the action itself.
func (f form) own() form {
	own := maps.Clone(f)
	for _, name := range v1Common {
		delete(own, name)
	}
	return own
}

// clip keeps messages short whatever the input.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:61], "") + "..."
}
