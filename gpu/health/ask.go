package health

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/gristmill-zk/gristmill/internal/subprocess"
)

// DefaultTimeout is how long a program that asks the driver may take. It takes
// seconds when a driver has to wake its devices.
const DefaultTimeout = 15 * time.Second

// maxAnswer bounds what is read of a program's answer.
const maxAnswer = 1 << 20

// asker runs a program that asks the driver, one at a time: while one that was
// killed does not end, no other is started.
type asker struct {
	hung <-chan struct{} // closed when a program that did not end has ended
}

// ask returns what the command, called who for people, printed. A timeout of 0
// is DefaultTimeout. Fails with ErrTimeout, the cause of ctx, or as
// subprocess.Ask does.
func (a *asker) ask(ctx context.Context, who string, timeout time.Duration, command []string) (subprocess.Answer, error) {
	if a.hung != nil {
		select {
		case <-a.hung:
			a.hung = nil
		default:
			return subprocess.Answer{}, fmt.Errorf("%w: %s, started earlier, does not end although it was killed", ErrTimeout, who)
		}
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	running, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	answer, err := subprocess.Ask(running, maxAnswer, exec.Command(command[0], command[1:]...))
	undying := errors.Is(err, subprocess.ErrUndying)
	if undying {
		a.hung = answer.Gone
	}
	switch {
	case ctx.Err() != nil:
		return subprocess.Answer{}, context.Cause(ctx)
	case undying:
		return subprocess.Answer{}, fmt.Errorf("%w: %s does not end although it was killed", ErrTimeout, who)
	case running.Err() != nil && err != nil:
		return subprocess.Answer{}, fmt.Errorf("%w: %s took longer than %v", ErrTimeout, who, timeout)
	}
	return answer, err
}
