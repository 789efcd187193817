package main

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/gristmill-zk/gristmill/node"
)

// commandKeys are the names under which the transaction manager knows a person's
// wish; they are of no use to the person.
var commandKeys = regexp.MustCompile(`(?:txmgr: )?"?command/([^/"]+)/[0-9a-f]{24}(/[^":\s]+)?"?`)

// libraryWords are how Go's libraries say that something cannot be read.
var libraryWords = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`strconv\.\w+: parsing ("[^"]*"): invalid syntax`), "$1 is no number of that kind"},
	{regexp.MustCompile(`strconv\.\w+: parsing ("[^"]*"): value out of range`), "$1 is out of range"},
	{regexp.MustCompile(`encoding/hex: `), ""},
	{regexp.MustCompile(`time: (invalid|missing|unknown)`), "$1"},
}

// weiWords is how the transaction manager says what an account lacks.
var weiWords = regexp.MustCompile(`has (\d+) wei and needs up to (\d+)`)

// inCoins writes the amounts of weiWords in whole coins.
func inCoins(text string) string {
	return weiWords.ReplaceAllStringFunc(text, func(found string) string {
		amounts := weiWords.FindStringSubmatch(found)
		has, _ := new(big.Int).SetString(amounts[1], 10)
		needs, _ := new(big.Int).SetString(amounts[2], 10)
		return fmt.Sprintf("has %s coins and needs up to %s", node.FormatAmount(has), node.FormatAmount(needs))
	})
}

// plain is an error as a person reads it: without the keys that make requests
// count once, and without a name said twice in a row.
func plain(err error) string {
	text := inCoins(commandKeys.ReplaceAllString(err.Error(), "$1"))
	for _, words := range libraryWords {
		text = words.from.ReplaceAllString(text, words.to)
	}
	parts := strings.Split(text, ": ")
	kept := parts[:1]
	for _, part := range parts[1:] {
		if part != kept[len(kept)-1] {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ": ")
}
