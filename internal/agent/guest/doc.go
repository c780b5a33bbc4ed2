// Package guest makes a microVM out of a kernel that has just started cis-agent as its
// first program: file systems, kernel modules, devices, the network. What one VM has
// for itself it reads from a disk, so that a kernel that was started for another can
// become this one.
//
// It never runs containers: that is package crun's part, and the agent's.
package guest
