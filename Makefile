# Each target sets up what it needs in .venv and runs one command.
PYTHON ?= python3
# Extras of pyproject.toml that `serve` installs too: make serve EXTRAS=s3,postgres
EXTRAS ?=
comma := ,
VENV := .venv
# Tests wait more than they work: two at a time, each file by one process. PARALLEL=0 runs them one after another.
PARALLEL ?= 2
BIN := $(VENV)/bin

.PHONY: serve dev-s3 test test-servers lint format lock bench clean

serve: $(VENV)/runtime $(patsubst %,$(VENV)/extra-%,$(subst $(comma), ,$(EXTRAS)))   ## run the server on its embedded defaults
	$(BIN)/longshore serve $(ARGS)

dev-s3: $(VENV)/extra-s3 ## a real S3 server to develop with, and how to point `serve` at it
	$(BIN)/python deploy/dev_s3.py $(ARGS)

test: $(VENV)/dev        ## check style, types and house laws, then run every test
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/pytest -n $(PARALLEL) --dist loadfile $(ARGS)

test-servers: $(VENV)/dev ## the doors' tests again: three servers, rows in PostgreSQL, bytes in a bucket of an S3 server
	LONGSHORE_TEST_DATABASE=postgresql LONGSHORE_TEST_STORE=s3 LONGSHORE_TEST_SERVERS=3 \
	$(BIN)/pytest -n $(PARALLEL) --dist loadfile tests/registry/v2 tests/registry/ecr $(ARGS)

lint: $(VENV)/dev        ## the checks of `test` alone
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(VENV)/dev      ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/runtime   ## compare with the peers found on this machine
	$(BIN)/python bench/compare.py $(ARGS)

lock:                    ## rewrite the locked requirements from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes --group build pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes --all-extras --group build --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes --extra s3 pyproject.toml -c requirements-dev.lock -o requirements-s3.lock
	uv pip compile -q --universal --python-version 3.11 --no-header --no-annotate --generate-hashes --extra postgres pyproject.toml -c requirements-dev.lock -o requirements-postgres.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .dev-s3

$(VENV)/runtime: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/extra-%: requirements-%.lock $(VENV)/runtime
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@
