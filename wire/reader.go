package wire

import (
	"encoding/binary"
	"fmt"
)

// reader takes fields off outside bytes. The first failure sticks: callers read
// all fields and ask for the error once, at the end.
type reader struct {
	rest []byte
	err  error
}

// take returns the next n bytes without copying, nil after a failure.
func (r *reader) take(field string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.rest) {
		r.err = reject(RejectTruncated, field, "needs %d bytes, %d are left", n, len(r.rest))
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) u8(field string) uint8 {
	if b := r.take(field, 1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(field string) uint16 {
	if b := r.take(field, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32(field string) uint32 {
	if b := r.take(field, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64(field string) uint64 {
	if b := r.take(field, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) hash(field string) (h Hash) {
	copy(h[:], r.take(field, len(h)))
	return h
}

func (r *reader) address(field string) (a Address) {
	copy(a[:], r.take(field, len(a)))
	return a
}

// version reads the leading version byte and refuses any but want.
func (r *reader) version(want uint8) {
	if got := r.u8("version"); r.err == nil && got != want {
		r.err = reject(RejectVersion, "version", "version %d, known is %d", got, want)
	}
}

// tag reads a fixed ASCII prefix.
func (r *reader) tag(want string) {
	if got := r.take("tag", len(want)); r.err == nil && string(got) != want {
		r.err = reject(RejectMalformed, "tag", "does not start with %q", want)
	}
}

// end refuses bytes after the last field and returns the first failure.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = reject(RejectTrailing, "", "%d bytes after the last field", len(r.rest))
	}
	return r.err
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
