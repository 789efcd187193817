#!/usr/bin/env bash
# Tests the ICICLE engine on ICICLE's CPU device, building ICICLE when it is not there yet.
# More arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."
lib=$(scripts/icicle.sh cpu)/lib
export CGO_ENABLED=1 CGO_LDFLAGS="-L$lib -Wl,-rpath,$lib"
go vet -tags icicle ./gpu/icicle ./gpu/nvml ./cmd/gristmill-engine-icicle
go test -tags icicle "$@" ./gpu/icicle ./gpu/nvml ./cmd/gristmill-engine-icicle
