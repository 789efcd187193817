package devnet

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/gristmill-zk/gristmill/internal/durable"
	"github.com/gristmill-zk/gristmill/internal/failpoint"
)

// The file is a 16-byte title and then records: a header that carries its own
// checksum, so that a damaged length is told from a torn tail, and the block
// as RLP.
const (
	logTitle     = "gristmill-blk-1\n"
	recordMagic  = "GBLK"
	recordHeader = 4 + 8 + 32 + 32 + 4 + 4 + 4 // magic, number, hash, parent, length, crc, header crc
	maxRecord    = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record says where a sealed block lies in the file.
type record struct {
	number       uint64
	hash, parent common.Hash
	offset       int64 // of the payload
	length       uint32
	crc          uint32
}

func (r record) end() int64 { return r.offset + int64(r.length) }

func (r record) encodeHeader() []byte {
	b := make([]byte, 0, recordHeader)
	b = append(b, recordMagic...)
	b = binary.BigEndian.AppendUint64(b, r.number)
	b = append(b, r.hash[:]...)
	b = append(b, r.parent[:]...)
	b = binary.BigEndian.AppendUint32(b, r.length)
	b = binary.BigEndian.AppendUint32(b, r.crc)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeRecordHeader(b []byte, at int64) (record, bool) {
	sum := binary.BigEndian.Uint32(b[recordHeader-4 : recordHeader])
	if string(b[:4]) != recordMagic || crc32.Checksum(b[:recordHeader-4], castagnoli) != sum {
		return record{}, false
	}
	r := record{
		number: binary.BigEndian.Uint64(b[4:]),
		hash:   common.BytesToHash(b[12:44]),
		parent: common.BytesToHash(b[44:76]),
		offset: at + recordHeader,
		length: binary.BigEndian.Uint32(b[76:]),
		crc:    binary.BigEndian.Uint32(b[80:]),
	}
	return r, r.length <= maxRecord
}

// blockLog is the durable list of sealed blocks. The newest record is the head
// of the chain; blocks that a reorganisation dropped stay in the file.
type blockLog struct {
	file    *os.File
	records []record
	byHash  map[common.Hash]int
	broken  error // a failed write that could not be undone
}

// openLog reads and checks the whole log at path, made when absent.
func openLog(path string, logger *slog.Logger) (*blockLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("devnet: block log: %w", err)
	}
	l := &blockLog{file: file, byHash: map[common.Hash]int{}}
	if err := l.load(logger); err != nil {
		return nil, errors.Join(fmt.Errorf("devnet: block log %s: %w", path, err), file.Close())
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("devnet: block log: %w", err), file.Close())
	}
	return l, nil
}

func (l *blockLog) load(logger *slog.Logger) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	in := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, size), 1<<20)
	title := make([]byte, min(size, int64(len(logTitle))))
	if _, err := io.ReadFull(in, title); err != nil {
		return err
	}
	if len(title) < len(logTitle) && strings.HasPrefix(logTitle, string(title)) {
		return l.rewriteTitle()
	}
	if string(title) != logTitle {
		return errors.New("its first bytes are not those of a block log")
	}
	for l.size() < size {
		r, ok, err := nextRecord(in, l.size(), size)
		if err != nil {
			return err
		}
		if !ok {
			return l.cutTail(size, logger)
		}
		if err := l.checkParent(r); err != nil {
			return err
		}
		l.add(r)
	}
	return nil
}

// cutTail drops the record that could not be read, if it is the last one.
func (l *blockLog) cutTail(size int64, logger *slog.Logger) error {
	at := l.size()
	rest := make([]byte, size-at)
	if _, err := l.file.ReadAt(rest, at); err != nil {
		return err
	}
	if findRecord(rest, 1) >= 0 {
		return fmt.Errorf("record %d at byte %d is damaged and records follow it", len(l.records), at)
	}
	logger.Warn("cut a torn record off the block log", "record", len(l.records), "bytes", len(rest))
	return l.truncate(at)
}

// nextRecord reads the record at a byte offset and checks its payload.
func nextRecord(in io.Reader, at, size int64) (record, bool, error) {
	if size-at < recordHeader {
		return record{}, false, nil
	}
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(in, header); err != nil {
		return record{}, false, err
	}
	r, ok := decodeRecordHeader(header, at)
	if !ok || r.end() > size {
		return record{}, false, nil
	}
	sum := crc32.New(castagnoli)
	if _, err := io.CopyN(sum, in, int64(r.length)); err != nil {
		return record{}, false, err
	}
	return r, sum.Sum32() == r.crc, nil
}

