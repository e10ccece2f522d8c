# make run     sets up .venv, cross-validates the built-in cohort, prints where the report is
# make test    sets up .venv with what tests need too, checks style and types, runs the tests
# make docs    builds the documentation as a site, build/docs/index.html
# make gpu-kit collects what the checks on a GPU need where there is no package index (docs/gpu.md)
# make browser tries to install a browser for the tests of the pages, where there is none; test does, too
#
# make run TORCH_INDEX=URL    torch without CUDA: 1 GB, not 7; URL as pytorch.org names it for pip

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --progress-bar on -c constraints.txt
# An index of torch's wheels beside that of all others; its 2.14.1+cpu is preferred to 2.14.1.
TORCH_INDEX ?=
TORCH  := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: run test test-slow docs gpu-kit lint setup setup-test browser clean

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

# A stamp is written last: an interrupted install is done again.
$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@echo "Installing kfold-hs into $(VENV): some minutes, up to 7 GB (see TORCH_INDEX in Makefile)."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip setuptools
	$(PIP) $(TORCH) -e '.[weights]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing what the tests need beside it: Ray, wandb, a browser driver and others."
	$(PIP) $(TORCH) -e '.[weights,ray,dev]'
	touch $@

run: setup
	$(BIN)/kfold-hs run --folds 5
	@echo "Next: $(BIN)/kfold-hs --help, or: . $(BIN)/activate && kfold-hs --help"

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Where this fails, the tests of the pages are skipped and say so.
browser: setup-test
	$(BIN)/python tests/support/browser.py

# A test file stays with one worker, so that what it shares is made once.
test: lint browser
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: setup-test
	$(BIN)/python -m pytest -m slow

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Installing Sphinx: 22 packages, 100 MB."
	$(BIN)/python -m pip install --progress-bar on -c constraints.txt -e '.[docs]'
	touch $@

# A warning is an error: a link that leads nowhere, a name or setting that is not documented.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -E -W --keep-going -q -d build/docs-trees docs build/docs
	@echo "The site is build/docs/index.html"

gpu-kit: setup
	$(BIN)/python tests/gpu/collect.py

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
