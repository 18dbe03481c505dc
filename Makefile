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

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run up test check fmt unit sim e2e bench coverage lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*  ## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-14s %s\n' "$$name" "$$text"; done

setup: $(STAMP)  ## prepare .venv from requirements.lock
	@:

run: setup  ## start the system, run the demo, stay up until Ctrl-C
	@$(BIN)/bot4 up --demo

up: setup  ## start the system, stay up until Ctrl-C
	@$(BIN)/bot4 up

test: check unit sim e2e  ## all that must pass

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
	$(BIN)/pytest $(PACKAGES) benchmarks/tests

sim: setup  ## the whole system simulated, many seeds; SEED=n replays one
	$(if $(SEED),SEED=$(SEED) $(BIN)/pytest tests/sim,$(BIN)/pytest --numprocesses auto tests/sim)

e2e: setup  ## the whole system as real processes, killed and recovered
	$(BIN)/pytest tests/e2e

bench: setup  ## latency, throughput, recovery
	$(BIN)/python -m benchmarks

coverage: setup  ## which lines and branches the unit and simulation tests reach
	$(BIN)/coverage run -m pytest $(PACKAGES) tests/sim
	$(BIN)/coverage report

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

.venv-lock/bin/uv:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==0.13.8
