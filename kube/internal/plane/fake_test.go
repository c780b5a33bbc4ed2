package plane

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// fake serves as a program would, as far as it is asked whether it is healthy, and
// writes its start and its end into the journal in the data directory.
func fake(name string, args []string) {
	flags := map[string]string{}
	for _, a := range args {
		key, value, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		flags[key] = value
	}
	if why := flags["fail"]; why != "" {
		fmt.Fprintln(os.Stderr, why)
		os.Exit(1)
	}
	l, dir, err := fakeListener(name, flags)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serveFake(name, dir, l)
}

// fakeKubelet is fake for cis-kubelet, whose flags have values of their own.
func fakeKubelet(args []string) {
	flags := map[string]string{}
	for pair := range slices.Chunk(args, 2) {
		if len(pair) == 2 {
			flags[strings.TrimLeft(pair[0], "-")] = pair[1]
		}
	}
	cert, err := tls.LoadX509KeyPair(flags["tls-cert"], flags["tls-key"])
	if err == nil && flags["fail"] != "" {
		err = errors.New(flags["fail"])
	}
	var l net.Listener
	if err == nil {
		l, err = tls.Listen("tcp", flags["listen"], &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serveFake(Kubelet, filepath.Dir(filepath.Dir(flags["tls-cert"])), l)
}

func serveFake(name, dir string, l net.Listener) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	note(dir, "+"+name)
	go http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	<-stop
	note(dir, "-"+name)
}

func fakeListener(name string, flags map[string]string) (l net.Listener, dataDir string, err error) {
	if name == Etcd {
		path := strings.TrimPrefix(flags["listen-client-urls"], "unix://")
		// etcd does so too.
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return nil, "", err
		}
		l, err = net.Listen("unix", path)
		return l, filepath.Dir(path), err
	}
	cert, err := tls.LoadX509KeyPair(flags["tls-cert-file"], flags["tls-private-key-file"])
	if err != nil {
		return nil, "", err
	}
	l, err = tls.Listen("tcp", net.JoinHostPort(flags["bind-address"], flags["secure-port"]), &tls.Config{Certificates: []tls.Certificate{cert}})
	return l, filepath.Dir(filepath.Dir(flags["tls-cert-file"])), err
}

func note(dir, text string) {
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
