# make run: set all up and open the app.  make test: set all up, check, and run every test.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check format tools clean

run: $(VENV)/.run-ready
	$(BIN)/python launch.py $(ARGS)

test: check tools
	$(BIN)/python -m pytest -m "not browser" --numprocesses auto --maxprocesses 4 --dist worksteal
	$(BIN)/python -m pytest -m browser

check: $(VENV)/.dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

tools:
	sh tests/install_tools.sh

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Assay needs Python 3.11 or newer; name one: make run PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.run-ready: requirements.txt | $(BIN)/pip
	@echo "Installing what Assay needs into $(VENV). This happens once and takes a few minutes."
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

$(VENV)/.dev-ready: requirements-dev.txt $(VENV)/.run-ready
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps prometheus-eval==0.1.20
	touch $@
