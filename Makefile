# Everything a newcomer runs. `make setup` is the only step that needs the network.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
# The first 3.11 that really runs: a pyenv shim may be there without one behind it.
IS_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))
PYTHON ?= $(shell for p in python3.11 python3 python; do \
  $$p -c '$(IS_311)' 2>/dev/null && { command -v $$p; break; }; done)
CODE := lake_platform assets resources sensors tests bench
RECORDS ?=
UV := $(VENV)/uv/bin/uv
AUDIT := $(VENV)/pip-audit/bin/pip-audit

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup lock demo schema-demo up down test test-fast test-all lint audit-deps format bench screenshots clean \
  chaos chaos-schedules chaos-input chaos-faults chaos-kills mutation

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(STAMP) ## virtual environment from the lock file, and the jars

$(STAMP): requirements.lock pyproject.toml lake_platform/embedded/jars.lock
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(IS_311)' 2>/dev/null || \
	  { echo "setup: Python 3.11 is needed and was not found; install it, or say where it is: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "setup 1/5: virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv $(VENV)
	@echo "setup 2/5: $$(grep -c '^[a-zA-Z0-9].*==' requirements.lock) packages from requirements.lock, hashes checked (a few minutes)"
	@# --use-pep517: older pips build pyspark in a way of their own, with warnings
	@$(BIN)/pip install --quiet --use-pep517 --require-hashes -r requirements.lock
	@echo "setup 3/5: this project"
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@echo "setup 4/5: jars of Kafka, Spark and Hudi, sha256 checked"
	@$(BIN)/lake jars --set kafka --set spark --set connect --set s3
	@echo "setup 5/5: class data of Spark and Hudi, for a quick start (a minute)"
	@$(BIN)/lake jars --class-data || echo "setup: Spark starts without class data, which only takes longer" >&2
	@touch $@
	@echo "setup: done"

lock: $(STAMP) ## maintainers: pin all packages anew into requirements.lock
	@# --no-strip-extras: pip with hashes refuses `gql[requests]` when the lock says only `gql`
	@test -x $(UV) || { $(PYTHON) -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install --quiet uv; }
	$(UV) pip compile --quiet --upgrade --generate-hashes --all-extras --python-version 3.11 \
	  --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock

demo: $(STAMP) ## the whole path with real flights (RECORDS=30000 for a first look)
	@$(BIN)/lake demo $(if $(RECORDS),--records $(RECORDS))

schema-demo: $(STAMP) ## one table through all that can happen to its schema
	@$(BIN)/lake schema-demo

up: $(STAMP) ## start Kafka, the API and Dagster; Ctrl-C stops them
	@$(BIN)/lake up

down: $(STAMP) ## stop what `make up` started
	@$(BIN)/lake down

test: $(STAMP) ## the test suite, real Kafka, Spark and Hudi included
	$(BIN)/pytest -n 2 --dist loadgroup -m "not deep"

test-all: $(STAMP) ## the test suite with every sibling on real engines and the long trials
	$(BIN)/pytest -n 2 --dist loadgroup

chaos-deep: $(STAMP) ## only what `make test-all` has and `make test` has not
	$(BIN)/pytest -n 2 --dist loadgroup -m deep

chaos: chaos-deep chaos-schedules chaos-input chaos-faults chaos-kills ## all of what tries to lose a record (about three hours)

chaos-schedules: $(STAMP) ## 20,000 simulated schedules and all interleavings of two writers (SCHEDULES=n)
	$(BIN)/python -m tests.simulation --schedules $(or $(SCHEDULES),20000)
	$(BIN)/python -m tests.simulation --interleavings

test-fast: $(STAMP) ## the tests without Spark, Kafka and long trials, under one minute
	$(BIN)/pytest -m "not spark and not stack and not slow" -n 2 tests/unit tests/contract tests/api tests/dagster

chaos-input: $(STAMP) ## a million mutated records, a long life of the cleaner, Kafka's edges
	$(BIN)/python -m tests.fuzz --records 1000000
	LAKE_TEST_TRIES=40 $(BIN)/pytest -n 2 --timeout 7200 $$(grep -rl 'tests.properties import' tests/unit)
	LAKE_TEST_EXAMPLES=200 $(BIN)/pytest --timeout 3600 tests/api/test_openapi.py
	LAKE_TEST_CLEANS=100 $(BIN)/pytest --timeout 1800 tests/unit/maintain/test_cleaner_proof.py
	$(BIN)/pytest tests/regressions tests/integration/test_kafka_edges.py

mutation: $(STAMP) ## break the commit log, planning and recovery in 3,000 ways; tests must notice 90 %
	$(BIN)/python -m tests.mutation

lint: $(STAMP) ## ruff, mypy strict and bandit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/bandit -q -r -c pyproject.toml $(filter-out tests bench,$(CODE))

audit-deps: $(STAMP) ## known vulnerabilities of what requirements.lock pins; needs PyPI's JSON API
	@# Of its own: it is no part of the platform, and its packages are many. --strict: a package that
	@# the service does not know is no sound one.
	@test -x $(AUDIT) || { $(PYTHON) -m venv $(VENV)/pip-audit && \
	  $(VENV)/pip-audit/bin/pip install --quiet pip-audit==2.10.1; }
	$(AUDIT) --strict --disable-pip --require-hashes -r requirements.lock

format: $(STAMP) ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## the numbers of docs/performance.md
	$(BIN)/python -m bench

chaos-kills: $(STAMP) ## kill writers at every named point, all tables (more than an hour)
	$(BIN)/python -m tests.kills --write

chaos-faults: $(STAMP) ## S3 that fails at every request, full disks, a metastore that is gone (under an hour)
	$(BIN)/python -m tests.faults --write

screenshots: $(STAMP) ## pages of the Dagster UI and the dashboard, taken with an installed Chromium
	$(BIN)/python docs/screenshots/take.py

clean: ## virtual environment and caches; keeps .lake (data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
