package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/cloudapi"
	"cis/internal/cloudapi/cloud"
	"cis/internal/engine"
)

// cloudAPI is what the command line says of the cloud API.
type cloudAPI struct {
	listen       string
	region, zone string
}

func (c *cloudAPI) check(tlsCert, tlsKey string) error {
	switch {
	case c.listen == "":
		return nil
	case c.region == "" || c.zone == "":
		return errors.New("-region and -zone must not be empty")
	case !onLoopback(c.listen) && (tlsCert == "" || tlsKey == ""):
		return errors.New("-cloudapi-listen needs -tls-cert and -tls-key, unless it is a loopback address such as 127.0.0.1:7480")
	}
	return nil
}

// onLoopback tells whether an address to listen at is reached from this host alone.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// openCloudAPI listens for the cloud API and returns what serves it until a context ends;
// nil without -cloudapi-listen.
func openCloudAPI(c *config, eng *engine.Engine, defaults api.Defaults, limiter *account.Limiter, log *slog.Logger) (func(context.Context) error, error) {
	if c.cloudAPI.listen == "" {
		return nil, nil
	}
	var secure *tls.Config
	if !onLoopback(c.cloudAPI.listen) {
		var err error
		if secure, err = c.tls(); err != nil {
			return nil, err
		}
	}
	port, err := net.Listen("tcp", c.cloudAPI.listen)
	if err != nil {
		return nil, fmt.Errorf("-cloudapi-listen: %w", err)
	}
	srv := cloudapi.New(cloudapi.Config{Engine: eng, Keys: signingKeys{eng}, Place: cloud.Place{Region: c.cloudAPI.region, Zone: c.cloudAPI.zone}, Defaults: defaults,
		Allow: allow(limiter), Audit: auditTo(eng), Log: log})
	return func(ctx context.Context) error { return srv.Serve(ctx, port, secure) }, nil
}

// signingKeys finds keys for the cloud API.
type signingKeys struct{ *engine.Engine }

// Key implements cloudapi.Keys.
func (k signingKeys) Key(ctx context.Context, secretID string) (cloudapi.Key, error) {
	secret, caller, err := k.SigningKey(ctx, secretID)
	return cloudapi.Key{Secret: secret, Caller: caller}, err
}

// allow bounds how often a key may do an action.
func allow(limiter *account.Limiter) func(context.Context, account.Caller, string) error {
	return func(_ context.Context, c account.Caller, action string) error {
		if !limiter.Allow(c, action) {
			return api.Errorf(api.Exhausted, "too many requests of this action with this key: try again in a second")
		}
		return nil
	}
}

// auditTo puts what changes something, or was refused to its caller, on record.
func auditTo(eng *engine.Engine) func(context.Context, cloudapi.Record) {
	return func(ctx context.Context, r cloudapi.Record) {
		if !r.Changes && r.Code != cloud.UnauthorizedOperation {
			return
		}
		entry := api.AuditEntry{Time: time.Now().UTC(), Account: r.Caller.Account, User: r.Caller.User, Key: r.Caller.Key, From: r.Remote,
			Action: r.Action, Object: r.Object, Result: "ok", RequestID: r.RequestID}
		if r.Code != "" {
			entry.Result, entry.Message = string(r.Code), r.Message
		}
		eng.Note(ctx, entry)
	}
}
