#!/usr/bin/env bash
# The real binary, built with failpoints, tested from outside (internal/e2e).
set -euo pipefail
cd "$(dirname "$0")/.."

# Rooms whose rarer failpoints a healthy node does not pass kill themselves at each.
go test -tags failpoints -timeout 15m -count 1 -run 'TestKilled' ./sequencer ./scheduler ./chain/txmgr ./chain/devnet

# An engine that is killed in mid-proof, on ICICLE's processor device.
scripts/engine-icicle.sh cpu "" .cache/e2e
export GRISTMILL_E2E_ENGINE="$PWD/.cache/e2e/gristmill-engine-icicle"

go test -tags e2e -timeout 40m -count 1 ./internal/e2e/ "$@"
