package remote

import (
	"github.com/gristmill-zk/gristmill/gpu/proto"
)

// RunDir is where an engine's process works.
func RunDir(e *Engine) string { return e.keeper.runDir.Path() }

// ServeRaw serves any service as Main would.
func ServeRaw(service proto.EngineServer, version uint) {
	stdio, err := silenceStdout()
	if err != nil {
		panic(err)
	}
	go exitWithHost()
	serve(service, stdio, version)
}
