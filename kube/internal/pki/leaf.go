package pki

import (
	"crypto/x509"
	"net"
	"slices"

	"cis/kube/internal/durable"
)

// serves tells whether a certificate says all that is wanted, is of this authority and
// key, and need not be renewed yet.
func (a *authority) serves(cert *x509.Certificate, l leaf) bool {
	return cert.CheckSignatureFrom(a.cert) == nil &&
		!due(cert, a.now()) &&
		cert.Subject.CommonName == l.name &&
		same(cert.Subject.Organization, l.groups) &&
		same(cert.DNSNames, l.names) &&
		same(texts(cert.IPAddresses), texts(l.ips))
}

func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func texts(ips []net.IP) (all []string) {
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	return all
}

// pair is a key and its certificate, as PEM.
type pair struct{ cert, key []byte }

// usable tells whether a pair, which may be half or damaged, serves as the leaf.
func (a *authority) usable(p pair, l leaf) (*x509.Certificate, bool) {
	cert, err := decodeCert(p.cert)
	if err != nil {
		return nil, false
	}
	key, err := decodeKey(p.key)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, false
	}
	return cert, a.serves(cert, l)
}

// pair makes a new key and its certificate.
func (a *authority) pair(l leaf) (p pair, cert *x509.Certificate, err error) {
	key, err := newKey()
	if err != nil {
		return pair{}, nil, err
	}
	if cert, err = a.issue(l, &key.PublicKey); err != nil {
		return pair{}, nil, err
	}
	data, err := encodeKey(key)
	return pair{cert: encodeCert(cert), key: data}, cert, err
}

// ensure sees to a pair of files dir/file.{key,crt}, and tells whether they are new.
func (a *authority) ensure(path string, l leaf) (*x509.Certificate, bool, error) {
	var old pair
	var err error
	if old.key, err = readFile(path + ".key"); err != nil {
		return nil, false, err
	}
	if old.cert, err = readFile(path + ".crt"); err != nil {
		return nil, false, err
	}
	if cert, ok := a.usable(old, l); ok {
		return cert, false, nil
	}
	p, cert, err := a.pair(l)
	if err != nil {
		return nil, false, err
	}
	if err := durable.WriteFile(path+".key", p.key); err != nil {
		return nil, false, err
	}
	return cert, true, durable.WriteFile(path+".crt", p.cert)
}
