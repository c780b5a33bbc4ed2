package server

import (
	"math"

	"cis/api"
)

func identityRoutes() []Route {
	return append(append(accountRoutes(), userRoutes()...), append(keyRoutes(), auditRoutes()...)...)
}

func accountRoutes() []Route {
	const tag = "accounts"
	return []Route{
		{Method: "GET", Path: "/v1/whoami", Name: "whoami", Tag: tag,
			Summary: "Tell who the caller is", Replies: gives("the caller", api.Identity{}), handle: (*Server).whoami},
		{Method: "GET", Path: "/v1/accounts", Name: "listAccounts", Tag: tag,
			Summary: "List the accounts that the caller may act for", Replies: gives("all of them", api.List[api.Account]{}), handle: (*Server).listAccounts},
		{Method: "POST", Path: "/v1/accounts", Name: "createAccount", Tag: tag, System: true, Role: api.RoleAdmin,
			Summary: "Make an account, with an admin and a default network", Body: api.Account{}, Replies: made(api.Account{}), handle: (*Server).createAccount},
		{Method: "GET", Path: "/v1/accounts/{ref}", Name: "getAccount", Tag: tag,
			Summary: "Get an account", Replies: gives("the account", api.Account{}), handle: (*Server).getAccount},
		{Method: "PATCH", Path: "/v1/accounts/{ref}", Name: "updateAccount", Tag: tag, System: true, Role: api.RoleAdmin,
			Summary: "Change an account, its quota, sizes and budget", Body: api.AccountUpdate{}, Replies: gives("the account", api.Account{}), handle: (*Server).updateAccount},
		{Method: "DELETE", Path: "/v1/accounts/{ref}", Name: "removeAccount", Tag: tag, System: true, Role: api.RoleAdmin,
			Summary: "Remove an account that owns nothing", Replies: givesNothing("it is gone"), handle: (*Server).removeAccount},
		{Method: "GET", Path: "/v1/accounts/{ref}/quota", Name: "getQuota", Tag: tag,
			Summary: "Tell what an account may own, and what it does", Replies: gives("the quota", api.QuotaStatus{}), handle: (*Server).getQuota},
	}
}

func userRoutes() []Route {
	const tag = "users"
	return []Route{
		{Method: "GET", Path: "/v1/users", Name: "listUsers", Tag: tag,
			Summary: "List the users of the account", Replies: gives("all of them", api.List[api.User]{}), handle: (*Server).listUsers},
		{Method: "POST", Path: "/v1/users", Name: "createUser", Tag: tag, Role: api.RoleAdmin,
			Summary: "Make a user of the account", Body: api.User{}, Replies: made(api.User{}), handle: (*Server).createUser},
		{Method: "PATCH", Path: "/v1/users/{ref}", Name: "updateUser", Tag: tag, Role: api.RoleAdmin,
			Summary: "Change a user", Body: api.UserUpdate{}, Replies: gives("the user", api.User{}), handle: (*Server).updateUser},
		{Method: "DELETE", Path: "/v1/users/{ref}", Name: "removeUser", Tag: tag, Role: api.RoleAdmin,
			Summary: "Remove a user and the user's keys", Replies: givesNothing("it is gone"), handle: (*Server).removeUser},
	}
}

func keyRoutes() []Route {
	const tag = "keys"
	return []Route{
		{Method: "GET", Path: "/v1/keys", Name: "listKeys", Tag: tag, Role: api.RoleAdmin,
			Summary: "List the keys of the account, without their secrets", Replies: gives("all of them", api.List[api.Key]{}), handle: (*Server).listKeys},
		{Method: "POST", Path: "/v1/keys", Name: "createKey", Tag: tag, Role: api.RoleAdmin,
			Summary: "Make a key of a user; the reply alone has its secret", Body: api.Key{}, Replies: made(api.Key{}), handle: (*Server).createKey},
		{Method: "PATCH", Path: "/v1/keys/{ref}", Name: "updateKey", Tag: tag, Role: api.RoleAdmin,
			Summary: "Change a key: disable it, or let it expire", Body: api.KeyUpdate{}, Replies: gives("the key", api.Key{}), handle: (*Server).updateKey},
		{Method: "POST", Path: "/v1/keys/{ref}/rotate", Name: "rotateKey", Tag: tag, Role: api.RoleAdmin,
			Summary: "Make a key in place of another; the reply alone has its secret", Body: api.KeyRotation{}, Replies: made(api.Key{}), handle: (*Server).rotateKey},
		{Method: "DELETE", Path: "/v1/keys/{ref}", Name: "removeKey", Tag: tag, Role: api.RoleAdmin,
			Summary: "Remove a key", Replies: givesNothing("it is gone"), handle: (*Server).removeKey},
	}
}

func auditRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/audit", Name: "listAudit", Tag: "audit", Role: api.RoleAdmin, Stream: true,
			Summary: "List what was done for the account, oldest first, or watch it",
			Query: []Param{momentParam("from", "the beginning"), momentParam("to", "the end, which is not included"),
				intParam("since", "only later ones than this ID", 0, math.MaxInt64), limitParam(),
				boolParam("watch", "send every entry, one a line, instead of a page")},
			Replies: append(gives("a page", api.List[api.AuditEntry]{}),
				givesLines("with watch", api.WatchEvent[api.AuditEntry]{})...), handle: (*Server).listAudit},
	}
}
