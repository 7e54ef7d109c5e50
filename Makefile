# Everything that people and CI do here. `make setup` is a part of each target: a fresh machine needs Python and make.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo "$$p"; break; }; done)
JOBS ?= 2
ROUNDS ?= 9
BIN := .venv/bin
STAMP := .venv/.setup-stamp
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.tools/usr/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup warm demo test test-long lint bench figures docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## a virtual environment with everything, the web UI built
	@$(BIN)/python -m athanor.ui.build
	@$(BIN)/python -m compileall -q src/athanor

$(STAMP): pyproject.toml hatch_build.py
	@bash scripts/make_venv.sh "$(PYTHON)"
	@touch $@

warm: setup  ## compile the kernels (once; later runs load them from the disk)
	@$(BIN)/athanor kernels warm

demo: setup  ## two Prometheus, two sidecars, a bucket with a week of history, a store, a query: Ctrl-C ends it
	@$(BIN)/python -m demo.run $(DEMO)

test: setup  ## unit, property and interop tests
	@$(BIN)/python -m demo.programs prometheus chromium
	@$(BIN)/athanor kernels warm
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not long and not alone" $(TESTS)
	$(BIN)/python -m pytest -m "alone and not long" $(TESTS) || [ $$? -eq 5 ]  # 5: TESTS chose none of these

# A cache of its own: warming removes directories of other keys, and bounds checks are part of the key.
test-long: export ATHANOR_BOUNDSCHECK := 1
test-long: export ATHANOR_KERNEL_CACHE := $(CURDIR)/.cache/kernels-boundscheck
test-long: setup  ## fuzz and soak tests, and all others again, with bounds checks compiled into the kernels
	@$(BIN)/python -m demo.programs prometheus chromium
	@$(BIN)/athanor kernels warm
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not alone" $(TESTS)
	$(BIN)/python -m pytest -m alone $(TESTS) || [ $$? -eq 5 ]

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases demo

bench: warm  ## the query set against Prometheus and VictoriaMetrics (BENCH="--set all": two sets); writes docs/benchmarks.md
	@$(BIN)/python -m demo.programs prometheus victoria-metrics
	$(BIN)/python -m bench.run --rounds $(ROUNDS) $(BENCH)

figures: warm  ## memory at rest, time to start, one large Series call (a minute)
	@$(BIN)/python -m bench.run --resources

docs: setup  ## regenerate the generated pages of the manual
	$(BIN)/python -m athanor.serve.docs > docs/flags.md
	$(BIN)/python -m demo.metrics_page

clean:  ## remove everything that these targets made, the virtual environment included
	rm -rf .venv .tools .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-data bench-data dist build
	rm -rf src/athanor/ui/static src/athanor/ui/web/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
