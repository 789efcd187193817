#!/usr/bin/env bash
# Regenerates everything generated: the contracts' Go bindings (bytecode included, so deploying needs no compiler) and the
# Go code of the plugins' and the engines' protocols. Running it on a clean checkout changes nothing; CI checks that.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

deployed=(
  Registry ProjectRegistry DeviceRegistry ProverRegistry SequencerRegistry VerifyingKeys Groth16Verifier
  TaskManager BlockMinter Escrow RewardPool MeterTotals GristToken
)

forge=$("$root/scripts/foundry.sh")
(cd contracts && "$forge" build --skip test --skip script --quiet)
mkdir -p chain/bindings
node contracts/script/combined.cjs "${deployed[@]}" |
  go tool abigen --v2 --combined-json - --pkg bindings --out chain/bindings/bindings.go
chmod 644 chain/bindings/bindings.go
gofmt -w chain/bindings/bindings.go

plugins/proto/generate.sh
gpu/proto/generate.sh
