package cloudapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"cis/internal/cloudapi/cloud"
)

// problem is an error in a response.
type problem struct {
	Code    cloud.Code
	Message string
}

// newRequestID makes the ID that a response bears.
func newRequestID() string { return uuid.NewString() }

// reply writes {"Response": {…, "RequestId": ID}}. Lists and objects that are not set
// are null in it.
func reply(w http.ResponseWriter, id string, response any, err *cloud.Error) {
	if err != nil {
		response = struct{ Error problem }{problem{err.Code, err.Message}}
	}
	body, failed := json.Marshal(response)
	if failed != nil {
		panic(fmt.Sprintf("cloudapi: a response cannot be written: %v", failed))
	}
	w.Header().Set("Content-Type", typeJSON)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(enveloped(body, id)) // a client that has gone is no fault of ours
}

// enveloped puts the ID into an object, and the object into Response.
func enveloped(object []byte, id string) []byte {
	var b bytes.Buffer
	b.Grow(len(object) + 128)
	b.WriteString(`{"Response":`)
	inside := bytes.TrimSuffix(object, []byte("}"))
	b.Write(inside)
	if len(inside) > 1 {
		b.WriteByte(',')
	}
	fmt.Fprintf(&b, `"RequestId":%q}}`, id)
	return b.Bytes()
}
