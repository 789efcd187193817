//go:build race

package scheduler_test

// propertyChecks is few: field arithmetic is tens of times slower here.
const propertyChecks = "6"
