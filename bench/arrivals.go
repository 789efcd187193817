package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// poisson draws when n tasks arrive at random, with rate per second on average.
func poisson(n int, rate float64, seed uint64) []time.Duration {
	random := rand.New(rand.NewPCG(seed, 0x67726973746d696c))
	at, arrivals := 0.0, make([]time.Duration, n)
	for i := range arrivals {
		at += random.ExpFloat64() / rate
		arrivals[i] = time.Duration(at * float64(time.Second))
	}
	return arrivals
}

// openLoop serves tasks in the order of their arrival, at most servers at once.
// Tasks arrive when they do, however late the servers are, and a task's latency
// counts from its intended arrival: a server that stalls can not hide it by
// taking fewer tasks. It ends when all are served, at the first error, or with
// the cause of ctx; the tasks in service end first.
func openLoop(ctx context.Context, arrivals []time.Duration, servers int, serve func(ctx context.Context, i int) error) (latencies []time.Duration, wall time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	latencies = make([]time.Duration, len(arrivals))
	queue := make(chan int, len(arrivals)) // never full: arrivals do not wait
	var running sync.WaitGroup
	for range servers {
		running.Go(func() {
			for i := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := serve(ctx, i); err != nil {
					cancel(err)
					return
				}
				latencies[i] = time.Since(start) - arrivals[i]
			}
		})
	}
	arrive(ctx, start, arrivals, queue)
	close(queue)
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	return latencies, time.Since(start), nil
}

func arrive(ctx context.Context, start time.Time, arrivals []time.Duration, queue chan<- int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, at := range arrivals {
		timer.Reset(at - time.Since(start))
		select {
		case <-timer.C:
			queue <- i
		case <-ctx.Done():
			return
		}
	}
}
