#!/usr/bin/env bash
# go vet, gofmt, staticcheck and govulncheck, at the versions of go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files '*.go' | xargs gofmt -l)
[[ -z $unformatted ]] || { echo "not formatted (make fmt): $unformatted" >&2; exit 1; }
go vet ./...
go vet -tags failpoints,e2e ./internal/... ./sequencer/... ./chain/...
CGO_ENABLED=1 go vet -tags icicle ./gpu/... ./cmd/gristmill-engine-icicle
# The bindings are generated; their error strings are abigen's.
go list ./... | grep -v /chain/bindings | xargs go tool staticcheck

# The vulnerability database lives on the Internet. Without it nothing is
# checked, and that is said; a finding (exit code 3) fails the build.
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
go tool govulncheck ./... >"$out" 2>&1 || status=$?
if ((status == 0)); then
	echo "govulncheck: no known vulnerability is reached"
elif ((status != 3)) && grep -qE 'dial tcp|no such host|fetching vulnerabilities|connection refused|HTTP GET' "$out"; then
	echo "govulncheck: NOT CHECKED, the vulnerability database cannot be reached from here"
else
	cat "$out"
	exit 1
fi
