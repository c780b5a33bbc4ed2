package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"cis/api"
	"cis/internal/busybox"
)

// marked makes an image that differs from others by a file with a mark.
func (e *env) marked(mark string) v1.Image {
	e.Helper()
	layer, err := busybox.Layer(busybox.File{Name: "etc/mark", Content: []byte(mark + "\n")})
	if err != nil {
		e.Fatal(err)
	}
	img, err := e.stage.NewImage(busybox.Options{Layers: []v1.Layer{layer}})
	if err != nil {
		e.Fatal(err)
	}
	return img
}

// push pushes a marked image and returns its reference.
func (e *env) push(tag, mark string) string {
	e.Helper()
	ref := e.stage.Registry + "/" + tag
	if err := busybox.Push(e.Context(), ref, e.marked(mark)); err != nil {
		e.Fatal(err)
	}
	return ref
}

// mark is what an image's file says, run with more flags.
func (e *env) mark(ref string, flags ...string) string {
	e.Helper()
	return strings.TrimSpace(e.ok(append(append([]string{"run", "--rm"}, flags...), ref, "cat", "/etc/mark")...))
}

var imageTests = tests{
	"pull policies": func(e *env) {
		ref := e.push("policies:1", "old")
		e.fails(125, []string{"policies"}, "run", "--rm", "--pull", "never", ref, "true")
		e.equal("first pull", e.mark(ref), "old")
		e.push("policies:1", "new")
		e.equal("missing", e.mark(ref, "--pull", "missing"), "old")
		e.equal("never", e.mark(ref, "--pull", "never"), "old")
		e.equal("always", e.mark(ref, "--pull", "always"), "new")
		e.equal("missing, after that", e.mark(ref), "new")
	},
	"latest is pulled again": func(e *env) {
		ref := e.push("moving:latest", "old")
		e.equal("first", e.mark(ref), "old")
		e.push("moving:latest", "new")
		e.equal("second", e.mark(ref), "new")
	},
	"by digest": func(e *env) {
		e.push("digest:1", "pinned")
		d, err := e.marked("pinned").Digest()
		if err != nil {
			e.Fatal(err)
		}
		e.equal("mark", e.mark(e.stage.Registry+"/digest@"+d.String()), "pinned")
		zero := "sha256:" + strings.Repeat("0", 64)
		e.fails(125, []string{zero[:19]}, "run", "--rm", e.stage.Registry+"/digest@"+zero, "true")
	},
	"what cannot be pulled is told": func(e *env) {
		e.fails(125, []string{"nosuch"}, "run", "--rm", e.stage.Registry+"/nosuch:1", "true")
		name := e.create(api.InstanceSpec{RestartPolicy: api.RestartAlways, Containers: []api.Container{{Image: e.stage.Registry + "/nosuch:1"}}})
		e.when(name, "waiting with ImagePullBackOff", func(in api.Instance) bool {
			for _, c := range in.Status.ContainerStatuses {
				if w := c.State.Waiting; w != nil && w.Reason == api.ReasonImagePullBackOff {
					return true
				}
			}
			return false
		})
	},
	"list, pull, rm": func(e *env) {
		ref := e.push("listed:1", "listed")
		digest := strings.TrimSpace(e.ok("image", "pull", "-q", ref))
		want, err := e.marked("listed").Digest()
		if err != nil {
			e.Fatal(err)
		}
		e.equal("digest", digest, want.String())
		var images []api.Image
		if err := json.Unmarshal([]byte(e.ok("images", "-o", "json")), &images); err != nil {
			e.Fatal(err)
		}
		if !strings.Contains(e.ok("image", "list", "-o", "name"), "listed:1") {
			e.Error("the list does not have it")
		}
		holder := e.name()
		e.ok("run", "-d", "--name", holder, ref, "sleep", "1000")
		e.fails(1, []string{"listed"}, "image", "rm", ref)
		e.ok("rm", "-f", holder)
		e.until("it can be removed", func() bool { return e.cis("image", "rm", ref).Code == 0 })
		if strings.Contains(e.ok("images", "-q"), digest) {
			e.Error("it is still there")
		}
	},
	"import": func(e *env) {
		dir, img := e.TempDir(), e.marked("imported")
		archive := filepath.Join(dir, "docker.tar")
		tag, err := name.NewTag("localhost/from-archive:1")
		if err != nil {
			e.Fatal(err)
		}
		if err := tarball.WriteToFile(archive, tag, img); err != nil {
			e.Fatal(err)
		}
		e.ok("image", "import", archive, "imported:archive")
		e.equal("docker-archive", e.mark("imported:archive", "--pull", "never"), "imported")

		if _, err := layout.Write(filepath.Join(dir, "oci"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})); err != nil {
			e.Fatal(err)
		}
		e.ok("image", "import", filepath.Join(dir, "oci"), "imported:layout")
		e.equal("OCI layout", e.mark("imported:layout", "--pull", "never"), "imported")

		root, err := os.Create(filepath.Join(dir, "root.tar"))
		if err != nil {
			e.Fatal(err)
		}
		defer root.Close()
		files := mutate.Extract(img)
		defer files.Close()
		if _, err := root.ReadFrom(files); err != nil {
			e.Fatal(err)
		}
		e.ok("image", "import", root.Name(), "imported:root")
		e.equal("root tar", e.mark("imported:root", "--pull", "never"), "imported")
	},
	"credentials": func(e *env) {
		private, err := e.stage.PrivateRegistry(e.Context())
		if err != nil {
			e.Fatal(err)
		}
		ref := private + "/secret:1"
		if err := e.stage.PushPrivate(e.Context(), ref, e.marked("private")); err != nil {
			e.Fatal(err)
		}
		e.fails(125, []string{"secret"}, "run", "--rm", ref, "true")
		e.fails(125, []string{"secret"}, "run", "--rm", "--registry-auth", "user:wrong", ref, "true")
		secret := "pull-" + e.name()
		e.ok("secret", "create", secret, "--registry", private, "--registry-auth", "user:secret")
		e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "secret", "rm", secret) })
		e.equal("by secret", e.mark(ref, "--pull", "always", "--pull-secret", secret), "private")
		e.equal("by request", e.mark(ref, "--pull", "always", "--registry-auth", "user:secret"), "private")
	},
}
