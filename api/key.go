package api

import "time"

// Role is what a user of an account may do. Each includes those before it.
type Role string

// The roles.
const (
	// RoleViewer sees everything of the account but secrets' values.
	RoleViewer Role = "viewer"
	// RoleOperator creates, changes and removes what the account owns.
	RoleOperator Role = "operator"
	// RoleAdmin also manages the account's users and keys.
	RoleAdmin Role = "admin"
)

var roleRanks = map[Role]int{RoleViewer: 1, RoleOperator: 2, RoleAdmin: 3}

// Allows tells whether the role includes another; one that is not known includes none.
func (r Role) Allows(other Role) bool {
	return roleRanks[other] > 0 && roleRanks[r] >= roleRanks[other]
}

// User is somebody, or something, that acts for an account with keys of its own.
type User struct {
	// Account that it belongs to. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique in the account: a DNS label.
	Name string `json:"name"`
	// Role is viewer, operator (default) or admin.
	Role Role `json:"role,omitempty"`
	// Disabled refuses every request of the user.
	Disabled  bool      `json:"disabled,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// UserUpdate changes a user; what it leaves out stays.
type UserUpdate struct {
	Role     Role  `json:"role,omitempty"`
	Disabled *bool `json:"disabled,omitempty"`
}

// KeyType is how a key proves its user.
type KeyType string

// The types of keys.
const (
	// KeySigning: SecretKey signs requests to the cloud API and is never sent.
	KeySigning KeyType = "signing"
	// KeyToken: Token is sent with requests to /v1, as a bearer token.
	KeyToken KeyType = "token"
)

// Key proves that a request is a user's.
type Key struct {
	// ID names the key; that of a signing key is its SecretID. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account and User that it acts for. Account is shown, not set; User by default is the
	// admin that comes with the account.
	Account string  `json:"account,omitempty"`
	User    string  `json:"user,omitempty"`
	Type    KeyType `json:"type,omitempty"` // default signing
	// Description is the user's own, at most 200 characters.
	Description string `json:"description,omitempty"`
	// Disabled refuses every request with it.
	Disabled bool `json:"disabled,omitempty"`
	// ExpiresAt is from when on it is refused; absent: never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// LastUsedAt is exact to an hour. Shown, not set.
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	CreatedAt  time.Time  `json:"createdAt,omitzero"`

	// SecretID and SecretKey, or Token, are shown once: when the key is made.
	SecretID  string `json:"secretId,omitempty"`
	SecretKey string `json:"secretKey,omitempty"`
	Token     string `json:"token,omitempty"`
}

// KeyUpdate changes a key; what it leaves out stays.
type KeyUpdate struct {
	Description *string    `json:"description,omitempty"`
	Disabled    *bool      `json:"disabled,omitempty"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
}

// KeyRotation replaces a key by a new one of the same user, type and description.
type KeyRotation struct {
	// OverlapSeconds is how long the old key still works. Default 0: it ends at once.
	OverlapSeconds int64 `json:"overlapSeconds,omitempty"`
}

// Identity is who a request was made by.
type Identity struct {
	Account string `json:"account"`
	User    string `json:"user"`
	Key     string `json:"key,omitempty"`
	Role    Role   `json:"role"`
	// System: it runs the service, and may act for every account.
	System bool `json:"system,omitempty"`
}

// DefaultUser is the admin that comes with an account.
const DefaultUser = "admin"

// Default fills in what the user leaves out.
func (u *User) Default() { setDefault(&u.Role, RoleOperator) }

// Validate checks a user that is to be made.
func (u *User) Validate() error {
	var c checker
	c.check(u.Account == "", "account", "is shown, not set")
	c.check(isDNSLabel(u.Name), "name", dnsLabelRule)
	oneOf(&c, u.Role, "role", RoleViewer, RoleOperator, RoleAdmin)
	c.check(u.CreatedAt.IsZero(), "createdAt", "is shown, not set")
	return Join(c.mistakes)
}

// Validate checks a change.
func (u *UserUpdate) Validate() error {
	var c checker
	if u.Role != "" {
		oneOf(&c, u.Role, "role", RoleViewer, RoleOperator, RoleAdmin)
	}
	return Join(c.mistakes)
}

// Default fills in what the key leaves out.
func (k *Key) Default() {
	setDefault(&k.Type, KeySigning)
	setDefault(&k.User, DefaultUser)
}

const descriptionRule = "must be at most 200 characters"

// Validate checks a key that is to be made.
func (k *Key) Validate() error {
	var c checker
	oneOf(&c, k.Type, "type", KeySigning, KeyToken)
	c.check(isDNSLabel(k.User), "user", dnsLabelRule)
	c.check(len(k.Description) <= 200, "description", descriptionRule)
	c.check(k.ID == "", "id", "is shown, not set")
	c.check(k.Account == "", "account", "is shown, not set")
	c.check(k.SecretID == "" && k.SecretKey == "", "secretKey", "is made, not set")
	c.check(k.Token == "", "token", "is made, not set")
	c.check(k.CreatedAt.IsZero(), "createdAt", "is shown, not set")
	c.check(k.LastUsedAt == nil, "lastUsedAt", "is shown, not set")
	c.check(k.ExpiresAt == nil || k.ExpiresAt.After(time.Now()), "expiresAt", "must be a time to come")
	return Join(c.mistakes)
}

// Validate checks a change.
func (u *KeyUpdate) Validate() error {
	var c checker
	c.check(u.Description == nil || len(*u.Description) <= 200, "description", descriptionRule)
	return Join(c.mistakes)
}

// Validate checks a rotation.
func (r *KeyRotation) Validate() error {
	var c checker
	c.check(r.OverlapSeconds >= 0 && r.OverlapSeconds <= 30*24*3600, "overlapSeconds", "must be 0 to 2592000: 30 days")
	return Join(c.mistakes)
}
