// Package docs holds the reference of the HTTP API, which the server also serves.
// It is generated from the routes and the types of package api.
package docs

import _ "embed" // for the reference

//go:generate go run ../internal/server/openapi/generate

// OpenAPI describes the HTTP API in OpenAPI 3.1, as JSON.
//
//go:embed openapi.json
var OpenAPI []byte
