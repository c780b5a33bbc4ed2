package image

import (
	"bytes"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"cis/api"
)

// User is who a program runs as.
type User struct {
	UID, GID       uint32
	AdditionalGIDs []uint32 // sorted, without GID
	Name           string   // empty if the image has no name for UID
	Home           string   // "/" if it says none
}

// ResolveUser resolves an OCI User (name, uid, name:group, uid:gid, or empty for
// uid 0) against an image's passwd and group files. A number is always an id and
// needs no entry. With a group given there are no additional groups; else there
// are those that list the user's name. Unknown names and ids above 2147483647
// are Invalid. Lines that are not well formed are passed over.
func ResolveUser(spec string, passwd, group []byte) (User, error) {
	who, grp, hasGroup := strings.Cut(spec, ":")
	if who == "" {
		who = "0"
	}
	u, err := findUser(who, passwd)
	if err != nil {
		return User{}, err
	}
	if hasGroup && grp != "" {
		u.GID, err = findGroup(grp, group)
		return u, err
	}
	if u.Name != "" {
		u.AdditionalGIDs = memberOf(u.Name, u.GID, group)
	}
	return u, nil
}

func findUser(who string, passwd []byte) (User, error) {
	uid, numeric := parseID(who)
	if !numeric && isNumber(who) {
		return User{}, idRange(who)
	}
	for f := range records(passwd, 4) {
		id, ok := parseID(f[2])
		gid, ok2 := parseID(f[3])
		if !ok || !ok2 || numeric && id != uid || !numeric && f[0] != who {
			continue
		}
		u := User{UID: id, GID: gid, Name: f[0], Home: "/"}
		if len(f) > 5 && f[5] != "" {
			u.Home = f[5]
		}
		return u, nil
	}
	if numeric {
		return User{UID: uid, Home: "/"}, nil
	}
	return User{}, api.FieldError("user", "the image's /etc/passwd has no user %.100q", who).
		WithNext("give a user of the image, or a numeric uid")
}

func findGroup(grp string, group []byte) (uint32, error) {
	if gid, ok := parseID(grp); ok {
		return gid, nil
	}
	if isNumber(grp) {
		return 0, idRange(grp)
	}
	for f := range records(group, 3) {
		if gid, ok := parseID(f[2]); ok && f[0] == grp {
			return gid, nil
		}
	}
	return 0, api.FieldError("user", "the image's /etc/group has no group %.100q", grp).
		WithNext("give a group of the image, or a numeric gid")
}

func memberOf(user string, primary uint32, group []byte) []uint32 {
	var gids []uint32
	for f := range records(group, 4) {
		gid, ok := parseID(f[2])
		if ok && gid != primary && slices.Contains(strings.Split(f[3], ","), user) {
			gids = append(gids, gid)
		}
	}
	slices.Sort(gids)
	return slices.Compact(gids)
}

// records yields the fields of each line that has at least n, trimmed.
func records(file []byte, n int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range bytes.Lines(file) {
			f := strings.Split(strings.TrimSpace(string(line)), ":")
			if len(f) < n || f[0] == "" || f[0][0] == '#' {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n <= math.MaxInt32
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func idRange(s string) error {
	return api.FieldError("user", "the id %.40s is not between 0 and %d", s, math.MaxInt32)
}
