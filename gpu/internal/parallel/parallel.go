// Package parallel splits loops over vectors among goroutines.
package parallel

import (
	"sync"
	"sync/atomic"
)

// FirstBad is an index whose check failed, or -1.
func FirstBad(n, tasks int, good func(int) bool) int {
	var bad atomic.Int64
	bad.Store(-1)
	For(n, tasks, func(from, to int) {
		for i := from; i < to; i++ {
			if !good(i) {
				bad.Store(int64(i))
				return
			}
		}
	})
	return int(bad.Load())
}

// For splits 0..n among tasks goroutines and returns when all are done.
func For(n, tasks int, work func(from, to int)) {
	const least = 512 // elements that are worth a goroutine
	tasks = max(1, min(tasks, n/least))
	if tasks == 1 {
		work(0, n)
		return
	}
	var wg sync.WaitGroup
	for t := range tasks {
		wg.Go(func() { work(t*n/tasks, (t+1)*n/tasks) })
	}
	wg.Wait()
}
