package host

import "runtime"

// spawner starts processes from one operating system thread that lives as long
// as the host. The kernel delivers a child's parent-death signal when the
// thread that started it ends, not when the process does: a thread of Go's pool
// may end at any time.
type spawner struct {
	work chan func()
	done chan struct{}
}

func startSpawner() *spawner {
	s := &spawner{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		// Never unlocked: the thread ends with this goroutine.
		runtime.LockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

// run calls f on the thread.
func (s *spawner) run(f func() error) error {
	result := make(chan error, 1)
	s.work <- func() { result <- f() }
	return <-result
}

// stop ends the thread. Every child must be gone.
func (s *spawner) stop() {
	close(s.work)
	<-s.done
}
