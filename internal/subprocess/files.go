package subprocess

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// FileSender passes open files to a child process over a Unix socket.
type FileSender struct {
	mu   sync.Mutex
	conn *net.UnixConn
	last uint64
}

// NewFileSender makes a sender and the other end of its socket, which is for
// the child and is the caller's to close.
func NewFileSender() (*FileSender, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "files")
	conn, err := unixConn(os.NewFile(uintptr(fds[0]), "files"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return &FileSender{conn: conn}, theirs, nil
}

// unixConn takes the file over.
func unixConn(f *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("files socket: %w", err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("files socket: a %T", conn), conn.Close())
	}
	return u, nil
}

// Send passes a file on and returns its number, which is never 0. The file
// stays the caller's. It fails when the child takes nothing for the given time.
func (s *FileSender) Send(f *os.File, patience time.Duration) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	if err := s.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, fmt.Errorf("pass a file: %w", err)
	}
	packet := binary.LittleEndian.AppendUint64(nil, s.last)
	if _, _, err := s.conn.WriteMsgUnix(packet, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return 0, fmt.Errorf("pass a file: %w", err)
	}
	return s.last, nil
}

// Close ends the socket.
func (s *FileSender) Close() error { return s.conn.Close() }

// FileReceiver is the child's side: it holds the files that came until they are
// taken.
type FileReceiver struct {
	conn *net.UnixConn

	mu      sync.Mutex
	files   map[uint64]*os.File
	changed chan struct{} // closed and replaced when a file comes
	err     error         // no more will come
}

// NewFileReceiver takes over the socket, starting to receive.
func NewFileReceiver(f *os.File) (*FileReceiver, error) {
	conn, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	r := &FileReceiver{conn: conn, files: map[uint64]*os.File{}, changed: make(chan struct{})}
	go func() {
		for {
			number, file, err := r.receive()
			if !r.add(number, file, err) {
				return
			}
		}
	}()
	return r, nil
}

func (r *FileReceiver) receive() (uint64, *os.File, error) {
	var packet [8]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := r.conn.ReadMsgUnix(packet[:], oob)
	if err != nil {
		return 0, nil, fmt.Errorf("receive a file: %w", err)
	}
	if n != len(packet) {
		return 0, nil, fmt.Errorf("receive a file: a packet of %d bytes", n)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, fmt.Errorf("receive a file: %w", err)
	}
	if len(messages) != 1 {
		return 0, nil, fmt.Errorf("receive a file: %d control messages", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, nil, fmt.Errorf("receive a file: %w", err)
	}
	if len(fds) != 1 {
		return 0, nil, fmt.Errorf("receive a file: %d descriptors", len(fds))
	}
	return binary.LittleEndian.Uint64(packet[:]), os.NewFile(uintptr(fds[0]), "received"), nil
}

func (r *FileReceiver) add(number uint64, file *os.File, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	} else {
		r.files[number] = file
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return err == nil
}

// Take returns the file with a number, waiting until it has come. It is the
// caller's to close.
func (r *FileReceiver) Take(ctx context.Context, number uint64) (*os.File, error) {
	for {
		r.mu.Lock()
		file, ok := r.files[number]
		delete(r.files, number)
		changed, err := r.changed, r.err
		r.mu.Unlock()
		if ok {
			return file, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close ends the socket and closes the files that nobody took.
func (r *FileReceiver) Close() error {
	err := r.conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, f := range r.files {
		err = errors.Join(err, f.Close())
		delete(r.files, number)
	}
	return err
}
