package cloudapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cis/internal/cloudapi/cloud"
)

const (
	tc3Algorithm    = "TC3-HMAC-SHA256"
	tc3Terminator   = "tc3_request"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	contentSHA256   = "X-TC-Content-SHA256"
)

// maxSkew is how far a request's time may be from ours.
const maxSkew = 5 * time.Minute

// tc3 is what the header Authorization of a request says.
type tc3 struct {
	secretID, date, service string
	// headers that are signed, in their order.
	headers   []string
	signature string
}

// parseTC3 reads a header such as
//
//	TC3-HMAC-SHA256 Credential=ID/2019-02-25/cis/tc3_request, SignedHeaders=content-type;host, Signature=…
func parseTC3(s string) (tc3, error) {
	rest, ok := strings.CutPrefix(s, tc3Algorithm+" ")
	if !ok {
		return tc3{}, badAuthorization("it must begin with %s and a space", tc3Algorithm)
	}
	parts := strings.Split(rest, ",")
	if len(parts) != 3 {
		return tc3{}, badAuthorization("it must have Credential, SignedHeaders and Signature, separated by commas")
	}
	var values [3]string
	for i, name := range []string{"Credential=", "SignedHeaders=", "Signature="} {
		if values[i], ok = strings.CutPrefix(strings.TrimSpace(parts[i]), name); !ok {
			return tc3{}, badAuthorization("its part %d must begin with %s", i+1, name)
		}
	}
	scope := strings.Split(values[0], "/")
	if len(scope) != 4 || scope[0] == "" || scope[2] == "" || scope[3] != tc3Terminator {
		return tc3{}, badAuthorization("Credential must be SecretId/DATE/SERVICE/%s", tc3Terminator)
	}
	a := tc3{secretID: scope[0], date: scope[1], service: scope[2], headers: strings.Split(values[1], ";"), signature: values[2]}
	if err := checkSignedHeaders(a.headers); err != nil {
		return tc3{}, err
	}
	if len(a.signature) != 2*sha256.Size || strings.Trim(a.signature, "0123456789abcdef") != "" {
		return tc3{}, badAuthorization("Signature must be %d lower-case hexadecimal digits", 2*sha256.Size)
	}
	return a, nil
}

func checkSignedHeaders(names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return badAuthorization("SignedHeaders must be lower-case names of headers, separated by semicolons")
		}
		if seen[name] {
			return badAuthorization("SignedHeaders names %s twice", name)
		}
		seen[name] = true
	}
	if !seen["content-type"] || !seen["host"] {
		return badAuthorization("SignedHeaders must have content-type and host")
	}
	return nil
}

func badAuthorization(format string, args ...any) error {
	return cloud.Errorf(cloud.InvalidAuthorization, "the header Authorization cannot be used: "+format, args...)
}

// checkTime refuses a request that was signed too long ago or is of the future, and one
// whose scope is of another day.
func (a tc3) checkTime(timestamp string, now time.Time) (time.Time, error) {
	at, err := signedAt("X-TC-Timestamp", timestamp, now)
	if err == nil && at.UTC().Format(time.DateOnly) != a.date {
		err = badAuthorization("the date of Credential must be that of X-TC-Timestamp in UTC, %s", at.UTC().Format(time.DateOnly))
	}
	return at, err
}

// signedAt reads the seconds since 1970 at which a request was signed.
func signedAt(name, timestamp string, now time.Time) (time.Time, error) {
	if timestamp == "" {
		return time.Time{}, cloud.Errorf(cloud.MissingParameter, "%s is required", name)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != timestamp {
		return time.Time{}, cloud.Errorf(cloud.InvalidParameterValue, "%s: must be seconds since 1970", name)
	}
	at := time.Unix(seconds, 0)
	if skew := now.Sub(at); skew > maxSkew || skew < -maxSkew {
		return at, cloud.Errorf(cloud.SignatureExpire, "%s is more than five minutes from the server's time, %d: set the clock, or sign anew", name, now.Unix())
	}
	return at, nil
}

// verify checks the signature of a request whose body is given.
func (a tc3) verify(secret string, r *http.Request, body []byte) error {
	payload, err := payloadHash(r, body)
	if err != nil {
		return err
	}
	for _, name := range a.headers {
		if name != "host" && len(r.Header.Values(name)) != 1 {
			return cloud.Errorf(cloud.SignatureFailure, "the header %s is signed, and must be there exactly once", name)
		}
	}
	query := ""
	if r.Method == http.MethodGet {
		query = r.URL.RawQuery
	}
	key := mac(mac(mac([]byte("TC3"+secret), a.date), a.service), tc3Terminator)
	given, _ := hex.DecodeString(a.signature)
	good := false
	for _, headers := range a.canonicalHeaders(r) {
		canonical := strings.Join([]string{r.Method, "/", query, headers, strings.Join(a.headers, ";"), payload}, "\n")
		toSign := strings.Join([]string{tc3Algorithm, r.Header.Get("X-TC-Timestamp"),
			a.date + "/" + a.service + "/" + tc3Terminator, hexSHA256([]byte(canonical))}, "\n")
		good = hmac.Equal(mac(key, toSign), given) || good
	}
	if !good {
		return wrongSignature()
	}
	return nil
}

func wrongSignature() error {
	return cloud.Errorf(cloud.SignatureFailure, "the signature is not that of this request and this SecretKey")
}

// canonicalHeaders are the signed headers in the forms that clients sign: the documents
// want values in lower case, SDKs take them as they are; and some leave the port out of
// the host that they sign, and not out of the one that they send.
func (a tc3) canonicalHeaders(r *http.Request) (forms []string) {
	for _, host := range hosts(r) {
		var plain, lower strings.Builder
		for _, name := range a.headers {
			value := host
			if name != "host" {
				value = r.Header.Get(name)
			}
			value = strings.TrimSpace(value)
			plain.WriteString(name + ":" + value + "\n")
			lower.WriteString(name + ":" + strings.ToLower(value) + "\n")
		}
		forms = append(forms, lower.String())
		if plain.String() != lower.String() {
			forms = append(forms, plain.String())
		}
	}
	return forms
}

// hosts are the header Host as it was sent and, if it has a port, without it.
func hosts(r *http.Request) []string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return []string{r.Host, host}
	}
	return []string{r.Host}
}

// payloadHash is what is signed for the body.
func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := hexSHA256(body)
	switch r.Header.Get(contentSHA256) {
	case "", sum:
		return sum, nil
	case unsignedPayload:
		return hexSHA256([]byte(unsignedPayload)), nil
	}
	return "", cloud.Errorf(cloud.SignatureFailure, "%s is neither the hash of the body nor %s", contentSHA256, unsignedPayload)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
