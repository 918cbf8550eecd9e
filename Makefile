# make demo        set up, train on assets/, evaluate, draw
# make test        set up, run the tests, as many at a time as there are cores
# make soak        the tests that take long: memory of long runs, killed trainings
# make package     a wheel of the demo pipeline in packages/, tried without a network; after `make demo`
# make docs        the site of the documentation, in build/docs
# make lint        style and types
# make bench       time and memory beside the encoder; ARGS="inference --threads 2" says what to measure and how
# make packaging   build, install into fresh environments, run the tests there

PYTHON ?= python3
VENV ?= .venv
# Settings for the demo, e.g. VARS="--vars.max_steps 50"
VARS ?=
# Arguments of the benchmarks, see `python -m benchmarks --help`
ARGS ?=
# Arguments of scripts/package_pipeline.py, e.g. PACKAGE="--version 0.2.0 --no-clean"
PACKAGE ?=
# Arguments of scripts/check_packaging.py, e.g. CHECK="--python 3.12 --resolution newest"
CHECK ?=

BIN := $(VENV)/bin
# What the demo needs, and all that there is.
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools

.PHONY: demo package test soak docs lint bench packaging clean

demo: $(INSTALLED)
	@echo "Next: the encoder, the corpus, training (some minutes on two cores), thresholds, and scores"
	$(BIN)/python -m weasel run all . $(VARS)
	@echo "Next: run the first lines of README.md, which load training/demo/tuned, and open reports/demo.html"

package: $(TOOLS)
	$(BIN)/python scripts/package_pipeline.py training/demo/tuned corpus packages \
		--base-model sentence-transformers/all-MiniLM-L6-v2 $(PACKAGE)

test: $(TOOLS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

soak: $(TOOLS)
	$(BIN)/python -m pytest -m soak

docs: $(TOOLS)
	$(BIN)/python -m sphinx -E -W --keep-going docs build/docs

lint: $(TOOLS)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(TOOLS)
	$(BIN)/python scripts/fetch_encoder.py encoder
	$(BIN)/python -m benchmarks $(ARGS)

packaging: $(TOOLS)
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/python scripts/check_packaging.py $(CHECK)

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed. Name it like this: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar on -r requirements.txt
	$(BIN)/python -m pip install --no-deps -e .
	@touch $@

$(TOOLS): requirements-dev.txt $(INSTALLED)
	$(BIN)/python -m pip install --progress-bar on -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) corpus encoder encoder_random training metrics reports packages project.lock
