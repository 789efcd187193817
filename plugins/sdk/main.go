package sdk

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/consensys/gnark/logger"
)

// Main is a plugin binary's main function. It ends the process with status 1
// after printing what went wrong.
func Main(p *Project) {
	// gnark logs to standard output, which is the handshake with the host.
	logger.Disable()
	if err := run(p, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

const usage = `%s is a gristmill circuit plugin.

  %[1]s describe [--batch N]             print what the circuit is, as JSON
  %[1]s export   [--batch N] --out DIR   write circuit and description for a bundle
  %[1]s answer   [--batch N] --circuit FILE --commitment-key FILE --out DIR
                                         write the known answer of a circuit with a commitment
  %[1]s sample   [--batch N]             print payloads of a batch that satisfies the circuit, as JSON
  %[1]s serve    [--batch N]             how a gristmill worker starts it

`

// run executes one verb.
func run(p *Project, args []string, stdout, stderr io.Writer) error {
	verb := ""
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	project := *p
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&project.BatchSize, "batch", p.BatchSize, "messages a task has room for")
	out := flags.String("out", "", "directory to write to")
	circuit := flags.String("circuit", "", "the circuit as export wrote it")
	key := flags.String("commitment-key", "", "the part of the proving key that commits")
	flags.Usage = func() {
		fmt.Fprintf(stderr, usage, p.Name)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() != 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch verb {
	case "describe":
		return describe(&project, stdout)
	case "export":
		return export(&project, *out)
	case "answer":
		return answer(&project, *circuit, *key, *out)
	case "sample":
		return sample(&project, stdout)
	case "serve":
		return serve(&project)
	case "help", "-h", "--help":
		flags.Usage()
		return nil
	default:
		flags.Usage()
		return fmt.Errorf("unknown verb %q", verb)
	}
}

func describe(p *Project, stdout io.Writer) error {
	_, d, err := Compile(p)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}
