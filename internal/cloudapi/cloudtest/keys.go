package cloudtest

import (
	"context"

	"cis/api"
	"cis/internal/account"
	"cis/internal/cloudapi"
)

// Keys are keys in memory, by SecretId.
type Keys map[string]cloudapi.Key

// The keys of tests: one for each role.
const (
	OperatorID, OperatorSecret = "AKIDoperator", "operator-secret"
	ViewerID, ViewerSecret     = "AKIDviewer", "viewer-secret"
)

// NewKeys are a key for an operator and one for a viewer.
func NewKeys() Keys {
	return Keys{
		OperatorID: {Secret: OperatorSecret, Caller: account.Caller{Account: "a", User: "op", Key: OperatorID, Role: api.RoleOperator}},
		ViewerID:   {Secret: ViewerSecret, Caller: account.Caller{Account: "a", User: "view", Key: ViewerID, Role: api.RoleViewer}},
	}
}

// Key implements cloudapi.Keys.
func (k Keys) Key(_ context.Context, secretID string) (cloudapi.Key, error) {
	key, ok := k[secretID]
	if !ok {
		return key, api.Errorf(api.NotFound, "there is no key %q", secretID)
	}
	return key, nil
}
