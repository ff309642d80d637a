# Two commands set everything up: `make demo` and `make test`. Both can be repeated.
PYTHON ?= python3.11
BIN := .venv/bin
BROWSER ?= chromium

.PHONY: demo test test-all check bench picture clean

.venv/installed: pyproject.toml
	command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; say where: make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

# MicroPython as WebAssembly, which runs the firmware under Node.js; without npm those tests are skipped and say so.
.venv/npm: .venv/installed
	! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --ignore-scripts --prefix $@ \
		@micropython/micropython-webassembly-pyscript@1.27.0

demo: .venv/installed
	$(BIN)/blurryscope demo --out demo

test: .venv/installed .venv/npm
	$(BIN)/pytest -n 2

test-all: .venv/installed .venv/npm
	$(BIN)/pytest -n 2 -m ""

check: .venv/installed
	$(BIN)/ruff format --check src firmware hardware tests benchmarks
	$(BIN)/ruff check src firmware hardware tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

# The picture in the README: the top of the demo's report, at the width of a desktop.
picture: demo
	$(BROWSER) --headless --disable-gpu --no-sandbox --hide-scrollbars --window-size=1440,1080 \
		--screenshot=docs/images/demo-report.png "file://$(CURDIR)/demo/slide/report.html"

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
