# Everything a person does with this project; "make" alone lists it.

PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$each; break; }; done)
BIN := .venv/bin
# One more than there are cores: some tests wait for processes that they started.
WORKERS ?= $(shell n=$$(( $$(getconf _NPROCESSORS_ONLN) + 1 )); [ $$n -gt 8 ] && echo 8 || echo $$n)

.PHONY: help run demo test check audit docs openapi dist image-dry-run bench chaos screenshots format lock
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

run: .venv/runtime.stamp .venv/saga.stamp ## Install what is missing, then start the whole stack on http://127.0.0.1:8030
	@exec $(BIN)/python -m saga_project.local.stack run

demo: .venv/runtime.stamp .venv/saga.stamp ## Watch a canary, a bad release that is rolled back by itself, and a client that never notices
	@exec $(BIN)/python -m demo

test: .venv/development.stamp .venv/saga.stamp ## Run the whole test suite, in parallel, with servers of its own
	@exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

check: .venv/development.stamp .venv/saga.stamp ## Check format, lint, types, import contracts, migrations, settings and documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict docker-compose.yml docker-compose.external.yml .pre-commit-config.yaml .github deploy/ci deploy/kubernetes
	$(BIN)/lint-imports
	$(BIN)/python -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python .ci/check_project.py

audit: var/audit/venv/stamp ## Audit code and locked dependencies; write a CycloneDX SBOM to dist/
	@exec var/audit/venv/bin/python .ci/audit.py

var/audit/venv/stamp: .ci/audit.txt | $(BIN)/pip
	@echo "Installing the audit tools, in var/audit/venv ..."
	@$(PYTHON) -m venv var/audit/venv
	@var/audit/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

docs: var/docs/venv/stamp .venv/runtime.stamp .venv/saga.stamp ## Build the documentation site, which Saga serves at /docs/
	@$(BIN)/python .ci/documentation.py

var/docs/venv/stamp: requirements-docs.lock | $(BIN)/pip
	@echo "Installing what builds the documentation, in var/docs/venv ..."
	@$(PYTHON) -m venv var/docs/venv
	@var/docs/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

openapi: .venv/development.stamp ## Lint the OpenAPI document with Redocly and Spectral (needs npm)
	@exec $(BIN)/python .ci/openapi_tools.py

image-dry-run: var/image/venv/stamp .venv/runtime.stamp ## Lint the container files, and run the Dockerfile's steps without an engine (root)
	@exec $(BIN)/python .ci/image.py

var/image/venv/stamp: .ci/image.txt | $(BIN)/pip
	@echo "Installing hadolint and the Compose specification, in var/image/venv ..."
	@$(PYTHON) -m venv var/image/venv
	@var/image/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

bench: .venv/development.stamp var/bench/venv/stamp ## Measure Saga beside its own plain views and what others use
	@exec $(BIN)/python -m bench.run $(ARGS)

chaos: .venv/development.stamp ## Kill and freeze every process of a stack under clients, and check their history
	@exec $(BIN)/python -m bench.faults.chaos $(ARGS)

var/bench/venv/stamp: bench/peers/requirements.txt | $(BIN)/pip
	@echo "Installing what Saga is compared with, in var/bench/venv ..."
	@$(PYTHON) -m venv var/bench/venv
	@var/bench/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

var/bench/otel/stamp: requirements-otel.lock | $(BIN)/pip
	@echo "Installing Saga with its tracing extra, in var/bench/otel ..."
	@$(PYTHON) -m venv var/bench/otel
	@var/bench/otel/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

format: .venv/development.stamp ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

COMPILE_GROUP := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --quiet
COMPILE := $(BIN)/uv pip compile pyproject.toml --no-emit-package saga-client --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --quiet

lock: $(BIN)/pip ## Resolve the dependencies anew into the files requirements*.lock
	$(BIN)/pip install --quiet 'uv>=0.9'
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE_GROUP) --group build --constraint requirements.lock --output-file requirements-build.lock
	$(COMPILE_GROUP) --group docs --constraint requirements.lock --output-file requirements-docs.lock
	$(COMPILE) --extra otel --constraint requirements.lock --output-file requirements-otel.lock

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Saga needs Python 3.11 or newer; set PYTHON to one."; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)."; exit 1; }

# As pip does with what it installs: each of a stack's processes would compile all of it anew where
# PYTHONDONTWRITEBYTECODE is set.
COMPILE_OWN := $(BIN)/python -m compileall -q saga_project registry updates webhooks clients/python/src

# What pip says goes into a file, and its end on the terminal where it fails.
INSTALL := mkdir -p var && $(BIN)/python -m pip install --disable-pip-version-check
TO_LOG := > var/install.log 2>&1 || { tail -n 20 var/install.log; exit 1; }

.venv/runtime.stamp: requirements.lock | $(BIN)/pip
	@echo "Installing the dependencies (about half a minute the first time; the log is var/install.log) ..."
	@$(INSTALL) --require-hashes --requirement requirements.lock $(TO_LOG)
	@$(COMPILE_OWN)
	@touch $@

.venv/development.stamp: requirements-dev.lock | $(BIN)/pip
	@echo "Installing the dependencies, with those of the tests (about a minute the first time; the log is var/install.log) ..."
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock $(TO_LOG)
	@$(COMPILE_OWN)
	@touch $@ .venv/runtime.stamp

# The command `saga`, as it stands in clients/python, with the server's own commands.
.venv/saga.stamp: clients/python/pyproject.toml pyproject.toml requirements-build.lock | $(BIN)/pip
	@echo "Installing the command .venv/bin/saga ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-build.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation \
		--editable clients/python --editable .
	@touch $@

# The same commit gives the same bytes: files carry the time of the commit.
dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
dist: docs var/audit/venv/stamp ## Build both wheels with the documentation, source distributions, the SBOM and checksums into dist/
	@rm -rf dist
	@$(BIN)/python -m hatchling build --directory dist
	@cd clients/python && ../../$(BIN)/python -m hatchling build --directory ../../dist
	@var/audit/venv/bin/python .ci/audit.py sbom
	@cd dist && sha256sum -- * > SHA256SUMS && cat SHA256SUMS

screenshots: .venv/development.stamp ## Photograph the console, filled, into docs/screenshots (needs Chromium)
	@exec $(BIN)/python -m tests.browser.screenshots $(ARGS)
