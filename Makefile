.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# The longest first: whole systems, one after the other, while the other processes do the rest.
SHARED_OUT := --numprocesses=logical --maxprocesses=4 --no-loadscope-reorder
KERNELS := pipelines/models/kernels/scoring
export UV_COMPILE_BYTECODE ?= 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run up dev test test-unit test-integration test-e2e test-debian-servers test-images drill audit check fix openapi dashboards screenshots bench-pipeline bench-quality bench-training bench-scale bench-data bench-serving bench-stack bench-peers clean

help: ## Show what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

setup: .venv/.synced $(KERNELS).so ## Create .venv, install what the lock names, compile the kernels

# The lock is what installs: a changed pyproject.toml without a new lock is an error, not a surprise.
.venv/.synced: uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 13) else "bookrec: Python 3.11 or 3.12 is needed: make $(MAKECMDGOALS) PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "Installing the locked dependencies …"
	@$(BIN)/uv sync --locked --all-extras --quiet
	@touch $@

# Installing compiles it; this is for who has changed or lost it since.
$(KERNELS).so: $(KERNELS).c hatch_build.py | .venv/.synced
	@echo "Compiling the kernels …"
	@$(BIN)/uv sync --locked --all-extras --quiet --reinstall-package book-recommender

run: setup ## Run the whole pipeline through Airflow and show ten recommendations
	@$(BIN)/python -m dags.local_run $(ARGS)

dev: setup ## The same for whoever works on it: starts again when the source changes, logs all
	@$(BIN)/bookrec --verbose up --reload

up: setup ## Start API, Airflow, MLflow and the servers for a person; Ctrl-C stops them
	@$(BIN)/bookrec up

test: setup ## Run every test, against real servers that it starts itself
	@$(BIN)/python -m pytest $(SHARED_OUT) $(ARGS)

test-unit: setup ## Run the tests that need no server
	@$(BIN)/python -m pytest $(SHARED_OUT) -m "not integration and not e2e" $(ARGS)

test-integration: setup ## Run the tests against PostgreSQL, Redis and MLflow
	@$(BIN)/python -m pytest $(SHARED_OUT) -m integration $(ARGS)

test-e2e: setup ## Run the tests of the whole pipeline and of whole servers
	@$(BIN)/python -m pytest -m e2e $(ARGS)

test-debian-servers: setup ## Run the integration tests against Debian's PostgreSQL 15 and Redis 7
	@tests/with_debian_servers.sh $(BIN)/python -m pytest $(SHARED_OUT) -m integration $(ARGS)

drill: setup ## Lose database and models of a local stack, restore them, compare answers
	@$(BIN)/python -m pipelines.maintenance.drill $(ARGS)

test-images: setup ## Install and start what each image holds, as its Dockerfile says; minutes
	@$(BIN)/python -m pytest tests/e2e/test_images.py -m images -s $(ARGS)

check: setup ## Check style, types, spelling and who imports whom; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell $$(git ls-files)
	@$(BIN)/uv lock --check --quiet

# --strict: a package that could not be asked about is not one that nothing is known of.
audit: setup ## Look for known vulnerabilities in what the lock names; needs the internet
	@$(BIN)/uv export --locked --all-extras --all-groups --no-emit-project --no-hashes --quiet --output-file .venv/locked.txt
	@$(BIN)/pip-audit --requirement .venv/locked.txt --strict --no-deps --disable-pip --progress-spinner off \
		$$(sed -n 's/^| \([A-Z]*-[^ ]*\) |.*/--ignore-vuln \1/p' docs/security-audit.md)

fix: setup ## Repair what can be repaired by machine
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

openapi: setup ## Renew the snapshot that the API's contract is held against
	@$(BIN)/python -m tests.unit.serving.gateway.test_contract

dashboards: setup ## Write Grafana's dashboards from docker/monitoring/grafana/dashboards.yaml
	@$(BIN)/python docker/monitoring/grafana/make_dashboards.py

screenshots: setup ## Take the pictures of the documentation; needs Chromium
	@$(BIN)/python docs/screenshots.py

bench-pipeline: setup ## Time a whole run and its peak memory (ARGS="--source S --data PATH")
	@$(BIN)/python -m benchmarks.pipeline_run $(ARGS)

bench-quality: setup bench-peers ## Compare the hybrid with tuned peers (ARGS="--data PATH")
	@$(BIN)/python -m benchmarks.quality $(ARGS)

bench-training: setup bench-peers ## Compare time and memory of fits with peers (ARGS="--data PATH")
	@$(BIN)/python -m benchmarks.training $(ARGS)

bench-scale: setup ## Measure how fits grow up to 30 million ratings (ARGS="--up-to 3")
	@$(BIN)/python -m benchmarks.scale $(ARGS)

bench-data: setup ## Measure loading against bare pyarrow and plain COPY (ARGS="--ratings 1")
	@$(BIN)/python -m benchmarks.data $(ARGS)

bench-serving: setup ## Load the service beside FastAPI without it; needs wrk (ARGS="--books 10000")
	@command -v wrk >/dev/null || { echo "bookrec: wrk is not installed: apt-get install wrk"; exit 1; }
	@$(BIN)/python -m benchmarks.serving $(ARGS)

bench-stack: setup ## Load Nginx over two replicas beside one alone; needs wrk (ARGS="--books 10000")
	@command -v wrk >/dev/null || { echo "bookrec: wrk is not installed: apt-get install wrk"; exit 1; }
	@$(BIN)/python -m benchmarks.stack $(ARGS)

bench-peers: benchmarks/peers/.venv/.synced ## Install the peers into an environment of their own

# torch first and alone, from the index of its CPU builds: those of PyPI bring gigabytes of CUDA.
benchmarks/peers/.venv/.synced: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv --clear benchmarks/peers/.venv
	@echo "Installing the peers …"
	@benchmarks/peers/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--extra-index-url https://download.pytorch.org/whl/cpu $$(grep '^torch==' $<)
	@benchmarks/peers/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean: ## Remove the environment and all local state, models included
	@test ! -x $(BIN)/bookrec || $(BIN)/bookrec stop
	rm -rf .venv $(KERNELS)*.so benchmarks/peers/.venv .bookrec $$(ls -d mlruns/* 2>/dev/null) .mypy_cache .ruff_cache .pytest_cache .hypothesis
