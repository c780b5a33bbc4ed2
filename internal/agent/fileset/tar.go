package fileset

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

// end is the name of the last entry: a tar itself may stop after any.
const end = "./"

// Pack writes the files as a tar, for Unpack at the other end of a pipe.
func Pack(w io.Writer, files []File) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Mode: int64(f.Mode), Gid: int(f.Group), Size: int64(len(f.Data)), Format: tar.FormatPAX}
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
		if _, err := out.Write(f.Data); err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
	}
	err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: end, Mode: 0o755})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("pack files: %w", err)
	}
	return nil
}

// Unpack reads what Pack wrote; of a tar that is cut off it returns nothing.
func Unpack(r io.Reader) (files []File, err error) {
	in := tar.NewReader(r)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("unpack files: %w", err)
		}
		if header.Name == end {
			return files, nil
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", header.Name, err)
		}
		files = append(files, File{Path: header.Name, Mode: uint32(header.Mode), Group: uint32(header.Gid), Data: data})
	}
}
