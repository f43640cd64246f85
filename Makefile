# Tricenter. Two commands are all a newcomer needs: `make lab` and `make test`.
# Each installs what it needs (Debian packages, as root) and says what is missing otherwise.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

LAB := target/debug/lab
CHAOS := target/debug/tricenter-chaos
TEST_LOG := target/test.log

##@ Start here
.PHONY: help
help: ## This manual
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	echo

.PHONY: lab
lab: lab-binary ## Three real centers, orders, the loss of the leader's center, and what it cost
	@exec $(LAB) run

.PHONY: test
test: toolchain ## All that must hold; without root, all but the lab's own tests
	@mkdir -p target; : > $(TEST_LOG)
	step() { echo; echo "== $$* =="; }
	step "formatting"
	cargo fmt --all --check
	step "lints"
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	step "parts: a real etcd and API server (built once, then cached)"
	cargo run --locked --quiet --package lab-parts -- build --only etcd,kube-apiserver,helm
	step "unit, property and process tests; operator tests against a real API server"
	cargo test --workspace --locked --no-fail-fast 2>&1 | tee -a $(TEST_LOG)
	step "faults built into the core on purpose: the simulator must see each"
	cargo test --workspace --features sim/mutants --locked --test mutants 2>&1 | tee -a $(TEST_LOG)
	lab_note=""
	if [ "$$(id -u)" = 0 ] && [ "$$(uname -s)" = Linux ]; then
	    step "the lab: three real centers, failovers, nothing left behind"
	    # The whole workspace, as above: with other features, all that it stands on is compiled again.
	    cargo test --workspace --features lab/e2e --locked --test e2e -- --test-threads=1 --nocapture \
	        2>&1 | tee -a $(TEST_LOG)
	else
	    lab_note="the lab's tests did not run: they need root on Linux (run: sudo make test)"
	fi
	step "counts"
	awk '/^test result:/ {passed += $$4; failed += $$6} \
	     END {printf "%d passed, %d failed\n", passed, failed}' $(TEST_LOG)
	[ -z "$$lab_note" ] || echo "note: $$lab_note"

##@ The lab
.PHONY: lab-down
lab-down: lab-binary ## Remove all that the lab made
	@exec $(LAB) down

.PHONY: lab-status
lab-status: lab-binary ## What of the lab runs, and what is broken
	@exec $(LAB) status

.PHONY: tui
tui: toolchain ## Terminal UI on the running lab
	@if [ ! -x target/debug/tricenter ]; then
	    echo "building the terminal UI; the first time takes some minutes …"
	    cargo build --locked --package tui --bin tricenter
	fi
	exec cargo run --locked --quiet --package tui --bin tricenter -- tui

##@ Chaos
.PHONY: campaign
campaign: lab-binary ## All chaos scenarios on the lab, and a report; begun again, it goes on where it stopped
	@cargo build --locked --quiet --package chaos-cli
	$(LAB) up
	code=0
	$(CHAOS) run --all --resume || code=$$?
	$(CHAOS) report
	exit $$code

.PHONY: chaos-lint
chaos-lint: toolchain ## The catalog of chaos scenarios, checked
	@cargo build --locked --quiet --package chaos-cli
	exec $(CHAOS) lint

##@ The trading core by itself
.PHONY: sim
sim: toolchain ## Whole clusters from seeds, with faults: 500 seeds, 10 simulated seconds each
	cargo run --locked --release --package sim -- campaign --seeds 1..500 --seconds 10

.PHONY: bench
bench: toolchain ## Figures of the core, open loop, on real processes; wants a quiet machine
	cargo build --locked --release --package server
	cargo run --locked --release --package bench -- all
	cargo bench --locked --package book
	cargo bench --locked --package engine --bench engine -- rate
	cargo bench --locked --package engine --bench risk
	cargo bench --locked --package fix
	cargo bench --locked --package marketdata

.PHONY: rules-check
rules-check: toolchain ## The exchanges' rules that replicas will trade by, checked and summed up
	cargo run --locked --quiet --package rules-file -- check trading-core/rules/data/*.yaml

##@ Working on the code
.PHONY: verify
verify: toolchain ## Formatting and lints; changes nothing
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: fix
fix: toolchain ## The mutating twin of verify
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

.PHONY: generate
generate: toolchain ## Write the generated files again (CRD YAML); a test fails when they drift
	cargo run --locked --quiet --package crds --bin crdgen

.PHONY: docs
docs: toolchain ## API documentation of the workspace
	cargo doc --workspace --no-deps --locked

# What must be there before anything of ours compiles; the lab's program checks the rest itself.
.PHONY: toolchain
toolchain:
	@if ! command -v cargo >/dev/null; then
	    echo "missing: cargo. Install Rust with rustup, then run this again." >&2
	    exit 1
	fi
	if ! command -v protoc >/dev/null || ! command -v cc >/dev/null; then
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	        echo "installing protobuf-compiler and a C compiler …"
	        export DEBIAN_FRONTEND=noninteractive
	        apt-get install -y -q protobuf-compiler gcc libc6-dev >/dev/null 2>&1 \
	            || { apt-get update -q >/dev/null; apt-get install -y -q protobuf-compiler gcc libc6-dev >/dev/null; }
	    else
	        echo "missing: protoc or cc, needed to compile. Install them as root" \
	             "(apt-get install protobuf-compiler gcc libc6-dev), then run this again." >&2
	        exit 1
	    fi
	fi

.PHONY: lab-binary
lab-binary: toolchain
	@# Quiet once it is built; the first time takes minutes, and silence would look like a hang.
	if [ -x $(LAB) ]; then
	    cargo build --locked --quiet --package lab --bin lab
	else
	    echo "building the lab's program; the first time takes some minutes …"
	    cargo build --locked --package lab --bin lab
	fi
