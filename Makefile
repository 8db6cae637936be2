# Everything runs in .venv, which is made from requirements.lock when a target first needs it.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test test-all lint format bench wheel clean lock

install: $(INSTALLED)

# uv does the work in a third of pip's time; it is in the lock, so pip installs it from there.
$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	grep -A 100 '^uv==' requirements.lock | awk 'NR == 1 || /^ / {print; next} {exit}' > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --quiet requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet --editable .
	touch $@

demo: $(INSTALLED)
	$(BIN)/tltool train experiment=demo

test: lint
	$(BIN)/python -m pytest -n 2

test-all: lint
	$(BIN)/python -m pytest -n 2 -m "not gpu"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python scripts/bench.py

wheel: $(INSTALLED)
	$(BIN)/uv build --python $(BIN)/python --no-build-isolation --out-dir dist .

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet \
		--output-file requirements.lock

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache bench.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
