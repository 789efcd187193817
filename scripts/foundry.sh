#!/usr/bin/env bash
# Installs what the contracts are built and tested with into contracts/node_modules: the Solidity compiler (WASM),
# OpenZeppelin's library and forge, all at the versions that contracts/package-lock.json pins.
# Does nothing when they are there. Prints the path of forge.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root/contracts"

forge_version=1.7.1
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) forge_package=@foundry-rs/forge-linux-amd64 ;;
  Linux-aarch64 | Linux-arm64) forge_package=@foundry-rs/forge-linux-arm64 ;;
  Darwin-arm64) forge_package=@foundry-rs/forge-darwin-arm64 ;;
  Darwin-x86_64) forge_package=@foundry-rs/forge-darwin-amd64 ;;
  *) echo "foundry.sh: no forge package for $(uname -s) $(uname -m)" >&2; exit 1 ;;
esac
forge="$root/contracts/node_modules/$forge_package/bin/forge"
stamp=node_modules/.gristmill-installed

if ! command -v npm >/dev/null; then
  echo "foundry.sh: npm is missing; install Node 20 or newer with npm" >&2
  exit 1
fi
wanted=$(cat package.json package-lock.json | cksum; echo "$forge_package@$forge_version")
if [ ! -x "$forge" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  # One installation at a time: several make targets may come here at once.
  exec 9>.install.lock
  if command -v flock >/dev/null; then flock 9; fi
  if [ ! -x "$forge" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    npm ci --no-progress --ignore-scripts >&2
    # The lock file holds the package of the machines that CI runs on; another platform's is added beside it.
    if [ ! -x "$forge" ]; then
      npm install --no-save --no-progress --ignore-scripts "$forge_package@$forge_version" >&2
    fi
    echo "$wanted" >"$stamp"
  fi
fi
echo "$forge"
