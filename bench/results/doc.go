// Package results is the record of a benchmark and its forms: results.json,
// which is the record itself, results.csv, results.md and a page, index.html,
// that needs nothing but itself. Compare holds two records against each other.
//
// A record is written whole or not at all: each file replaces its predecessor in
// one step, and results.json comes last.
package results
