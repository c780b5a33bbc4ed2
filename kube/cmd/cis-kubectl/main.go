// Command cis-kubectl is kubectl, as the administrator of the control plane of cis-kube. It
// is a program of its own because it starts often, and without the other programs' packages
// in less than half the time.
package main

import "cis/kube/internal/kubectl"

func main() { kubectl.Main() }
