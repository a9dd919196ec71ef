# nualley: everything a newcomer needs is a target here; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENDOR := src/nualley/web/static/vendor
STAMPS := $(VENV)/stamps
PYTEST_ARGS ?=
# of the tests; two more than two cores: much of a test is waiting, for a disk, a process or an IOC
WORKERS ?= 4
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# what is compiled is kept: the tests start a thousand processes, each of which would compile what it imports
unexport PYTHONDONTWRITEBYTECODE
export VIRTUAL_ENV := $(abspath $(VENV))
# uv carries its own certificates; behind a TLS proxy it must take the machine's
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := 1
endif

.PHONY: help
help:  ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- set-up
.PHONY: install
install: $(STAMPS)/package $(STAMPS)/assets  ## product and developers' tools into .venv (nothing to do: milliseconds)

$(STAMPS)/venv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nualley needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Choose one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || bash tools/install_venv.sh
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(STAMPS)/pins: $(STAMPS)/venv requirements/dev.txt
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements/dev.txt
	@touch $@

$(STAMPS)/package: $(STAMPS)/pins pyproject.toml
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/assets: package.json package-lock.json tools/copy_assets.sh | $(STAMPS)/venv
	bash tools/copy_assets.sh $(VENDOR)
	@touch $@

.PHONY: pins
pins: $(STAMPS)/venv  ## resolve the dependencies of pyproject.toml anew into requirements/ (hashes, no addresses)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --only-binary :all: --python-version 3.11 \
	  pyproject.toml --all-extras --group dev -o requirements/dev.txt
	npm install --package-lock-only --ignore-scripts --no-audit --no-fund

# ---------------------------------------------------------------- use
.PHONY: demo
demo: install  ## a miniature Neutrino Alley and the product beside it; Ctrl-C stops all (ARGS="--seconds 60" stops by itself)
	@exec $(BIN)/nualley demo $(ARGS)

# ---------------------------------------------------------------- tests and checks
.PHONY: test
test: install system  ## the whole test suite (at most 10 minutes on 2 cores)
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

.PHONY: test-clients
test-clients: install  ## Archiver Appliance clients of others, in environments of their own, read our server (a minute to install)
	$(BIN)/python -m tools.foreign_clients
	NUALLEY_CLIENTS_REQUIRED=1 $(BIN)/pytest tests/clients $(PYTEST_ARGS)

.PHONY: system
system: | $(STAMPS)/venv
	@bash tools/install_system.sh

.PHONY: soak
soak: install system  ## the fault tests in full numbers; the table lands in docs/reference/soak.md
	NUALLEY_SOAK=1 $(BIN)/pytest -m fault -n $(WORKERS) --dist loadgroup --timeout=3600 $(PYTEST_ARGS)

.PHONY: lint
lint: install  ## ruff, format, import floors, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/python -m numpydoc.hooks.validate_docstrings $$(git ls-files 'src/*.py')

.PHONY: types
types: install  ## mypy --strict over the product
	$(BIN)/mypy

.PHONY: docs
docs: install  ## the documentation as HTML into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

.PHONY: reference
reference: install  ## write docs/reference/{cli,settings}.md anew from the code
	$(BIN)/python -m tools.reference

.PHONY: bench
bench: install  ## start-up times and throughput, medians of several
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.archive

.PHONY: bench-archive
bench-archive: install  ## what a real IOC gives, and a year of a PV, beside aioca, DuckDB, SQLite and VictoriaMetrics (20 minutes, 5 GiB)
	$(BIN)/python -m benchmarks.archive_year
	$(BIN)/python -m benchmarks.archive_size
	$(BIN)/python -m benchmarks.archive_ingest

.PHONY: bench-storage
bench-storage: install system  ## scans beside du and gdu, a catalog of 10 M files on SQLite and PostgreSQL, forecasts of drives, copies beside rclone (an hour, 20 GiB)
	$(BIN)/python -m benchmarks.storage_scan
	$(BIN)/python -m benchmarks.catalog_files
	$(BIN)/python -m benchmarks.forecast
	$(BIN)/python -m benchmarks.transfer_copy

.PHONY: bench-beam
bench-beam: install  ## protons of a year with rows and without, and whether they are the same (half an hour; ARGS="--quick" takes a week)
	$(BIN)/python -m benchmarks.exposure_year $(ARGS)

.PHONY: check
check: lint types test docs  ## all that CI asks for

.PHONY: clean
clean:  ## take away what the other targets made
	rm -rf $(VENV) .clients $(VENDOR) node_modules docs/_build docs/reference/api .pytest_cache .mypy_cache .ruff_cache
