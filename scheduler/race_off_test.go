//go:build !race

package scheduler_test

// propertyChecks is how often a stateful property is tried; each makes
// hundreds of durable writes.
const propertyChecks = "50"
