package subprocess

import "runtime"

// Spawner starts processes from one operating system thread that lives until
// Stop. The kernel delivers a child's parent-death signal when the
// thread that started it ends, not when the process does: a thread of Go's pool
// may end at any time.
type Spawner struct {
	work chan func()
	done chan struct{}
}

// NewSpawner starts the thread.
func NewSpawner() *Spawner {
	s := &Spawner{work: make(chan func()), done: make(chan struct{})}
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
func (s *Spawner) run(f func() error) error {
	result := make(chan error, 1)
	s.work <- func() { result <- f() }
	return <-result
}

// Stop ends the thread. Every child must be gone.
func (s *Spawner) Stop() {
	close(s.work)
	<-s.done
}
