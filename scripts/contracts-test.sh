#!/usr/bin/env bash
# Tests the contracts: formatting, every Solidity test, and the gas figures in contracts/snapshots, which a test run
# rewrites: with CI set, a difference fails. Installs forge and the compiler if they are missing.
set -euo pipefail

# A folder of vectors is meant from where the command was given; the tests run elsewhere.
if [ -n "${ASERT_VECTORS:-}" ]; then
  ASERT_VECTORS=$(realpath -e "$ASERT_VECTORS")
  export ASERT_VECTORS
fi
root=$(cd "$(dirname "$0")/.." && pwd)
forge=$("$root/scripts/foundry.sh")
cd "$root/contracts"

"$forge" fmt --check
if [ -n "${CI:-}" ]; then
  export FORGE_SNAPSHOT_CHECK=true
fi
"$forge" test "$@"
