#!/bin/sh
# Regenerates the Go code of engine.proto. Needs protoc (Debian package
# protobuf-compiler); the two generators are Go tools pinned in go.mod.
set -eu
cd "$(dirname "$0")"

command -v protoc >/dev/null || {
	echo "generate.sh: protoc is missing: install the Debian package protobuf-compiler" >&2
	exit 1
}

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for tool in protoc-gen-go protoc-gen-go-grpc; do
	printf '#!/bin/sh\nexec go tool %s "$@"\n' "$tool" >"$bin/$tool"
	chmod +x "$bin/$tool"
done

PATH="$bin:$PATH" protoc \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	engine.proto
