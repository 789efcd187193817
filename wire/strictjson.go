package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// decodeStrict reads exactly one JSON object into the struct that v points to.
// Unlike encoding/json it wants every member that is not omitempty, and refuses
// unknown members, members that stand twice, null, other cases of letters in a
// name, bytes after the value, invalid UTF-8 and inputs above limit. Every
// error names the member.
func decodeStrict(data []byte, limit int, v any) error {
	if len(data) > limit {
		return reject(RejectTooBig, "", "has %d bytes, the most is %d", len(data), limit)
	}
	if err := checkJSON(data); err != nil {
		return err
	}
	return decodeStruct(data, reflect.ValueOf(v).Elem())
}

func decodeStruct(data []byte, v reflect.Value) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return rejectJSON(err)
	}
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		raw, present := members[name]
		if !present {
			if options == "omitempty" {
				continue
			}
			return reject(RejectMissingField, name, "is required")
		}
		if err := decodeMember(raw, v.Field(i)); err != nil {
			return within(name, err)
		}
		delete(members, name)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		return reject(RejectUnknownField, name, "is not known here")
	}
	return nil
}

func decodeMember(raw json.RawMessage, field reflect.Value) error {
	target := field.Addr().Interface()
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		target, field = field.Interface(), field.Elem()
	}
	_, own := target.(json.Unmarshaler)
	if field.Kind() == reflect.Struct && !own {
		return decodeStruct(raw, field)
	}
	if err := json.Unmarshal(raw, target); err != nil {
		return rejectJSON(err)
	}
	return nil
}

// rejectJSON turns encoding/json's errors into ours.
func rejectJSON(err error) error {
	var r *Reject
	if errors.As(err, &r) {
		return r
	}
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		return reject(RejectMalformed, "", "%s where another type belongs", typeErr.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return reject(RejectTruncated, "", "JSON ends early")
	}
	return reject(RejectMalformed, "", "not JSON: %v", err)
}

// maxJSONDepth is deeper than any form here nests.
const maxJSONDepth = 8

// checkJSON walks the one value that data must be, before any of it is used.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return reject(RejectMalformed, "", "not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := checkValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return reject(RejectTrailing, "", "bytes after the JSON value")
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return rejectJSON(err)
	}
	if token == nil {
		return reject(RejectMalformed, "", "null is no value here")
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxJSONDepth {
		return reject(RejectMalformed, "", "nested deeper than %d", maxJSONDepth)
	}
	if delim == '{' {
		return checkObject(dec, depth)
	}
	for dec.More() {
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return wrapJSON(err)
}

func checkObject(dec *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return rejectJSON(err)
		}
		name, _ := token.(string)
		if seen[name] {
			return reject(RejectMalformed, name, "stands twice")
		}
		seen[name] = true
		if err := checkValue(dec, depth+1); err != nil {
			return within(name, err)
		}
	}
	_, err := dec.Token()
	return wrapJSON(err)
}

func wrapJSON(err error) error {
	if err == nil {
		return nil
	}
	return rejectJSON(err)
}
