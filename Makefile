# Quantum Trader's front door. Needs make, sh and Python 3.11 or newer; uses uv when it is there.
#
#   make run                    set everything up, start in sim mode, show the live view (no keys, no network)
#   make run ARGS="--mode replay --data DIR"
#   make test                   lint, types, layers and all tests
#
# The virtual environment is made once. Its stamp lives inside it and carries the checkout's place, so a deleted,
# half-made or moved environment is made again instead of half working.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PY := .venv/bin/python
STAMP := .venv/installed-$(shell pwd | cksum | cut -d ' ' -f 1)
ARGS ?=

# Must be set before Python starts: onnxruntime otherwise sends telemetry and starts a thread at import,
# and the numeric libraries start one thread per core in each of our processes.
export ORT_DISABLE_TELEMETRY = 1
export OPENBLAS_NUM_THREADS = 1
export OMP_NUM_THREADS = 1

# A name on the PATH proves nothing (version managers leave shims that fail): each candidate has to run.
FIND_PYTHON = for p in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3 python; do \
	"$$p" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; exit 0; }; done; \
	echo "Quantum Trader needs Python 3.11 or newer and found none on the PATH; install one, or say: make PYTHON=/path/to/python3" >&2; \
	exit 1

.PHONY: help run test setup lint format types layers models campaign-replay campaign-oracle campaign-chaos bench python clean

help:
	@sed -n '3,5s/^# *//p' Makefile
	@echo 'also: setup lint format types layers models campaign-replay campaign-oracle campaign-chaos bench clean'

run: $(STAMP)
	@$(PY) -m ops.main up $(ARGS)

# Most tests wait for processes, so two at a time take two thirds of the time; a file's tests share what it starts.
test: lint types layers
	$(PY) -m pytest -n 2 --dist loadfile

setup: $(STAMP)

$(STAMP): pyproject.toml ops/constraints.txt
	@set -e; python=$$($(FIND_PYTHON)); \
	for old in .venv/installed-*; do case "$$old" in '$@'|*'*') ;; *) rm -rf .venv;; esac; done; rm -f $@; \
	$(PY) -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1 || rm -rf .venv; \
	if uv --version >/dev/null 2>&1; then \
		test -x $(PY) || uv venv --quiet --no-python-downloads --python "$$python" .venv; \
		uv pip install --quiet --python $(PY) -c ops/constraints.txt -e '.[dev]'; \
	else \
		test -x $(PY) || "$$python" -m venv .venv || { rm -rf .venv; \
			echo "$$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }; \
		$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null; \
		$(PY) -m pip install --quiet --disable-pip-version-check -c ops/constraints.txt -e '.[dev]'; \
	fi; \
	touch $@

lint: $(STAMP)
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: $(STAMP)
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

types: $(STAMP)
	$(PY) -m mypy

layers: $(STAMP)
	.venv/bin/lint-imports

# Trains, merges and signs the shipped models again; needs the libraries of the extra `train`.
models: $(STAMP)
	@if uv --version >/dev/null 2>&1; then uv pip install --quiet --python $(PY) -c ops/constraints.txt -e '.[dev,train]'; \
	else $(PY) -m pip install --quiet --disable-pip-version-check -c ops/constraints.txt -e '.[dev,train]'; fi
	$(PY) -m models_onnx.train $(ARGS)

# The recorded market at a slower pace than `make test` can afford: two minutes instead of twenty seconds.
campaign-replay: $(STAMP)
	QT_CAMPAIGN_SPEED=3 $(PY) -m pytest tests/integration/test_replay.py -k 'not fault and not hole' --timeout 400

# Thirty real children, 500 random kills, stops, exceptions and failed starts; prints its seed and its figures.
campaign-chaos: $(STAMP)
	QT_CHAOS_FAULTS=500 QT_CHAOS_SEED=$${QT_CHAOS_SEED:-$$(date +%s)} \
		$(PY) -m pytest tests/integration/test_chaos.py -s --timeout 600

# New scripts, drawn at random, against the real Erlang/OTP supervisor: twenty times what `make test` compares.
campaign-oracle: $(STAMP)
	QT_CAMPAIGN_SCRIPTS=$${QT_CAMPAIGN_SCRIPTS:-2200} $(PY) -m pytest tests/oracle --timeout 1800

bench: $(STAMP)
	@missed=; for file in $$(grep -l __main__ benchmarks/*.py); do \
		echo "== $$file"; $(PY) -m benchmarks.$$(basename "$$file" .py) $(ARGS) || missed="$$missed $$file"; done; \
	test -z "$$missed" || { echo "missed a gate or did not end well:$$missed" >&2; exit 1; }

# The interpreter that would be taken, for scripts.
python:
	@$(FIND_PYTHON)

clean:
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
