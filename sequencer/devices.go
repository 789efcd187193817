package sequencer

import (
	"sync"

	"github.com/gristmill-zk/gristmill/wire"
)

// deviceIDs remembers the ids of keys: computing one costs as much as half a
// signature check.
type deviceIDs struct {
	mu  sync.Mutex
	ids map[string]wire.Hash
}

func newDeviceIDs() *deviceIDs { return &deviceIDs{ids: map[string]wire.Hash{}} }

func (d *deviceIDs) of(key wire.DeviceKey) (wire.Hash, error) {
	name := string(rune(key.Scheme)) + string(key.Bytes)
	d.mu.Lock()
	id, ok := d.ids[name]
	d.mu.Unlock()
	if ok {
		return id, nil
	}
	id, err := key.ID()
	if err != nil {
		return id, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ids) >= cacheMost {
		clear(d.ids)
	}
	d.ids[name] = id
	return id, nil
}
