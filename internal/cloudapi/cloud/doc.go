// Package cloud is what the products of the cloud API have in common: actions and their
// table, the errors that clients know by code, sizes, times, filters and pages.
//
// It knows no product and no HTTP.
package cloud
