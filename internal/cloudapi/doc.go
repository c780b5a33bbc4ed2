// Package cloudapi is the front door for programs that speak the Tencent Cloud API 3.0: it
// verifies signatures (TC3-HMAC-SHA256 and the older HmacSHA256 and HmacSHA1), reads
// parameters strictly, and lets the products in the folders below carry actions out.
//
// It keeps no keys and knows the engine only through the products. What every parameter
// means here is in docs/cloud-api.md, whose tables are made from the request types.
package cloudapi
