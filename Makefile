# Hallkeeper. Needs Python 3.11 and make; `make` alone lists the commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOMS := agent bus collectors console dashboards devices fleet hallkeeper historian oncall remediator rules simulator

.PHONY: help demo test check bench docs peers lock clean
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Hallkeeper needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml devices/wire/_pages.c | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.installed ## install, then watch Hallkeeper heal a simulated site (ARGS="--headless --json" without a terminal)
	@$(BIN)/hallkeeper demo $(ARGS)

test: $(VENV)/.installed-dev peers ## set everything up and run every test: what needs no peer's pace on two cores, the rest alone (ARGS="tests/unit/rules")
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest -n 2 tests/unit tests/property
	$(BIN)/pytest --ignore=tests/unit --ignore=tests/property
endif

check: $(VENV)/.installed-dev ## format, lint, types, who imports whom, tidiness
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(ROOMS)
	$(BIN)/lint-imports

bench: $(VENV)/.installed ## measure speed in CPU-seconds (WHAT="scrape snmp rules")
	@for what in $(or $(WHAT),scrape snmp rules); do $(BIN)/hallkeeper bench $$what --json || exit 1; done

docs: $(VENV)/.installed-dev ## write the generated pages (metrics, settings, dashboards)
	$(BIN)/python -m tools.docs

peers: $(BIN)/python ## install the real peers the tests meet (root and apt; java and mvn); what cannot be had is said
	@bash tools/peers.sh

lock: $(VENV)/.installed-dev ## resolve the dependencies again, with hashes
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -q pyproject.toml --group build -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url -q pyproject.toml --group build --group dev -o requirements-dev.lock

clean: ## remove what the other commands made
	rm -rf $(VENV) .peers build *.egg-info .mypy_cache .ruff_cache .import_linter_cache var
