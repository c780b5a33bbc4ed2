package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Fetch, list, remove and import images",
		Long:  "Fetch, list, remove and import the images on the server's disk.",
		Example: example(`
cis image pull debian:12
cis image list
cis image import rootfs.tar base:1`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.imagePullCommand(), a.imageListCommand("list"), a.imageRmCommand(), a.imageImportCommand())
	return cmd
}

func (a *app) imagesCommand() *cobra.Command { return a.imageListCommand("images") }

func (a *app) imageListCommand(name string) *cobra.Command {
	var out format
	var quiet bool
	cmd := &cobra.Command{
		Use:   name,
		Short: "List images",
		Long:  "List the images on the server's disk, with the number of instances that use each.",
		Example: example(`
cis images
cis image list -o wide
cis images -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			images, err := c.Images(cmd.Context())
			if err != nil {
				return err
			}
			if out.machine() && !quiet {
				return printList(a.Out, out, images)
			}
			return a.printImages(images, out, quiet)
		},
	}
	if name == "list" {
		cmd.Aliases = []string{"ls"}
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "digests only")
	outputFlag(cmd, &out, formatWide, formatJSON, formatYAML, formatName)
	return cmd
}

// printImages writes a row for each name of each image.
func (a *app) printImages(images []api.Image, out format, quiet bool) error {
	header := []string{"IMAGE", "DIGEST", "SIZE", "USED BY", "LAST USED"}
	if out == formatWide {
		header = append(header, "FETCHED", "CREATED")
	}
	t := newTable(a.palette(a.Out), header...)
	t.headed = quiet || out == formatName
	now := time.Now()
	for _, img := range images {
		refs := img.Refs
		if len(refs) == 0 || quiet {
			refs = []string{""}
		}
		for _, ref := range refs {
			switch {
			case quiet:
				t.add(img.Digest)
				continue
			case out == formatName:
				t.add(firstOf(ref, img.Digest))
				continue
			}
			digest := img.Digest
			if out != formatWide {
				digest = shortDigest(digest)
			}
			row := []string{ref, digest, size(img.Size), strconv.Itoa(img.InUse), agoText(now, img.LastUsed)}
			if out == formatWide {
				row = append(row, size(img.CompressedSize), agoText(now, img.Created))
			}
			t.add(row...)
		}
	}
	return t.write(a.Out)
}

func agoText(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return since(now, t) + " ago"
}

func (a *app) imagePullCommand() *cobra.Command {
	var req api.ImagePull
	var policy, auth string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "pull IMAGE",
		Short: "Fetch an image from its registry",
		Long:  "Fetch an image from its registry and print its digest. An image that is there already\nis fetched again only if its name leads elsewhere now.",
		Example: example(`
cis image pull debian:12
cis image pull --registry-auth me:TOKEN registry.example.com/app:1
cis image pull --pull-secret hub -q docker.io/me/private`),
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Ref = args[0]
			if policy != "" {
				if req.Policy, err = oneOf(policy, pullPolicies); err != nil {
					return usagef("--policy: %w", err)
				}
			}
			if auth != "" {
				if req.Auth, err = parseRegistryAuth(auth); err != nil {
					return usagef("--registry-auth: %w", err)
				}
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.withProgress(quiet, func(show func(api.Progress)) (api.Image, error) {
				return c.PullImage(cmd.Context(), req, show)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&policy, "policy", "", "always, missing or never (default always)")
	f.StringVar(&auth, "registry-auth", "", "USER:PASSWORD for the image's registry; @FILE reads it from a file")
	f.StringArrayVar(&req.Secrets, "pull-secret", nil, "secret with registry credentials (may be repeated)")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress, only the digest")
	return cmd
}

func (a *app) imageRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm IMAGE...",
		Short: "Remove images",
		Long:  "Remove images that no instance uses, by name or digest.",
		Example: example(`
cis image rm debian:12
cis image rm $(cis images -q)`),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeImages(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), args, func(ctx context.Context, c *client.Client, ref string) (string, error) {
				return ref, c.RemoveImage(ctx, ref)
			})
		},
	}
}

func (a *app) imageImportCommand() *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "import FILE [NAME]",
		Short: "Make an image from an archive",
		Long: "Make an image from an OCI layout (a tar of one, or its directory), an archive of\n" +
			"'docker save', or a tar of a root file system, and print its digest. - reads standard\n" +
			"input. NAME may be left out where the archive names its image.",
		Example: example(`
docker save app:1 | cis image import -
cis image import rootfs.tar base:1
cis image import ./oci-layout app:2`),
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref := ""
			if len(args) == 2 {
				ref = args[1]
			}
			archive, err := a.openArchive(args[0])
			if err != nil {
				return err
			}
			defer archive.Close()
			c, err := a.client()
			if err != nil {
				return err
			}
			return a.withProgress(quiet, func(show func(api.Progress)) (api.Image, error) {
				return c.ImportImage(cmd.Context(), ref, archive, show)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress, only the digest")
	return cmd
}

// openArchive opens a file, standard input, or a directory as a tar of it.
func (a *app) openArchive(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(a.In), nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.Open(file)
	}
	if _, err := os.Stat(filepath.Join(file, "oci-layout")); err != nil {
		return nil, api.Errorf(api.Invalid, "%s is a directory without an OCI layout", file).
			WithNext("for a root file system, import a tar of it: tar -C %s -c . | cis image import - NAME", file)
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(packTree(pw, file, ".")) }()
	return pr, nil
}

// withProgress shows a pull or import and prints the digest at its end.
func (a *app) withProgress(quiet bool, do func(func(api.Progress)) (api.Image, error)) error {
	p := newProgress(a, quiet)
	img, err := do(p.show)
	p.close()
	if err != nil {
		return err
	}
	if !quiet && len(img.Refs) > 0 {
		fmt.Fprintf(a.Err, "%s: %s, %s on disk\n", clean(strings.Join(img.Refs, ", ")), size(img.CompressedSize)+" fetched", size(img.Size))
	}
	fmt.Fprintln(a.Out, img.Digest)
	return nil
}
