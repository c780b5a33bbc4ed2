package api

// VolumeMount places a volume in a container.
type VolumeMount struct {
	Name string `json:"name"`
	// MountPath is absolute and not the root.
	MountPath string `json:"mountPath"`
	// SubPath is the file or directory of the volume that is shown: a relative path
	// without "..". A directory that does not exist is made; symlinks may not lead out of
	// the volume. What is shown of a secret stays as it was when the container started.
	// Empty: the whole volume.
	SubPath  string `json:"subPath,omitempty"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Volume is storage that containers of one instance share. Exactly one source
// is set.
type Volume struct {
	Name string `json:"name"`
	// EmptyDir starts empty and goes with the instance.
	EmptyDir *EmptyDir `json:"emptyDir,omitempty"`
	// Files are given inline, read-only.
	Files *FilesVolume `json:"files,omitempty"`
	// Secret is read-only; its keys are the file names. The files follow the secret.
	Secret *SecretVolume `json:"secret,omitempty"`
	// Projected has the files of several secrets, as Secret has those of one.
	Projected *ProjectedVolume `json:"projected,omitempty"`
	// Disk is a named disk, whose content stays.
	Disk *DiskVolume `json:"disk,omitempty"`
	// NFS is a directory of an NFS server.
	NFS *NFSVolume `json:"nfs,omitempty"`
}

// DiskVolume is a disk of this host. The instance gets the disk's kind of isolation, and has
// the disk until its end; no other instance can have it then.
type DiskVolume struct {
	// Name or ID of the disk.
	Name string `json:"name"`
}

// NFSVolume is a directory of an NFS server, which the kernel of a virtual machine mounts: the
// instance must be one. What is in it is the server's, and counts for no limit of the
// instance's.
type NFSVolume struct {
	// Server is an IP address, or a name that the instance's name servers know.
	Server string `json:"server"`
	// Path of the directory on the server: absolute, in its shortest form.
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Version of the protocol: 3, 4.0, 4.1, 4.2, or 4 for the highest of those that begin with
	// it. Default: the highest that the server has.
	Version string `json:"version,omitempty"`
}

// EmptyDir is a scratch directory.
type EmptyDir struct {
	// Medium is "" (disk) or "Memory", which counts against the instance's memory.
	Medium string `json:"medium,omitempty"`
	// SizeLimit bounds it. Default: the instance's ephemeral storage on disk,
	// half its memory in memory.
	SizeLimit Bytes `json:"sizeLimit,omitempty"`
}

// FilesVolume holds small files given in the spec; at most 1 MiB in all.
type FilesVolume struct {
	Items []FileItem `json:"items"`
}

// FileItem is one inline file. Content and ContentBase64 exclude each other.
type FileItem struct {
	// Path is relative to the mount, without "..".
	Path          string `json:"path"`
	Content       string `json:"content,omitempty"`
	ContentBase64 string `json:"contentBase64,omitempty"`
	// Mode is the permission bits in octal, such as "0600". Default "0644".
	Mode string `json:"mode,omitempty"`
}

// SecretVolume shows a secret's keys as files. When the secret changes so do the files, all
// at once: a program that reads them sees the old ones or the new ones. Its files are at
// most 1 MiB in all.
type SecretVolume struct {
	SecretName string `json:"secretName"`
	// DefaultMode is the files' permission bits in octal. Default "0400".
	DefaultMode string `json:"defaultMode,omitempty"`
	// Items choose keys and say where their files are. Empty: every key, as a file
	// of that name.
	Items []KeyToPath `json:"items,omitempty"`
	// Optional: a secret or a key that does not exist is left out, and there when it comes.
	Optional bool `json:"optional,omitempty"`
}

// ProjectedVolume shows the keys of several secrets as files of one directory, which
// change as those of a SecretVolume do, each secret at a time.
type ProjectedVolume struct {
	// DefaultMode is the files' permission bits in octal. Default "0400".
	DefaultMode string `json:"defaultMode,omitempty"`
	// Sources of files; a later one of the same path wins.
	Sources []VolumeProjection `json:"sources"`
}

// VolumeProjection is a source of files. Secret has to be set.
type VolumeProjection struct {
	Secret *SecretProjection `json:"secret,omitempty"`
}

// SecretProjection is a secret among the sources of a volume.
type SecretProjection struct {
	Name string `json:"name"`
	// Items choose keys and say where their files are. Empty: every key, as a file
	// of that name.
	Items []KeyToPath `json:"items,omitempty"`
	// Optional: a secret or a key that does not exist is left out, and there when it comes.
	Optional bool `json:"optional,omitempty"`
}

// KeyToPath makes a file of one key of a secret.
type KeyToPath struct {
	Key string `json:"key"`
	// Path is relative to the mount, without "..", which may not begin it either.
	Path string `json:"path"`
	// Mode is the permission bits in octal. Default: the volume's DefaultMode.
	Mode string `json:"mode,omitempty"`
}
