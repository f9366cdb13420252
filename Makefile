# Two commands: `make demo` runs a real study to its end, `make test` passes the tests.
# Both make the environment first, from requirements.lock (pins and hashes).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENGINE_TESTS := tests/conformance/test_engines_agree.py tests/conformance/test_every_engine.py
MORE_ENGINE_TESTS := tests/conformance/test_every_augmentation.py tests/training/test_frozen.py \
  tests/training/test_population.py tests/training/test_draws.py tests/training/test_pictures_on_disk.py
# as children compile (runner/slots.py); and what one test compiled no other compiles again
ON_JAX := KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=1 JAX_COMPILATION_CACHE_DIR=$(CURDIR)/$(VENV)/jax-cache \
  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-header --no-annotate
BY_PINS := --constraint requirements.lock
IN_IMAGE := --extra statsmodels --extra cmaes --extra jax --extra postgresql
NO_CUDA := --override stack/requirements.cpu.override stack/requirements.cpu.in
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo ui test test-jax test-engines test-backbones test-gpu faults chaos ray test-team test-stack lint house bench overhead lock clean

demo: $(READY)  ## Run the digits study on the embedded store.
	$(BIN)/searchlab run studies/digits_cnn.yaml

ui: $(READY)  ## Open the MLflow pages of the embedded store.
	$(BIN)/searchlab ui

test: $(READY)  ## Every test, on all cores; then the engines on Keras's JAX backend.
	$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder
	$(MAKE) test-jax

test-jax: $(READY)  ## The engines on Keras's JAX backend.
	$(ON_JAX) $(BIN)/python -m pytest -q -n auto $(ENGINE_TESTS) tests/training/test_population.py tests/training/test_draws.py

test-engines: $(READY)  ## Every engine beside fit, in all cases (make test and make test-jax have a sample).
	SEARCHLAB_ENGINES=all $(BIN)/python -m pytest -q -n auto $(ENGINE_TESTS) tests/conformance/test_engines_across_backends.py \
	  $(MORE_ENGINE_TESTS)
	SEARCHLAB_ENGINES=all $(ON_JAX) $(BIN)/python -m pytest -q -n auto $(ENGINE_TESTS) $(MORE_ENGINE_TESTS)

test-backbones: $(READY)  ## Every backbone in all respects (make test has a sample of what builds large ones again).
	SEARCHLAB_BACKBONES=all $(BIN)/python -m pytest -q -n auto --dist loadfile tests/conformance/test_every_backbone.py

test-gpu: $(READY)  ## What only a GPU can show, and trials a minute; first .venv/bin/pip install -e '.[gpu]'.
	$(BIN)/python -m pytest -q -s -rs tests/gpu tests/test_nvml.py

ray: $(READY)  ## The digits study on two Ray nodes, one of which is killed; lost nodes, heads and supervisors.
	SEARCHLAB_RAY=all SEARCHLAB_FAULTS=all $(BIN)/python -m pytest -q -s tests/e2e/test_ray_study.py \
	  tests/executors/test_ray.py tests/faults/test_lost_nodes.py tests/conformance/test_every_executor.py

faults: $(READY)  ## Every fault that the lab can bring about (make test has a sample).
	SEARCHLAB_FAULTS=all $(BIN)/python -m pytest -q -n auto --dist loadfile tests/faults tests/e2e/test_workers.py \
	  tests/e2e/test_resume_inside_a_trial.py tests/e2e/test_canary_secrets.py \
	  tests/e2e/test_interrupt.py tests/search/test_bad_network.py

chaos: $(READY)  ## Random faults, ten seeds of them; eleven minutes (make test has one, shorter).
	SEARCHLAB_CHAOS=all $(BIN)/python -m pytest -q tests/faults/test_chaos.py

test-team: $(READY)  ## A team's evaluator, workers and users as processes, with PostgreSQL and MLflow; four minutes.
	SEARCHLAB_TEAM=all $(BIN)/python -m pytest -q tests/e2e/test_team.py

test-stack: $(READY)  ## The team stack, really brought up: installs Docker where there is none; ten minutes, 15 GB of disk.
	SEARCHLAB_STACK_TEST=all $(BIN)/python -m pytest -q -s -rs tests/stack

lint: $(READY)  ## ruff and mypy --strict.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

house: $(READY)  ## The floors and the doors, as tests/test_house.py states them.
	$(BIN)/python -m pytest -q tests/test_house.py

bench: $(READY)  ## Beside KerasTuner, Optuna loops and Ray Tune; hours, or BENCH="--task digits_mlp --rounds 3".
	$(BIN)/python -m benchmarks.trials_per_minute $(BENCH)

overhead: $(READY)  ## What searchlab adds to long trials, around a run, and for MLflow.
	$(BIN)/python -m benchmarks.overhead

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "searchlab needs Python 3.11 or newer: make PYTHON=python3.12 demo")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # on all cores; pip would take one
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:  ## Renew requirements.lock and, by its pins, those of the images in stack/ (needs uv); none names a host.
	$(COMPILE) --upgrade --extra dev pyproject.toml --output-file requirements.lock
	$(COMPILE) $(BY_PINS) $(IN_IMAGE) $(NO_CUDA) pyproject.toml --output-file stack/requirements.cpu.lock
	$(COMPILE) $(BY_PINS) $(IN_IMAGE) $(NO_CUDA) --extra ray pyproject.toml --output-file stack/requirements.ray.lock
	$(COMPILE) $(BY_PINS) $(IN_IMAGE) --extra gpu pyproject.toml --output-file stack/requirements.gpu.lock
	$(COMPILE) $(BY_PINS) stack/requirements.server.in --output-file stack/requirements.server.lock
	$(COMPILE) $(BY_PINS) stack/requirements.build.in --output-file stack/requirements.build.lock

clean:  ## Remove the environment; studies and results stay.
	rm -rf $(VENV)