// findRecord is the offset of the first record header at or after from, -1
// when there is none. A damaged payload still counts: the header proves that
// a record was begun there.
func findRecord(data []byte, from int64) int64 {
	for from < int64(len(data)) {
		i := bytes.Index(data[from:], []byte(recordMagic))
		if i < 0 {
			return -1
		}
		from += int64(i)
		if int64(len(data))-from < recordHeader {
			return -1
		}
		if _, ok := decodeRecordHeader(data[from:], from); ok {
			return from
		}
		from++
	}
	return -1
}

func (l *blockLog) checkParent(r record) error {
	if len(l.records) == 0 {
		return nil // checked against the genesis block by canonical
	}
	if _, ok := l.byHash[r.parent]; !ok && r.parent != l.records[0].parent {
		return fmt.Errorf("record %d (block %d) follows a block that is not in the log", len(l.records), r.number)
	}
	return nil
}

func (l *blockLog) add(r record) {
	l.byHash[r.hash] = len(l.records)
	l.records = append(l.records, r)
}

func (l *blockLog) size() int64 {
	if len(l.records) == 0 {
		return int64(len(logTitle))
	}
	return l.records[len(l.records)-1].end()
}

func (l *blockLog) rewriteTitle() error {
	if err := l.truncate(0); err != nil {
		return err
	}
	if _, err := l.file.WriteAt([]byte(logTitle), 0); err != nil {
		return err
	}
	return l.file.Sync()
}

func (l *blockLog) truncate(to int64) error {
	if err := l.file.Truncate(to); err != nil {
		return fmt.Errorf("truncate to %d bytes: %w", to, err)
	}
	return l.file.Sync()
}

// append makes a block durable; it is the new head of the log.
func (l *blockLog) append(b *types.Block) error {
	if l.broken != nil {
		return l.broken
	}
	payload, err := rlp.EncodeToBytes(b)
	if err != nil {
		return fmt.Errorf("devnet: encode block %d: %w", b.NumberU64(), err)
	}
	if len(payload) > maxRecord {
		return fmt.Errorf("devnet: block %d has %d bytes, the log takes %d", b.NumberU64(), len(payload), maxRecord)
	}
	at := l.size()
	r := record{
		number: b.NumberU64(), hash: b.Hash(), parent: b.ParentHash(),
		offset: at + recordHeader, length: uint32(len(payload)), crc: crc32.Checksum(payload, castagnoli),
	}
	failpoint.Hit("devnet.log.before")
	if err := l.write(append(r.encodeHeader(), payload...), at); err != nil {
		return fmt.Errorf("devnet: log block %d: %w", b.NumberU64(), err)
	}
	failpoint.Hit("devnet.log.after")
	l.add(r)
	return nil
}

func (l *blockLog) write(b []byte, at int64) error {
	_, err := l.file.WriteAt(b, at)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		return nil
	}
	if terr := l.truncate(at); terr != nil {
		l.broken = errors.Join(err, terr)
	}
	return err
}

// dropLast takes the newest record back, for a block that proved invalid.
func (l *blockLog) dropLast() error {
	last := l.records[len(l.records)-1]
	l.records = l.records[:len(l.records)-1]
	delete(l.byHash, last.hash)
	if err := l.truncate(l.size()); err != nil {
		l.broken = err
		return err
	}
	return nil
}

// canonical lists the records from the first block after genesis to the head.
func (l *blockLog) canonical(genesis common.Hash) ([]record, error) {
	if len(l.records) == 0 {
		return nil, nil
	}
	head := l.records[len(l.records)-1]
	chain := make([]record, head.number)
	for r := head; ; {
		if r.number == 0 || r.number > uint64(len(chain)) {
			return nil, fmt.Errorf("devnet: block log: block %d (%s) is numbered out of order", r.number, r.hash)
		}
		chain[r.number-1] = r
		if r.parent == genesis {
			if r.number != 1 {
				return nil, fmt.Errorf("devnet: block log: block %d (%s) follows the genesis block", r.number, r.hash)
			}
			return chain, nil
		}
		i, ok := l.byHash[r.parent]
		if !ok || l.records[i].number != r.number-1 {
			return nil, fmt.Errorf("devnet: block log: block %d does not descend from the genesis block %s", r.number, genesis)
		}
		r = l.records[i]
	}
}

// read decodes the block of a record.
func (l *blockLog) read(r record) (*types.Block, error) {
	payload := make([]byte, r.length)
	if _, err := l.file.ReadAt(payload, r.offset); err != nil {
		return nil, fmt.Errorf("devnet: block log: block %d: %w", r.number, err)
	}
	var b types.Block
	if err := rlp.DecodeBytes(payload, &b); err != nil {
		return nil, fmt.Errorf("devnet: block log: block %d: %w", r.number, err)
	}
	if b.Hash() != r.hash {
		return nil, fmt.Errorf("devnet: block log: block %d hashes to %s, its record says %s", r.number, b.Hash(), r.hash)
	}
	return &b, nil
}

func (l *blockLog) close() error { return l.file.Close() }
