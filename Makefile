# gristmill: `make help` lists what can be done here.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
# Where scripts/deps.sh puts a Node when the system's is too old.
export PATH := $(CURDIR)/.cache/node/bin:$(PATH)
GO      ?= go
LDFLAGS := -s -w
TASKS   ?= 5

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/gristmill and the shipped circuit plugins
	@mkdir -p bin/plugins
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/gristmill ./cmd/gristmill
	$(GO) build -trimpath -ldflags '-s -w' -o bin/plugins/ ./plugins/circuits/meter ./plugins/circuits/geofence ./plugins/circuits/ecdsa-batch

.PHONY: demo
demo: build ## Run the whole product once: signed readings to settled proofs (TASKS=5)
	bin/gristmill demo --tasks $(TASKS)

.PHONY: test
test: ## Install what the tests need and run everything
	scripts/deps.sh
	$(MAKE) --no-print-directory check

.PHONY: check
check: lint test-contracts check-generated test-js test-go test-icicle test-e2e ## Run everything, the tools being there already

.PHONY: lint
lint: ## go vet, staticcheck, gofmt and govulncheck
	scripts/lint.sh

.PHONY: test-short
test-short: ## The Go tests that take seconds
	$(GO) test -short ./...

.PHONY: test-go
test-go: ## All Go tests, the concurrent rooms again under the race detector
	scripts/test-go.sh

.PHONY: test-contracts
test-contracts: ## Solidity tests with Foundry
	scripts/contracts-test.sh

.PHONY: test-js
test-js: ## The JavaScript client against the same vectors
	cd client/js && npm test --silent

.PHONY: test-e2e
test-e2e: ## The real binary from outside: killed at every failpoint, at random, as separate processes
	scripts/test-e2e.sh

.PHONY: generate
generate: ## Make the generated code again: contract bindings and protobuf
	scripts/generate.sh

.PHONY: check-generated
check-generated: generate ## Fail if the generated code in git, or the gas figures, are not what is made here
	@changed=$$(git status --porcelain -- chain/bindings plugins/proto gpu/proto contracts/snapshots); \
	if [ -n "$$changed" ]; then echo "not in git as it is made here:"; echo "$$changed"; git --no-pager diff -- chain/bindings plugins/proto gpu/proto contracts/snapshots | head -100; exit 1; fi

.PHONY: fmt
fmt: ## Format Go and Solidity
	gofmt -w $$(git ls-files '*.go')
	cd contracts && $$(../scripts/foundry.sh) fmt

.PHONY: clean
clean: ## Remove what the build made
	rm -rf bin dist contracts/out contracts/cache

.PHONY: icicle-cpu
icicle-cpu: ## Build bin/gristmill-engine-icicle with ICICLE's CPU device, for tests
	scripts/engine-icicle.sh cpu

.PHONY: icicle-cuda
icicle-cuda: ## The same for NVIDIA's cards (ARCHS='80;86;89;90'); takes a while the first time
	scripts/engine-icicle.sh cuda '$(or $(ARCHS),80;86;89;90)'

.PHONY: test-icicle
test-icicle: ## Test the ICICLE engine on ICICLE's CPU device
	scripts/test-icicle.sh $(if $(CI),-short)

.PHONY: gpu-check
gpu-check: ## Pack dist/gpu-check, whose run.sh checks a GPU host (ARCHS='80;90')
	scripts/gpu-check.sh cuda '$(or $(ARCHS),80;90)'
