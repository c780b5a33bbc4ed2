// Package home says where a control plane lives, to cis-kube and to cis-kubectl.
package home

import "path/filepath"

// Default is where a control plane lives unless told otherwise.
const Default = "/var/lib/cis/kube"

// Env names the variable that tells otherwise. It is for kubectl, whose flags are its own,
// and for all commands of cis-kube.
const Env = "CIS_KUBE_DATA_DIR"

// Dir is the data directory as the environment has it, which getenv reads as os.Getenv.
func Dir(getenv func(string) string) string {
	if dir := getenv(Env); dir != "" {
		return dir
	}
	return Default
}

// PKIDir is the directory of keys, certificates and kubeconfigs in a data directory.
const PKIDir = "pki"

// PKI is the path of a key, certificate or kubeconfig in a data directory.
func PKI(dataDir, file string) string { return filepath.Join(dataDir, PKIDir, file) }
