# Every command a developer needs. `make` alone prints what there is.

PY := .venv/bin/python
# The dependency locks hold names and hashes only, never where the packages came from.
COMPILE := sh tools/uv.sh pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help docs setup demo run worker beat test test-servers test-embedded test-full screenshots lint format check \
	lock migrations bench

help: ## Print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

setup: setup-dev ## Make .venv with everything for running, testing and linting

.PHONY: setup-dev setup-run
setup-dev:
	@sh tools/bootstrap.sh dev

setup-run:
	@sh tools/bootstrap.sh runtime

demo: setup-run ## Start everything, send demo messages and show them (ARGS=--exit stops by itself)
	@$(PY) manage.py demo $(ARGS)

run: setup-run ## Run web, worker and beat in one process on SQLite
	@$(PY) manage.py run_embedded $(ARGS)

worker: setup-run ## Run a Celery worker (needs DATABASE_URL and REDIS_URL)
	@$(PY) -m celery -A config worker --pool threads $(ARGS)

beat: setup-run ## Run the scheduler (needs DATABASE_URL and REDIS_URL)
	@$(PY) -m celery -A config beat $(ARGS)

test: setup-dev ## Run all tests on private PostgreSQL and Redis, then on the embedded default (ARGS=…)
	@$(PY) -m tests.run -- $(ARGS)

test-servers: setup-dev ## Run all tests on private PostgreSQL and Redis only (ARGS=…)
	@$(PY) -m tests.run --only servers -- $(ARGS)

test-embedded: setup-dev ## Run the core tests on the embedded default only (ARGS=…)
	@$(PY) -m tests.run --only embedded -- $(ARGS)

test-full: setup-dev ## Run all tests with the long ones too (ARGS=…)
	@$(PY) -m tests.run --full -- $(ARGS)

screenshots: setup-dev ## Take the pictures in docs/images anew (needs Chromium)
	@mkdir -p docs/images/pages
	@SCREENSHOTS=docs/images REQUIRE_BROWSER=1 $(PY) -m tests.run --only servers -- -q -n0 \
		-m pictures tests/browser/test_pictures.py

lint: setup-dev ## Check style, types, imports, migrations, settings, security and the Dockerfile
	@sh tools/lint.sh

format: setup-dev ## Format the code and apply the safe fixes
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

check: lint test ## Run lint and test, as CI does

lock: setup-dev ## Resolve the dependencies again (ARGS=--upgrade takes newer releases)
	@$(COMPILE) $(ARGS) pyproject.toml -o requirements.txt >/dev/null
	@$(COMPILE) $(ARGS) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt >/dev/null
	@echo uv | $(COMPILE) $(ARGS) - -o tools/requirements-uv.txt >/dev/null

migrations: setup-dev ## Write the migrations for changed models
	@$(PY) manage.py makemigrations $(ARGS)

docs: setup-dev ## Write the pages that are generated from code
	@$(PY) manage.py write_state_diagram

bench: setup-dev ## Run the benchmarks (B=… chooses one)
	@$(PY) -m bench $(B)
