package cloud

import "time"

// zone of the times that bear none: eight hours ahead of UTC, as the cloud's clients
// are used to.
var zone = time.FixedZone("", 8*60*60)

const (
	localLayout = "2006-01-02 15:04:05"
	eventLayout = "2006-01-02T15:04:05.000-07:00"
)

// LocalTime is a moment as in 2018-05-18 14:33:40, which is UTC+8; empty for none.
func LocalTime(t time.Time) string { return format(t.In(zone), localLayout) }

// EventTime is a moment as in 2018-05-18T14:34:03.000+08:00.
func EventTime(t time.Time) string { return format(t.In(zone), eventLayout) }

// UTCTime is a moment as in 2018-05-18T06:34:03Z.
func UTCTime(t time.Time) string { return format(t.UTC(), time.RFC3339) }

func format(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(layout)
}

// ParseTime reads the forms of LocalTime and RFC 3339.
func ParseTime(path, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(localLayout, s, zone); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, Bad(path, "must be a time such as 2018-05-18 14:33:40, which is UTC+8, or 2018-05-18T06:33:40Z, not %q", clip(s))
	}
	return t, nil
}
