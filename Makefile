# Each target sets up what it needs, from nothing but Python 3.11 or newer; a stamp file says that it is done.
#   make demo     train on handwritten digits, compiled  make oracle   compare with PyTorch 2.13
#   make test     everything that needs no PyTorch       make fuzz     the property tests at full length
#   make bench    times beside PyTorch's                 make clean    remove what these made
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: demo test lint types unit doctest slim short-demo oracle fuzz bench stubs clean

DEMO := .venv/.demo
DEV := .venv/.dev
SLIM := .venv-slim/.done
ORACLE := .venv-oracle/.done
JOBS ?= 2
FUZZ_PROGRAMS ?= 5000
FUZZ_STEPS ?= 2000
# Parallel tests share the cores among themselves: more BLAS threads would only wait for each other.
PYTEST := -m pytest -n $(JOBS) --dist loadgroup
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

demo: $(DEMO)
	.venv/bin/lamina run examples/mnist.py --compile

test: lint types unit doctest slim short-demo

lint: $(DEV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/python tools/stubs.py --check

types: $(DEV)
	.venv/bin/mypy

unit: $(DEV)
	$(ONE_THREAD) .venv/bin/python $(PYTEST) --ignore tests/oracle --cov --cov-report=term tests

# The examples in docs and docstrings.
doctest: $(DEV)
	$(ONE_THREAD) .venv/bin/python -m pytest --doctest-modules --doctest-glob='*.md' --ignore src/lamina/compat/children --ignore src/lamina/ops.py \
	    src/lamina $(wildcard docs README.md CONTRIBUTING.md)

# The core with numpy and ml_dtypes alone.
slim: $(SLIM)
	$(ONE_THREAD) .venv-slim/bin/python $(PYTEST) -m "not full and not slow" \
	    $(wildcard tests/core tests/autograd tests/primitives tests/slim)

short-demo: $(DEV)
	.venv/bin/lamina run examples/mnist.py --compile --steps 30 --out build/demo

oracle: $(ORACLE)
	$(ONE_THREAD) .venv-oracle/bin/python $(PYTEST) tests/oracle

fuzz: $(ORACLE)
	LAMINA_FUZZ_PROGRAMS=$(FUZZ_PROGRAMS) LAMINA_FUZZ_STEPS=$(FUZZ_STEPS) $(ONE_THREAD) .venv-oracle/bin/python $(PYTEST) -m fuzz tests

bench: $(DEMO)
	if [ -e $(ORACLE) ]; then bin=.venv-oracle/bin; else bin=.venv/bin; fi
	$$bin/python benchmarks/bench.py $(BENCH)

stubs: $(DEV)
	.venv/bin/python tools/stubs.py
	.venv/bin/ruff check --quiet --fix src
	.venv/bin/ruff format --quiet src

$(DEMO): pyproject.toml
	tools/setup-venv .venv $@ -e '.[plot]'

$(DEV): pyproject.toml $(DEMO)
	tools/setup-venv .venv $@ -e '.[plot,dev]'

$(SLIM): pyproject.toml
	tools/setup-venv .venv-slim $@ numpy ml_dtypes pytest pytest-xdist hypothesis
	tools/setup-venv .venv-slim $@ --no-deps -e .

$(ORACLE): pyproject.toml
	tools/setup-venv .venv-oracle $@ -e '.[plot,dev,oracle]'

clean:
	rm -rf .venv .venv-slim .venv-oracle build out .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
