#!/usr/bin/env bash
# Packs dist/gpu-check for a GPU host that has neither Go nor a compiler nor a network: copy the folder
# there and start run.sh in it. With cpu instead of cuda it packs what run.sh --device cpu needs.
#
#   scripts/gpu-check.sh [cuda|cpu] [ARCHS]
#
# The default architectures are 80 and 90, whose code runs on 80 to 90 and, compiled by the driver, on newer.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-cuda}
archs=${2:-80;90}
limit=$((60 * 1000 * 1000))
dist=dist/gpu-check

icicle=$(scripts/icicle.sh "$kind" "$archs")
source scripts/icicle/link.sh "$icicle"
rm -rf "$dist"
mkdir -p "$dist"
go build -trimpath -tags icicle -ldflags '-s -w' -o "$dist/gpucheck" ./gpu/check/gpucheck
go test -c -trimpath -tags icicle -ldflags '-s -w' -o "$dist/conformance" ./gpu/icicle
copy_icicle "$icicle" "$dist"
cp scripts/icicle/run.sh "$dist/run.sh"
size=$(du -sb "$dist" | cut -f1)
echo "gpu-check.sh: $dist takes $((size / 1000000)) MB"
((size <= limit)) || { echo "gpu-check.sh: $dist is larger than $((limit / 1000000)) MB: name fewer architectures" >&2; exit 1; }
