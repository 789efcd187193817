// Package stats has the few statistics that benchmark reports need: order
// statistics of a sample and the Mann-Whitney U test between two.
package stats
