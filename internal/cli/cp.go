package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) cpCommand() *cobra.Command {
	var container string
	cmd := &cobra.Command{
		Use:   "cp NAME:PATH LOCAL | LOCAL NAME:PATH",
		Short: "Copy files between an instance and here",
		Long: "Copy a file or a directory into or out of a running instance, as cp -r does:\n" +
			"into a directory that exists, else to the new name. SOURCE/. copies what is in a\n" +
			"directory. - is a tar stream on standard input or output.",
		Example: example(`
cis cp web:/etc/nginx/nginx.conf .
cis cp site/. web:/usr/share/nginx/html
cis cp web:/var/log - | tar t
tar c data | cis cp - job:/work`),
		Args:              usageArgs(cobra.ExactArgs(2)),
		ValidArgsFunction: a.completeCopy,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.copy(cmd.Context(), container, args[0], args[1])
		},
	}
	cmd.Flags().StringVarP(&container, "container", "c", "", "container (default: the first)")
	return cmd
}

// place is one side of a copy. Instance is empty for a local path.
type place struct {
	instance, path string
	// contents: the path ended in /. and means what is in the directory.
	contents bool
	// dir: the path ended in /, so it can only be a directory.
	dir bool
}

func (p place) stream() bool { return p.instance == "" && p.path == "-" }

// parsePlace reads an argument of cp. A local path with a colon is written ./a:b.
func parsePlace(arg string) (place, error) {
	p := place{path: arg}
	if name, inside, ok := strings.Cut(arg, ":"); ok && name != "" && !strings.ContainsAny(name, "/.") {
		if inside == "" {
			return p, usagef("%q has no path: use NAME:PATH", arg)
		}
		p.instance, p.path = name, inside
		// A path inside that is not absolute begins at the root.
		if !path.IsAbs(p.path) {
			p.path = "/" + p.path
		}
	}
	if p.path == "" {
		return p, usagef("a path must not be empty")
	}
	if p.stream() {
		return p, nil
	}
	p.contents = p.path == "." || strings.HasSuffix(p.path, "/.")
	p.dir = p.contents || strings.HasSuffix(p.path, "/")
	p.path = filepath.Clean(p.path)
	return p, nil
}

