// Package bundle is the unit in which a circuit is shipped: one directory with
// a manifest and the parts it names.
//
// The SHA-256 of manifest.json is the bundle's identity, pinned on chain; the
// manifest pins every part by size and SHA-256. So whoever trusts the digest
// trusts all of it, and nothing in the directory is believed before it was
// hashed: [Open] hashes every part each time, and [Bundle.OpenPart] hashes
// again while a part is read, since the file may have changed in between.
//
// A bundle that is damaged, of an unknown format or names a path outside its
// directory is refused with an [Error] that names the part and what is wrong;
// nothing of it is used. [Build] makes a bundle beside its final place and
// renames it, so that a directory with a manifest is always whole.
package bundle
