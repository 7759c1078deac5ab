# Everything from a fresh clone: python3 and make are enough, `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo dev prove bench attack test check lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## make .venv from the hash-pinned lock; the others do it themselves

demo: $(INSTALLED) ## submit one appointment for each documented outcome and show how each ended (DEMO='--no-webhooks')
	@$(BIN)/cobalt-appointments demo $(DEMO)

dev: $(INSTALLED) ## keep the service, its database and the sandbox up (DEV_WEB_PORT, DEV_SANDBOX_PORT)
	@$(BIN)/cobalt-appointments dev

prove: $(INSTALLED) ## the fault drill, a few minutes (PROVE='--seed 7 --short')
	@$(BIN)/cobalt-appointments prove $(PROVE)

bench: $(INSTALLED) ## the benchmarks, ten minutes; needs wrk (BENCH='--parts growth' or '--smoke')
	@$(BIN)/cobalt-appointments bench $(BENCH)

attack: $(INSTALLED) ## attack it for some minutes; haproxy and nginx join if they are here (ATTACK='--only slow --connections 2000')
	@$(BIN)/cobalt-appointments attack $(ATTACK)

test: $(INSTALLED) ## all tests, on an embedded PostgreSQL
	$(BIN)/pytest -n logical

check: $(INSTALLED) ## format, lint, types, import rules, migrations equal to the models
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m service.lab.scratch -- $(BIN)/cobalt-appointments db check

lock: ## resolve the dependencies anew into requirements.txt and requirements-dev.txt (needs uv)
	$(LOCK) --output-file requirements.txt
	$(LOCK) --extra dev --output-file requirements-dev.txt

clean: ## remove .venv and everything else that was made here, the data of `make dev` too
	rm -rf .venv var build .*_cache *.egg-info .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Anew when a dependency or a console script may have changed, and only then.
$(INSTALLED): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or older than Python 3.11; name another one: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
