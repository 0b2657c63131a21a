# One command per habit; CI runs exactly these. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Which files of the fault suite; none: all.
FAULTS :=
PY := .venv/bin/python
PYTEST := $(PY) -m pytest -q
STAMP := .venv/.ready
LOCK := requirements.lock
# Loopback servers and empty homes: nothing of the caller's Airflow, MLflow or DVC set-up leaks in.
export AIRFLOW__CORE__LOAD_EXAMPLES := False

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make the environment in .venv (no-op when nothing changed)

$(STAMP): $(LOCK) pyproject.toml .python-version scripts/setup
	@sh scripts/setup
	@touch $@

lint: setup ## style, types, import directions, static checks of the container files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	sh scripts/check-static

test: setup ## fast tests: half an hour or more on 2 cores, no network but loopback
	$(PYTEST) -m "not real and not slow and not fault"

real: setup ## tests on reference data (EVERMIX_REFERENCE_DATA names their folder)
	$(PYTEST) -m real

slow: setup ## the demo through a real Airflow and MLflow, checked through their APIs
	$(PYTEST) -m "slow and not fault"

faults: setup ## harm real runs in every way we know, five times each, an hour or two; writes docs/faults.md
	EVERMIX_FAULT_REPEATS=$${EVERMIX_FAULT_REPEATS:-5} EVERMIX_FAULT_TABLE=$${EVERMIX_FAULT_TABLE-docs/faults.md} $(PYTEST) -m fault $(FAULTS)

# One BLAS thread: a shard is a core.
validity: setup ## the study behind docs/validity.md: resumable, SHARDS=2 side by side, REPLICATES=1000 MCMC=50; an hour or two
	@for i in $$(seq 0 $$(( $${SHARDS:-2} - 1 ))); do \
	  OMP_NUM_THREADS=1 $(PY) -m evermix.validity run --shard $$i --shards $${SHARDS:-2} \
	    --replicates $${REPLICATES:-1000} --mcmc $${MCMC:-50} & pids="$$pids $$!"; \
	done; for pid in $$pids; do wait $$pid || exit 1; done
	$(PY) -m evermix.validity publish

demo: setup ## play a simulated brand through the whole stack; KEEP=0 stops it at the end
	@.venv/bin/evermix demo $(if $(filter 0,$(KEEP)),--no-keep,--keep)

up: setup ## start the embedded Airflow and MLflow
	@.venv/bin/evermix up

down: setup ## stop what `up` started
	@.venv/bin/evermix down

compose: setup ## build the containers and play weeks on them, with a killed worker; KEEP=1 leaves them up
	@test -f .env || $(PY) scripts/compose-secrets
	@$(PY) scripts/compose-check

compose-down: ## remove what KEEP=1 `make compose` left, volumes included
	@docker compose -p evermix-check down -v --timeout 5

lock: setup ## resolve requirements.lock anew from pyproject.toml
	sh scripts/lock

clean: ## remove environment, tools and caches; state in .evermix stays
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.evermix/*' -prune -exec rm -rf {} +

.PHONY: help setup lint test real slow faults validity demo up down compose compose-down lock clean
