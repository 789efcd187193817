// Package provingkey reads the proving keys that gnark's ProvingKey.WriteDump
// writes, and says whether a request fits one. Engines share it; what they make
// of the points is their own.
//
// Nothing in a file is believed: lengths are held against the bytes that are
// left, flags against the counts that announce them, and each point against its
// curve equation. Whether the key is right shows only in proofs that verify.
package provingkey
