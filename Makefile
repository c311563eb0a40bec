# `make` alone says what there is. Everything is set up by what needs it: no target has to be run before another.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv/bin
# For example: make run SETUP_FLAGS=--any-system
SETUP_FLAGS ?=
# For example: make test PYTEST_FLAGS='-m "not vm"'
PYTEST_FLAGS ?=
# For example: make faults FAULTS_FLAGS="--only 'agent.pause.* kill'"
FAULTS_FLAGS ?=
# For example: make fuzz FUZZ_FLAGS='--seconds 3600'
FUZZ_FLAGS ?=
# Some images forbid Python to keep what it compiled. Every program that is started here would then compile all of its
# modules again, which takes longer than its work: `python -m api` 3.5 s instead of 0.9.
unexport PYTHONDONTWRITEBYTECODE
CONTRACT := proto/host/v1
# Writes the stubs below the folder that follows. -I . makes them import as proto.host.v1.
PROTOC := PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m grpc_tools.protoc -I . $(CONTRACT)/host.proto
protoc_to = $(PROTOC) --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1)

.PHONY: help setup run test long faults model fuzz check gen demo bench doctor setup-dev check-stubs check-schema

help:  ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Install what is missing: Debian packages, .venv, dashboard, base image
	@$(PYTHON) -m nestbox.setup $(SETUP_FLAGS)

run: setup  ## Run the platform in the foreground; Ctrl-C pauses the sandboxes and stops
	@exec $(VENV)/nestbox up

setup-dev:
	@$(PYTHON) -m nestbox.setup --dev $(SETUP_FLAGS)

test: setup-dev  ## Run all tests, with real microVMs and a browser
	@$(VENV)/python -m pytest $(PYTEST_FLAGS)

long: setup-dev  ## Run the tests that take minutes each, which make test leaves out
	@$(VENV)/python -m pytest -m long $(PYTEST_FLAGS)

faults: setup-dev  ## Let every step of every command fail in every way, and see that nothing is lost
	@$(VENV)/python -m tests.faults.matrix $(FAULTS_FLAGS)

model: setup-dev  ## Drive the platform at random for long, and see that the tests notice known bugs
	@NESTBOX_MODEL=deep $(VENV)/python -m pytest $(PYTEST_FLAGS) tests/model

fuzz: setup-dev  ## Let a fuzzer be a guest for ten minutes, and keep the inputs that reach more
	@$(VENV)/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --no-deps \
	  --only-binary=:all: -r requirements-fuzz.lock
	@$(VENV)/python -m tests.fuzz.guest_link $(FUZZ_FLAGS)

check: setup-dev  ## Run linters and type checks, and see that everything generated is up to date
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check --quiet || { echo "Run $(VENV)/ruff format."; exit 1; }
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-logo
	@$(MAKE) --no-print-directory check-stubs check-schema
	@$(VENV)/python -m nestbox.setup npm run check
	@$(VENV)/python -m nestbox.setup npm run gen:check

check-stubs:
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(call protoc_to,$$scratch) \
	  && for stub in $$scratch/$(CONTRACT)/*; do diff --brief "$$stub" $(CONTRACT)/ || exit 1; done \
	  || { echo "The stubs in $(CONTRACT) are not what make gen makes."; exit 1; }

check-schema:
	@$(VENV)/python -m api export-schema | diff - schema.graphql \
	  || { echo "schema.graphql is not what make gen makes."; exit 1; }

gen: setup-dev  ## Generate the gRPC stubs, schema.graphql and the dashboard's types
	@$(call protoc_to,.)
	@$(VENV)/python -m api export-schema > schema.graphql.new && mv schema.graphql.new schema.graphql
	@$(VENV)/python -m nestbox.setup npm run gen

demo: setup  ## Tell the life of one sandbox through a real GraphQL client, and check every step
	@$(VENV)/python -m nestbox.demo

bench: setup  ## Measure the life of a sandbox next to bare QEMU in the same run
	@$(VENV)/python -m benchmarks.lifecycle

doctor:  ## Say what this computer can do, and how to mend what it cannot
	@if [ -x $(VENV)/python ]; then exec $(VENV)/python -m nestbox doctor; else exec $(PYTHON) -m nestbox doctor; fi
