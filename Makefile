# `make serve` and `make test` do all their own set-up: a virtual environment with exactly what
# constraints.txt pins, and Chromium. PYTHON=python3.12 chooses the interpreter, ARGS="--bind …" is
# handed on to `mooring serve`, or to pytest.

.DEFAULT_GOAL := help
.PHONY: help serve test soak clean

ARGS ?=
export PYTHON

help:
	@echo "make serve  - run Mooring with its demo on http://127.0.0.1:5010"
	@echo "make test   - check everything"
	@echo "make soak   - break everything, again and again, for FOR minutes (30), and report"
	@echo "make clean  - remove the virtual environment and caches"

serve:
	@scripts/setup serve
	@exec .venv/bin/mooring serve --demo $(ARGS)

test:
	@scripts/setup test
	@scripts/check $(ARGS)

FOR ?= 30
soak:
	@scripts/setup test
	@.venv/bin/python -m tests.faults.soak $(FOR)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
