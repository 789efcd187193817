// Package oci carries bundles to and from OCI registries and OCI image layouts,
// so that what already stores container images stores circuits.
//
// A bundle is one image manifest: its config is the bundle's manifest.json, and
// it has one layer for each part and one for the signatures, if there are any.
// Names and paths are those of manifest.json alone; titles in the artifact are
// for people. Nothing in an artifact depends on when or where it was pushed, so
// the same bundle with the same signatures has the same digest everywhere.
//
// The digest of a bundle is not the digest of its artifact, which has the
// signatures as well. So [Push] gives an artifact two tags: the one that it is
// told, and the bundle's digest in hexadecimal. By the latter a [Source] finds it.
//
// A registry is trusted with nothing. [Pull] takes one kind of manifest, never
// an index, holds every size against a limit before it asks for the bytes, and
// leaves the rest to [bundle.Receive].
package oci
