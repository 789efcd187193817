// Package machine says what a benchmark ran on and what it used: processor,
// memory, system and versions, peak memory of the process, energy.
//
// It reads what the system offers and leaves empty what it does not: no reading
// is ever estimated. Linux is read in full, other systems in part.
package machine
