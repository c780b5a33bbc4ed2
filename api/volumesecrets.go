package api

// Secrets are the secrets that a volume shows, with their keys and the permission bits of
// files that have none of their own, in octal. Later ones win.
func (v *Volume) Secrets() (sources []SecretProjection, defaultMode string) {
	switch {
	case v.Secret != nil:
		s := v.Secret
		return []SecretProjection{{Name: s.SecretName, Items: s.Items, Optional: s.Optional}}, s.DefaultMode
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			sources = append(sources, *source.Secret)
		}
		return sources, v.Projected.DefaultMode
	}
	return nil, ""
}
