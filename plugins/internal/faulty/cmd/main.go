// Command cmd is the faulty plugin's executable.
package main

import "github.com/gristmill-zk/gristmill/plugins/internal/faulty"

func main() { faulty.Main() }
