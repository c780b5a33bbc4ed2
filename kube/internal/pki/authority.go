package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"cis/kube/internal/durable"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// A certificate is renewed when this part of its life is left.
	renewalPart = 3
	// Clocks of other machines may be behind.
	clockSkew = 5 * time.Minute
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

// loadAuthority takes an authority from its two files and makes what is missing. The key
// is written first and never replaced: all trust hangs on it. A certificate that comes
// near its end is signed anew with the same key, so that what it signed stays valid.
func loadAuthority(dir, file, name string, now func() time.Time) (*authority, bool, error) {
	path := filepath.Join(dir, file)
	data, err := readFile(path + ".crt")
	if err != nil {
		return nil, false, err
	}
	if _, err := os.Stat(path + ".key"); data != nil && err != nil {
		return nil, false, fmt.Errorf("the key of %s.crt: %w; put it back from a backup", path, err)
	}
	key, err := loadKey(path + ".key")
	if err != nil {
		return nil, false, err
	}
	a := &authority{key: key, now: now}
	if data != nil {
		if a.cert, err = decodeCert(data); err != nil {
			return nil, false, fmt.Errorf("%s.crt: %w", path, err)
		}
		if !key.PublicKey.Equal(a.cert.PublicKey) {
			return nil, false, fmt.Errorf("%s.crt is not of the key %s.key: put the pair back from a backup", path, path)
		}
		if !due(a.cert, now()) {
			return a, false, nil
		}
	}
	a.cert, err = a.sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, &key.PublicKey, authorityLife)
	if err != nil {
		return nil, false, err
	}
	return a, true, durable.WriteFile(path+".crt", encodeCert(a.cert))
}

// loadKey reads a key, or makes it where there is none.
func loadKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if data != nil {
		key, err := decodeKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if data, err = encodeKey(key); err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, data)
}

// sign completes a template with a serial number and a life. An authority without a
// certificate signs its own.
func (a *authority) sign(template *x509.Certificate, public *ecdsa.PublicKey, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	template.NotBefore = a.now().Add(-clockSkew)
	template.NotAfter = a.now().Add(life)
	parent := a.cert
	if template.IsCA {
		parent = template
	} else if template.NotAfter.After(parent.NotAfter) {
		template.NotAfter = parent.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// leaf is what a certificate shall say.
type leaf struct {
	name   string // common name: the user, for a client
	groups []string
	names  []string // of a server
	ips    []net.IP
	server bool
}

func (a *authority) issue(l leaf, public *ecdsa.PublicKey) (*x509.Certificate, error) {
	usage := x509.ExtKeyUsageClientAuth
	if l.server {
		usage = x509.ExtKeyUsageServerAuth
	}
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: l.name, Organization: l.groups},
		DNSNames:    l.names,
		IPAddresses: l.ips,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, public, leafLife)
}

// due tells whether the last part of a certificate's life has begun.
func due(cert *x509.Certificate, now time.Time) bool { return !now.Before(renewal(cert)) }

func renewal(cert *x509.Certificate) time.Time {
	return cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / renewalPart)
}