func (a *app) copy(ctx context.Context, container, from, to string) error {
	src, err := parsePlace(from)
	if err != nil {
		return err
	}
	dst, err := parsePlace(to)
	if err != nil {
		return err
	}
	if (src.instance == "") == (dst.instance == "") {
		return usagef("one side must be NAME:PATH, the other a local path or -")
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	copier := copier{app: a, ctx: ctx, conn: c, container: container}
	if src.instance != "" {
		return copier.out(src, dst)
	}
	return copier.in(src, dst)
}

// copier is one copy.
type copier struct {
	app       *app
	ctx       context.Context
	conn      *client.Client
	container string
}

// out copies from an instance.
func (c *copier) out(src, dst place) error {
	if dst.stream() {
		if isTerminal(c.app.Out) {
			return usagef("a tar stream does not belong on a terminal: send it to a file or a pipe")
		}
		return c.conn.CopyOut(c.ctx, src.instance, c.container, src.path, c.app.Out)
	}
	from := src
	if src.dir { // then a link means the directory that it leads to
		if header, target, err := c.stat(src); err != nil {
			return err
		} else if header != nil {
			from = target
		}
	}
	return c.read(from, func(r *tar.Reader, first *tar.Header) error {
		isDir := first.Typeflag == tar.TypeDir
		if src.dir && !isDir {
			return api.Errorf(api.Invalid, "%s:%s is not a directory", src.instance, src.path)
		}
		dir, name, err := localTarget(src, dst, isDir)
		if err != nil {
			return err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		x := extractor{root: root, base: rootName(first.Name), name: name, warn: c.app.Err}
		return x.extract(r, first)
	})
}

// localTarget decides in which existing directory a copy arrives, and its name there.
func localTarget(src, dst place, isDir bool) (dir, name string, err error) {
	info, err := os.Stat(dst.path)
	switch {
	case err == nil && info.IsDir():
		if src.contents {
			return dst.path, ".", nil
		}
		if src.path == "/" {
			return dst.path, ".", nil
		}
		return dst.path, path.Base(src.path), nil
	case err == nil && isDir:
		return "", "", fmt.Errorf("%s is a file, and a directory cannot replace it", dst.path)
	case err == nil && dst.dir:
		return "", "", fmt.Errorf("%s is not a directory", dst.path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", "", err
	case err != nil && dst.dir && !isDir:
		return "", "", fmt.Errorf("there is no directory %s", dst.path)
	}
	return filepath.Dir(dst.path), filepath.Base(dst.path), nil
}

// read hands the tar of a path inside to fn, with its first entry read.
func (c *copier) read(p place, fn func(*tar.Reader, *tar.Header) error) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := c.conn.CopyOut(ctx, p.instance, c.container, p.path, pw)
		pw.CloseWithError(err) // nil is the end of the stream
		done <- err
	}()
	r := tar.NewReader(pr)
	first, err := r.Next()
	if err == nil {
		err = fn(r, first)
	} else if err == io.EOF {
		err = api.Errorf(api.NotFound, "%s:%s gave nothing to copy", p.instance, p.path)
	}
	pr.CloseWithError(errEnough)
	cancel()
	if copyErr := <-done; err == nil && copyErr != nil && c.ctx.Err() == nil && !errors.Is(copyErr, errEnough) && !errors.Is(copyErr, context.Canceled) {
		return copyErr
	}
	return err
}

// errEnough ends a stream of which no more is wanted.
var errEnough = errors.New("no more is wanted")

// stat finds what a path inside is, by the first entry of its tar: symbolic links
// are followed as the instance would. Nil when there is nothing.
func (c *copier) stat(p place) (*tar.Header, place, error) {
	for range 40 { // as many links as Linux follows
		var first *tar.Header
		err := c.read(p, func(_ *tar.Reader, h *tar.Header) error { first = h; return nil })
		if isMissingPath(err) {
			return nil, p, nil
		}
		if err != nil {
			return nil, p, err
		}
		if first.Typeflag != tar.TypeSymlink {
			return first, p, nil
		}
		target := first.Linkname
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(p.path), target)
		}
		p.path = path.Clean(target)
	}
	return nil, p, api.Errorf(api.Invalid, "%s:%s: too many symbolic links", p.instance, p.path)
}

// isMissingPath tells a missing path from a missing container; that the instance
// is there was checked before.
func isMissingPath(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == api.NotFound && e.Field != "container"
}

// in copies into an instance.
func (c *copier) in(src, dst place) error {
	if _, err := c.conn.Get(c.ctx, dst.instance); err != nil {
		return err
	}
	header, target, err := c.stat(dst)
	if err != nil {
		return err
	}
	exists, isDir := header != nil, header != nil && header.Typeflag == tar.TypeDir
	if src.stream() {
		if !isDir {
			return api.Errorf(api.Invalid, "%s:%s is not a directory", dst.instance, dst.path).WithNext("a tar stream is unpacked into a directory")
		}
		return c.conn.CopyIn(c.ctx, dst.instance, c.container, target.path, c.app.In)
	}
	info, err := os.Lstat(src.path)
	if err == nil && src.dir {
		info, err = os.Stat(src.path)
	}
	switch {
	case err != nil:
		return err
	case src.dir && !info.IsDir():
		return fmt.Errorf("%s is not a directory", src.path)
	case exists && !isDir && info.IsDir():
		return api.Errorf(api.Invalid, "%s:%s is a file, and a directory cannot replace it", dst.instance, dst.path)
	case !isDir && dst.dir && (exists || !info.IsDir()):
		return api.Errorf(api.NotFound, "there is no directory %s:%s", dst.instance, dst.path)
	}
	dir, name := path.Dir(target.path), path.Base(target.path)
	if isDir {
		dir, name = target.path, filepath.Base(mustAbs(src.path))
		if src.contents {
			name = "."
		}
	}
	return c.write(src.path, place{instance: dst.instance, path: dir}, name)
}

// mustAbs names a local path such as . or .. by what it is.
func mustAbs(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

// write packs a local file or directory under a name, and unpacks it in dir.
func (c *copier) write(local string, dir place, name string) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	pr, pw := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packTree(pw, local, name)
		pw.CloseWithError(err)
		packed <- err
	}()
	err := c.conn.CopyIn(ctx, dir.instance, c.container, dir.path, pr)
	pr.CloseWithError(errEnough)
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, errEnough) {
		return packErr
	}
	return err
}
