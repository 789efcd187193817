package sdktest

import "github.com/gristmill-zk/gristmill/wire"

// Blames says whether Probe fails for a forgery that is not named.
func Blames(c *Circuit, body *wire.Body, f *Forgery) bool { return c.blames(body, f) }
