// Package resident keeps proving keys in memory within a budget.
//
// The cache decides what stays: a key in use is never freed, the least recently
// used of the others go first, and before any goes whole they give up what they
// can do without. A key that finds no room waits for one, as long as its caller
// does; one that could never fit is refused. A key that fails to load leaves
// nothing behind, and the next caller tries again.
package resident
