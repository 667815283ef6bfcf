# Every target does its own set-up.
SHELL := /bin/sh
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
RESULTS := .offsite/test/results.json
# Processes that test/faults kills; `make test` kills one.
FAULT_RUNS ?= 1
# After which of its writes the operator is killed: `some`, or every `write`.
CRASH_EVERY ?= some
# Whether all variants of the families are tried on a GPU in software.
EVERY_FAMILY ?= 0
# Which of examples/ `make quickstart` runs: quickstart, crash or rounds.
EXAMPLE ?= quickstart
export FAULT_RUNS CRASH_EVERY EVERY_FAMILY

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-12s %s\n", $$1, $$2 }'

.PHONY: quickstart
quickstart: model data ## From nothing to a plugged-in SmolLM2 on this machine: table and report in .offsite/quickstart
	@node bin/offsite.js run -f examples/$(EXAMPLE) --work-dir .offsite/$(EXAMPLE) \
	  --mount models=.offsite/models --mount data=.offsite/data --mount artifacts=.offsite/$(EXAMPLE)/artifacts

.PHONY: test
test: check model data programs ## Everything that is checked before a change goes in; ends with one line of counts
	@$(call vitest,--project unit --project parts --project golden --project chart --project api --project e2e --project faults --project pods)

.PHONY: test-unit
test-unit: modules ## The fast tests
	@$(call vitest,--project unit)

.PHONY: test-faults
test-faults: FAULT_RUNS := 10
test-faults: CRASH_EVERY := write
test-faults: EVERY_FAMILY := 1
test-faults: model data programs ## Runs that are killed again and again and must end the same; every family on a GPU in software; cosign
	@$(call vitest,--project faults --project api --project pod-faults --project golden --project interop test/faults test/api/crash test/pod-faults test/golden/webgpu test/interop)

.PHONY: check
check: modules ## Generated files, lint, imports, types
	@npm run --silent generate:check
	@npm run --silent lint
	@npm run --silent typecheck

.PHONY: bench
bench: model data ## Benchmarks, with the peer beside them
	@npm run --silent bench

.PHONY: gpu-pack
gpu-pack: modules ## One archive for `sh gpu-check.sh` on a machine with a GPU and no network: .offsite/gpu/gpu-check.tar.gz
	@node bench/gpu/pack.ts

.PHONY: gpu-check
gpu-check: modules ## This machine's GPU: parity, and speed beside PyTorch (PYTHON=python3): table and JSON in bench/gpu
	@node bench/gpu/check.ts --out bench/gpu

.PHONY: study
study: study-data ## Emulators compared on real models and tasks; all kept runs as docs/study.md; hours
	@node bench/study/main.ts $(STUDY)

.PHONY: images
images: modules ## Container images of operator and worker, by Docker or buildah; CUDA=1, WEBGPU=1: also for GPUs
	@sh scripts/images/build.sh operator worker nats $(if $(WEBGPU),worker-webgpu) $(if $(CUDA),worker-cuda)

.PHONY: cluster
cluster: modules ## A cluster: KUBECONFIG's, else kind's, else a real node here, as root; prints its kubeconfig's path
	@node test/support/cluster/main.ts start

.PHONY: cluster-stop
cluster-stop: modules ## Remove that cluster
	@node test/support/cluster/main.ts stop

.PHONY: cluster-demo
cluster-demo: model data ## The quickstart on that cluster: Helm, claims, three resources, real pods
	@node test/support/cluster/main.ts demo

.PHONY: modules
modules: ## Node and the npm packages
	@sh scripts/setup/node.sh
	@sh scripts/setup/modules.sh

.PHONY: programs
programs: modules ## What test clusters run, built from Go modules where it is not cached
	@sh scripts/setup/cluster.sh

.PHONY: model
model: modules ## SmolLM2-135M-Instruct into .offsite/models
	@sh scripts/setup/model.sh

.PHONY: data
data: modules ## WordNet questions into .offsite/data
	@node examples/quickstart/build-data.ts .offsite/data/words
	@node examples/rounds/build-data.ts .offsite/data/words .offsite/data/rounds

.PHONY: study-data
study-data: model data ## Gemma 3 270M and two more tasks into .offsite, for the study
	@sh bench/study/setup.sh

# One vitest run; its exit code stays, after a last line with the counts.
define vitest
rm -f $(RESULTS); status=0; \
vitest run $(1) --reporter=default --reporter=json --outputFile.json=$(RESULTS) || status=$$?; \
node scripts/summary.ts $(RESULTS) || status=1; exit $$status
endef
