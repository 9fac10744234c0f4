# Two commands a newcomer needs: `make demo` and `make test`. Both set everything up by themselves.
VENV := .venv
BIN := $(VENV)/bin
TRAINING := .venv-training

.DEFAULT_GOAL := help
.PHONY: help setup training-env peers demo test check fix bench accuracy conformance chaos soak fuzz lock clean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(BIN)/.installed  ## Make the virtual environment with pinned packages

$(BIN)/.installed: requirements/dev.lock pyproject.toml scripts/setup.sh
	scripts/setup.sh $(VENV)
	touch $@

peers:  ## Install the test peers: Orthanc, dcmtk, Redis, PostgreSQL, validators (Debian packages), OHIF (npm)
	scripts/peers.sh
	scripts/viewer.sh

demo: setup  ## Send a study with known lesions through the whole service, print found against inserted
	$(BIN)/metserve demo --out demo

training-env: $(TRAINING)/.installed  ## Make the environment with torch, apart from the one that is deployed

$(TRAINING)/.installed: $(BIN)/.installed requirements/training.txt scripts/setup_training.sh
	scripts/setup_training.sh $(VENV) $(TRAINING)
	touch $@

test: setup peers training-env  ## Run every test, those of training and those with real peers included
	scripts/test.sh $(VENV) $(TRAINING)

check: setup  ## What CI checks besides tests: changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/env_example.py --check
	$(BIN)/python scripts/conformance_statement.py --check

fix: setup  ## Format, fix what can be fixed, refresh generated files
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/env_example.py
	$(BIN)/python scripts/conformance_statement.py

accuracy: setup  ## Found against inserted in three studies, every member (minutes)
	$(BIN)/python benchmarks/accuracy.py

bench: setup  ## Stage times and memory of the analysis, and accuracy and time of the registration
	$(BIN)/python benchmarks/analysis.py
	$(BIN)/python benchmarks/registration.py

conformance: setup peers  ## Results as other programs read them, in every geometry (docs/conformance)
	$(BIN)/python scripts/conformance.py

chaos: setup peers  ## Kill everything at every point, some 250 faults; nothing may be lost (half an hour)
	$(BIN)/python -m tests.chaos.run

soak: setup peers  ## 1,000 small studies: memory, files and threads stay flat, none is lost
	$(BIN)/python -m tests.chaos.soak

fuzz: setup  ## 10,000 malformed instances and the catalogue of bad input: refused or quarantined, no crash
	$(BIN)/python -m tests.fuzz.run

lock: setup  ## Pin the requirements anew (needs uv)
	scripts/lock.sh
	$(BIN)/python scripts/licences.py

clean:  ## Remove what the commands above made
	rm -rf $(VENV) $(TRAINING) demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
