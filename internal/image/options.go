package image

import (
	"log/slog"
	"runtime"
)

// Options configure a Store. The zero value works: https registries with the
// system's CAs, anonymous, no collection.
type Options struct {
	// InsecureRegistries are the host[:port]s that may be spoken to over
	// http. Loopback addresses always may.
	InsecureRegistries []string
	// CAFile is a PEM file of CAs to trust beside the system's.
	CAFile string
	// RegistryCAFiles are further such files for one registry each, by its
	// host[:port].
	RegistryCAFiles map[string]string
	// DockerConfig is the path of a docker config.json with credentials,
	// read at each pull; its credential helpers are run. None if empty.
	DockerConfig string
	// MaxBytes is the size on disk above which unused images are collected;
	// 0 collects none.
	MaxBytes int64
	// Architecture of the images to run, as in GOARCH: this machine's if empty.
	Architecture string
	Limits       Limits
	Log          *slog.Logger // slog.Default if nil
}

// Limits bound what one image may be; zero fields take the defaults, which are
// far above what images in use come to. Past one, an image is Invalid.
type Limits struct {
	// LayerBytes is the size of one compressed layer: 32 GiB.
	LayerBytes int64
	// UnpackedBytes is the size of all files of all layers, sparse files at
	// their full length: 128 GiB.
	UnpackedBytes int64
	// Entries is the number of archive entries of all layers: 1,000,000.
	// Each costs about 400 bytes of memory during the flattening.
	Entries int
}

func (o Options) withDefaults() Options {
	if o.Architecture == "" {
		o.Architecture = runtime.GOARCH
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Limits.LayerBytes == 0 {
		o.Limits.LayerBytes = 32 << 30
	}
	if o.Limits.UnpackedBytes == 0 {
		o.Limits.UnpackedBytes = 128 << 30
	}
	if o.Limits.Entries == 0 {
		o.Limits.Entries = 1_000_000
	}
	return o
}
