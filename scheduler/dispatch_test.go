package scheduler_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gristmill-zk/gristmill/scheduler"
)

// TestJobThatFitsNoEnvelopeHoldsNobodyUp: what a project wrote into its version
// must not keep the tasks of others from the workers.
func TestJobThatFitsNoEnvelopeHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	// Valid on chain, but each byte takes six in JSON.
	e.chain.Set(func(c *fakeChain) {
		c.version.BundleURI = strings.Repeat("<", 1024)
		c.urls = append(c.urls, manyURLs()...)
	})
	s, _ := e.start(t)
	id := e.mine(t, me)
	require.Contains(t, await(t, s, id, scheduler.Declined).Reason, "unqueueable")
	require.Nil(t, e.queue.Take())
}

// manyURLs are as many and as long as the contracts take, and grow in JSON too.
func manyURLs() []string {
	var urls []string
	for i := range 7 {
		urls = append(urls, "http://h/"+string(rune('a'+i))+strings.Repeat("&", 246))
	}
	return urls
}
