#!/usr/bin/env bash
# Builds the ICICLE engine's program with the libraries beside it.
#
#   scripts/engine-icicle.sh cpu|cuda [ARCHS] [DIR]
#
# DIR, bin by default, gets gristmill-engine-icicle and lib/; both can be copied elsewhere together.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:?usage: scripts/engine-icicle.sh cpu|cuda [ARCHS] [DIR]}
out=${3:-bin}
icicle=$(scripts/icicle.sh "$kind" ${2:+"$2"})
source scripts/icicle/link.sh "$icicle"
mkdir -p "$out"
go build -trimpath -tags icicle -ldflags '-s -w' -o "$out/gristmill-engine-icicle" ./cmd/gristmill-engine-icicle
copy_icicle "$icicle" "$out"
