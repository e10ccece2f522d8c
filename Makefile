# make run     sets up .venv, cross-validates the built-in cohort, prints where the report is
# make test    sets up .venv, checks style and types, runs the test suite
# make browser tries to install a browser for the tests of the pages, where there is none; test does, too

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: run test test-slow lint setup browser clean

setup: $(STAMP)

# The stamp is written last: an interrupted install is done again.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[weights,ray,dev]'
	touch $@

run: setup
	$(BIN)/kfold-hs run --folds 5

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Where this fails, the tests of the pages are skipped and say so.
browser: setup
	$(BIN)/python tests/browser.py

# A test file stays with one worker, so that what it shares is made once.
test: lint browser
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
