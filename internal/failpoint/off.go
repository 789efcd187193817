//go:build !failpoints

package failpoint

// Enabled says whether this build can be killed at failpoints.
const Enabled = false

// Hit marks a place where a crash test may kill the process.
func Hit(string) {}
