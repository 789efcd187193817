// Package oci carries bundles to and from OCI registries and OCI image layouts,
// so that what already stores container images stores circuits.
//
// A bundle is one image manifest: its config is the bundle's manifest.json, and
// it has one layer for each part and one for the signatures, if there are any.
// Names and paths are those of manifest.json alone; titles in the artifact are
// for people. Nothing in an artifact depends on when or where it was pushed, so
// the same bundle with the same signatures has the same digest everywhere.
//
// A registry is trusted with nothing. [Pull] takes one kind of manifest, never
// an index, holds every size against a limit before it asks for the bytes, and
// hashes what comes while it is written to a directory of its own. Only a whole
// bundle whose known answer proves is moved to its place; after any error
// nothing is left.
package oci
