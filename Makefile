# `make demo` and `make test` do all the set-up they need, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Editable, and built as pip's newer versions do, whichever pip the venv begins with.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable

# TensorFlow's own log lines: errors only. Pictures go to files.
TF_CPP_MIN_LOG_LEVEL ?= 3
MPLBACKEND ?= Agg
# mkdocs-material advertises its successor at every build otherwise.
export NO_MKDOCS_2_WARNING := 1
export TF_CPP_MIN_LOG_LEVEL MPLBACKEND

.DEFAULT_GOAL := help
.PHONY: help demo test slow lint format types docs clean

help:  ## List the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1	/' | expand -t 10

demo: $(VENV)/.installed  ## Train, index, look up, draw, save and reload, on digits.
	$(BIN)/python examples/hello_world.py --out out/hello_world

test: $(VENV)/.installed-dev  ## Run the tests, on up to four cores.
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

slow: $(VENV)/.installed-dev  ## Run the tests that `make test` leaves out.
	$(BIN)/python -m pytest -m "slow or ci" $(ARGS)

lint: $(VENV)/.installed-dev  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev  ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev  ## Check the types.
	$(BIN)/mypy

docs: $(VENV)/.installed-dev  ## Build the documentation into site/.
	$(BIN)/mkdocs build --quiet --strict --config-file .mkdocs.yml

clean:  ## Remove the virtual environment and everything built.
	rm -rf $(VENV) build dist site out *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: setup.py $(VENV)/.created
	@echo "Installing tensorflow_similarity into $(VENV); TensorFlow alone is 500 MB, so the first time takes minutes."
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-dev: setup.py $(VENV)/.created
	@echo "Installing tensorflow_similarity and its tools into $(VENV); the first time takes minutes."
	$(INSTALL) ".[dev]"
	@touch $@ $(VENV)/.installed
