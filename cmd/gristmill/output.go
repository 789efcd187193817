package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// lowerAddress is an address as go-ethereum writes it into JSON.
var lowerAddress = regexp.MustCompile(`"0x[0-9a-f]{40}"`)

// printJSON writes one value as one line. Addresses have their checksum (EIP-55)
// in it, as in text: some tools take no others.
func printJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(v); err != nil {
		return err
	}
	_, err := w.Write(lowerAddress.ReplaceAllFunc(line.Bytes(), func(quoted []byte) []byte {
		return []byte(`"` + common.HexToAddress(string(quoted[1:43])).Hex() + `"`)
	}))
	return err
}

// patience tells a person on standard error, every two seconds, that a command
// is at work.
func (a *app) patience(what string) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(2 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				fmt.Fprintf(a.stderr, "%s: at work for %.0f s\n", what, time.Since(start).Seconds())
			}
		}
	}()
	return func() { close(end); <-ended }
}

// show prints v as JSON under --json and otherwise calls text.
func (a *app) show(v any, text func(w io.Writer) error) error {
	if a.json {
		return printJSON(a.stdout, v)
	}
	return text(a.stdout)
}

// table aligns rows below their heads.
func table(w io.Writer, heads []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(heads, "\t"))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// facts prints "name  value" lines.
func facts(w io.Writer, pairs ...string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(tw, "%s\t%s\n", pairs[i], pairs[i+1])
	}
	return tw.Flush()
}
