# Everything a checkout needs: `make run` and `make test` set up on first use and never again.
# PYTHON chooses the interpreter, ARGS passes options to `ksearch run`, PYTEST_ARGS to pytest.

PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN  := $(VENV)/bin
STAMP := $(VENV)/.installed
# A virtual environment holds absolute paths, so the mark of its making names the folder: a moved checkout makes it anew.
MADE := $(VENV)/.made-in-$(shell pwd -P | cksum | cut -d' ' -f1)
# Only errors: warnings about a user's own index settings would bury the one line that matters.
PIP   := $(BIN)/python -m pip --quiet --quiet --no-input
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test check lint types layers pytest constraints clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 14

setup: $(STAMP)  ## Make .venv and install ksearch into it (done by the other targets when needed)

run: $(STAMP)  ## Search for a faster dsa_topk kernel; options in ARGS="..."
	@$(BIN)/ksearch run --definition dsa_topk $(ARGS)

test: check pytest  ## Lint, types, layers and all tests

check: lint types layers  ## Lint, types and layers

lint: $(STAMP)  ## ruff
	@$(BIN)/python -m ruff check .

types: $(STAMP)  ## mypy, strict
	@$(BIN)/python -m mypy

layers: $(STAMP)  ## import-linter: which part may import which
	@$(BIN)/lint-imports

# Two processes: most tests wait for others (judges, servers, browsers), whose deadlines leave room for a second worker on two cores.
pytest: $(STAMP)
	@$(BIN)/python -m pytest --quiet -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# torch goes first and alone: its exact version decides whether pip picks the build that fits this machine, and the rest must fit it.
# Modules are compiled when they are first imported: pip would compile all 20,000, one after the other, longer than it downloads.
$(STAMP): $(MADE) pyproject.toml constraints.txt
	@echo "Installing $(TORCH) and ksearch into $(VENV) (a few minutes, once)"
	@$(PIP) install --no-compile "$(TORCH)" -c constraints.txt
	@$(PIP) install --no-compile -e '.[dev]' -c constraints.txt
	@touch $@

# So does one whose interpreter is gone, as after an upgrade of the system's Python.
ifneq ($(shell test -x $(BIN)/python || echo gone),)
.PHONY: $(MADE)
endif

$(MADE):
	@command -v "$(PYTHON)" >/dev/null || { echo "ksearch needs Python 3.11 or newer: '$(PYTHON)' is not here; name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit("ksearch needs Python 3.11 or newer and this is %d.%d; name one with make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@"$(PYTHON)" -m venv --clear $(VENV) || { rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@touch $@

constraints: $(STAMP)  ## Write constraints.txt from what .venv holds
	@{ sed '/^[^#]/,$$d' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable \
	  | sed 's/+.*//' | grep -E -v '^(pip|cuda-[a-z]+|nvidia-[a-z0-9-]+|nccl[a-z0-9-]*)=='; } > .constraints.new
	@mv .constraints.new constraints.txt
	@touch $(STAMP)  # it holds exactly these versions already

clean:  ## Remove .venv and every cache; runs/ stays
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
