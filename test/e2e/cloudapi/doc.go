// Package cloudapi drives a cisd through the official SDK of the cloud API, unmodified:
// every action of its products, good and bad, with every way to sign. Real instances run.
//
// It needs root, node, and what scripts/packages and scripts/sdk install.
package cloudapi
