package node

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PackPayload builds a payload from a list of typed fields, as binary payloads
// of small devices usually are: "u32:1500" is four big-endian bytes, and
// "u8:1,u64:now,hex:00ff,text:ok" is thirteen, with the clock in seconds
// ("now-ms": in milliseconds). It knows nothing of any
// circuit: which fields a project wants is in the circuit's own guide.
func PackPayload(spec string) ([]byte, error) {
	var out []byte
	for i, field := range strings.Split(spec, ",") {
		kind, value, ok := strings.Cut(field, ":")
		if !ok {
			return nil, fmt.Errorf("field %d %q: want TYPE:VALUE", i+1, field)
		}
		packed, err := packField(strings.TrimSpace(kind), value)
		if err != nil {
			return nil, fmt.Errorf("field %d %q: %w", i+1, field, err)
		}
		out = append(out, packed...)
	}
	return out, nil
}

func packField(kind, value string) ([]byte, error) {
	switch kind {
	case "hex":
		return hex.DecodeString(strings.TrimPrefix(value, "0x"))
	case "text":
		return []byte(value), nil
	}
	if len(kind) < 2 || (kind[0] != 'u' && kind[0] != 'i') {
		return nil, fmt.Errorf("unknown type %q: want u8, u16, u32, u64, i8, i16, i32, i64, hex or text", kind)
	}
	bits, err := strconv.Atoi(kind[1:])
	if err != nil || (bits != 8 && bits != 16 && bits != 32 && bits != 64) {
		return nil, fmt.Errorf("unknown type %q: want u8, u16, u32, u64, i8, i16, i32, i64, hex or text", kind)
	}
	switch value {
	case "now":
		value = strconv.FormatInt(time.Now().Unix(), 10)
	case "now-ms":
		value = strconv.FormatInt(time.Now().UnixMilli(), 10)
	}
	var number uint64
	if kind[0] == 'u' {
		number, err = strconv.ParseUint(value, 0, bits)
	} else {
		var signed int64
		signed, err = strconv.ParseInt(value, 0, bits)
		number = uint64(signed)
	}
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(nil, number)[8-bits/8:], nil
}
