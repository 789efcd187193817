#!/usr/bin/env bash
# All Go tests, then the rooms with concurrency again under the race detector.
set -euo pipefail
# A folder of vectors is meant from where the command was given; go test runs each package in its own folder.
if [ -n "${ASERT_VECTORS:-}" ]; then
  ASERT_VECTORS=$(realpath -e "$ASERT_VECTORS")
  export ASERT_VECTORS
fi
cd "$(dirname "$0")/.."

go test -timeout 20m ./...
CGO_ENABLED=1 go test -race -short -timeout 20m ./internal/... ./miner/... ./sequencer/... ./scheduler/... ./worker/... ./plugins/host/... ./chain/... ./client/... \
  ./gpu/pool ./gpu/health ./gpu/internal/resident
# Proofs are slow under the race detector: of the engines, what runs at once.
CGO_ENABLED=1 go test -race -short -timeout 20m -run 'Conformance/.*/(Concurrent|Cancel|Close|Evict|Budget)' ./gpu/cpu
CGO_ENABLED=1 go test -race -short -timeout 20m -run 'Flight|Faults|Ignores|HeldOff|NothingIsLeft|Slots' ./gpu/remote
