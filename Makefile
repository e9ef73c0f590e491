# make run: the demo agent and its chat page.   make test: everything that has to pass.   make help: the rest.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PAGE := src/jumpseat/cli/page/index.html
LOCK := uv pip compile pyproject.toml --extra server --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet --upgrade

.DEFAULT_GOAL := help
.PHONY: help run test lint format page bench soak lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/.server-installed ## Serve the demo agent and the chat page (ARGS="module:runtime --port 9000")
	@scripts/build-page.sh --if-possible
	@$(BIN)/jumpseat dev $(ARGS)

test: $(VENV)/.dev-installed ## Install what the tests need, then check and test everything
	@scripts/require-services.sh
	@scripts/build-page.sh
	@$(MAKE) --no-print-directory lint
	npm --prefix page run --silent check
	@scripts/run-tests.sh $(BIN)/python $(ARGS)

lint: $(VENV)/.dev-installed ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: $(VENV)/.dev-installed ## Rewrite the Python files in the project's style
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

page: ## Build the chat page (needs Node.js)
	@scripts/build-page.sh

bench: $(VENV)/.dev-installed ## Measure Jumpseat beside the TypeScript runtime (ARGS="--quick")
	$(BIN)/python bench/compare.py $(ARGS)

soak: $(VENV)/.dev-installed ## Let clients, reloads and kills work on three processes (ARGS="--store redis")
	$(BIN)/python bench/soak.py $(ARGS)

lock: $(VENV)/.lock-installed ## Pin the newest versions of all dependencies
	$(BIN)/$(LOCK) --output-file requirements.lock
	$(BIN)/$(LOCK) --group dev --output-file requirements-dev.lock

clean: ## Remove everything that was built or installed here, but no threads
	rm -rf $(VENV) .venvs dist build $(dir $(PAGE)) page/node_modules tests/e2e/node/node_modules \
	       bench/typescript/node_modules .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@scripts/make-venv.sh "$(PYTHON)" "$(VENV)"

# Installed exactly as pinned and checked by hash; the package itself is linked, so that edits count at once.
$(VENV)/.server-installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Jumpseat into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev-installed: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo "Installing Jumpseat and what its tests need into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --editable .
	@touch $@ $(VENV)/.server-installed

$(VENV)/.lock-installed: | $(BIN)/python
	@$(PIP) uv
	@touch $@
