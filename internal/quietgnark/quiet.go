// Package quietgnark keeps gnark from logging. gnark reports every compilation
// and proof on standard output, which belongs to what a command was asked for.
// Import it for its effect: the logger is a plain variable of gnark's, so it must
// be set before anything runs.
package quietgnark

import (
	"github.com/consensys/gnark/logger"
	"github.com/rs/zerolog"
)

func init() { logger.Set(zerolog.Nop()) }
