package image

import "strings"

// Names are each owner's own: nobody sees what another owner has pulled, and whoever asks
// for an image proves to its registry that he may have it. The files behind the names are
// shared. The empty owner is the operator, whose names were there before others had some.

// nameOf is an owner's name of an image, as the index has it. No reference has a space.
func nameOf(owner, ref string) string {
	if owner == "" || ref == "" {
		return ref
	}
	return owner + " " + ref
}

// refOf is the reference in a name, if that is the owner's.
func refOf(owner, name string) (ref string, mine bool) {
	of, ref, owned := strings.Cut(name, " ")
	if !owned {
		return name, owner == ""
	}
	return ref, of == owner
}

// ownedBy is the image as an owner sees it; false: not at all.
func (e *entry) ownedBy(owner string) (Image, bool) {
	im := e.copy()
	im.Refs = nil
	for _, name := range e.names {
		if ref, mine := refOf(owner, name); mine {
			im.Refs = append(im.Refs, ref)
		}
	}
	return im, len(im.Refs) > 0 || owner == "" && len(e.names) == 0
}
