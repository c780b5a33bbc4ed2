package api

import "slices"

// AllCapabilities returns the names of Linux's capabilities, without CAP_.
func AllCapabilities() []string { return slices.Clone(capabilityNames) }
