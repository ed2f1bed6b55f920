# make demo: scan the example memes.   make test: everything the tests check.   Both create what they need.
PYTHON ?= python3
VENV ?= .venv
TESTERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: install demo test lint bench docs tables clean

# Enough to scan: no PyTorch.
$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e '.[ocr]'
	touch $@

# Training, evaluation and the tools the tests need.
$(VENV)/.full: $(VENV)/.core
	$(PIP) install -c constraints.txt -e '.[ocr,data,teacher,train,dev]'
	touch $@

install: $(VENV)/.full

demo: $(VENV)/.core
	$(BIN)/memescope scan examples/memes --out memescope-demo

test: $(VENV)/.full
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

lint: $(VENV)/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.full
	$(BIN)/memescope bench scan
	$(BIN)/memescope bench ocr

# The pages of docs/ against --help, links, recipes.
docs: $(VENV)/.full
	$(BIN)/python -m pytest tests/test_docs.py

# docs/tables: every table as its rows in docs/results draw it.
tables: $(VENV)/.full
	for table in recipes/tables/*.yaml; do \
	  $(BIN)/memescope table $$table > docs/tables/$$(basename $$table .yaml).md || exit 1; \
	done

clean:
	rm -rf $(VENV) memescope-demo
