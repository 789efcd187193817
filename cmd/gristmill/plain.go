package main

import (
	"regexp"
	"strings"
)

// commandKeys are the names under which the transaction manager knows a person's
// wish; they are of no use to the person.
var commandKeys = regexp.MustCompile(`(?:txmgr: )?"?command/([^/"]+)/[0-9a-f]{24}(/[^":\s]+)?"?`)

// plain is an error as a person reads it: without the keys that make requests
// count once, and without a name said twice in a row.
func plain(err error) string {
	text := commandKeys.ReplaceAllString(err.Error(), "$1")
	parts := strings.Split(text, ": ")
	kept := parts[:1]
	for _, part := range parts[1:] {
		if part != kept[len(kept)-1] {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ": ")
}
