#!/usr/bin/env bash
# All Go tests, then the rooms with concurrency again under the race detector.
set -euo pipefail
cd "$(dirname "$0")/.."

go test -timeout 20m ./...
CGO_ENABLED=1 go test -race -short -timeout 20m ./internal/... ./miner/... ./sequencer/... ./scheduler/... ./worker/... ./gpu/... ./plugins/host/... ./chain/txmgr/... ./chain/cursor/...
