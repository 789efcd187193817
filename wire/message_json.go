package wire

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
)

// MaxMessageJSON bounds the JSON form of one message.
const MaxMessageJSON = 2*MaxMessageSize + 1024

// messageJSON is a message over HTTP. Numbers may come as decimal strings too,
// for clients whose numbers end at 2^53.
type messageJSON struct {
	Scheme    string  `json:"scheme"`
	Key       hexJSON `json:"key"`
	Project   uint64S `json:"project"`
	Nonce     uint64S `json:"nonce"`
	Time      uint64S `json:"time"`
	Payload   hexJSON `json:"payload"`
	Signature hexJSON `json:"signature"`
}

// MarshalJSON writes the HTTP form. No digest is ever taken over it.
func (m Message) MarshalJSON() ([]byte, error) {
	if err := m.Key.checkShape(); err != nil {
		return nil, err
	}
	return json.Marshal(messageJSON{
		Scheme: m.Key.Scheme.String(), Key: m.Key.Bytes,
		Project: uint64S(m.Project), Nonce: uint64S(m.Nonce), Time: uint64S(m.Time),
		Payload: m.Payload, Signature: m.Signature,
	})
}

// UnmarshalJSON reads the HTTP form: every member once, none unknown, lengths
// as the binary form has them.
func (m *Message) UnmarshalJSON(data []byte) error {
	var form messageJSON
	if err := decodeStrict(data, MaxMessageJSON, &form); err != nil {
		return err
	}
	scheme, err := ParseScheme(form.Scheme)
	if err != nil {
		return err
	}
	decoded := Message{
		Key:     DeviceKey{Scheme: scheme, Bytes: form.Key},
		Project: uint64(form.Project), Nonce: uint64(form.Nonce), Time: uint64(form.Time),
		Payload: form.Payload, Signature: form.Signature,
	}
	if _, err := decoded.MarshalBinary(); err != nil {
		return err
	}
	*m = decoded
	return nil
}

// hexJSON is bytes as a 0x string.
type hexJSON []byte

// MarshalText implements encoding.TextMarshaler.
func (h hexJSON) MarshalText() ([]byte, error) {
	return []byte("0x" + hex.EncodeToString(h)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexJSON) UnmarshalText(text []byte) error {
	if len(text) < 2 || string(text[:2]) != "0x" {
		return reject(RejectMalformed, "", "bytes are 0x and hex digits")
	}
	out := make([]byte, hex.DecodedLen(len(text)-2))
	if _, err := hex.Decode(out, text[2:]); err != nil {
		return reject(RejectMalformed, "", "bytes are not hex: %v", err)
	}
	*h = out
	return nil
}

// uint64S is an unsigned number, read from a JSON number or a decimal string.
type uint64S uint64

// UnmarshalJSON implements json.Unmarshaler.
func (u *uint64S) UnmarshalJSON(data []byte) error {
	digits := string(data)
	if len(digits) >= 2 && digits[0] == '"' {
		digits = digits[1 : len(digits)-1]
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || strconv.FormatUint(v, 10) != digits {
		return reject(RejectMalformed, "", "%.40s is no unsigned 64-bit number", data)
	}
	*u = uint64S(v)
	return nil
}
