package plane

import (
	"path/filepath"

	"cis/kube/internal/home"
)

// What is in a data directory.
const (
	lockFile       = "lock"
	pidFile        = "pid"
	controlSocket  = "control.sock"
	clusterFile    = "cluster.json"
	pkiDir         = home.PKIDir
	etcdDir        = "etcd"
	etcdSocket     = "etcd.sock"
	etcdPeerSocket = "etcd-peer.sock"
	schedulerFile  = "scheduler.yaml"
	servicesFile   = "services"
	corefile       = "Corefile"
	logDir         = "logs"
)

func (c *Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.DataDir}, elements...)...)
}

// LogFile is where a program's output goes, and cis-kube's own.
func LogFile(dataDir, name string) string { return filepath.Join(dataDir, logDir, name+".log") }
