# make demo   environment for the demo, then JupyterLab on the first notebook
# make setup  environment of a developer; does nothing when it is there and up to date
# make test   everything CI runs
# make slow   the tests that take too long for each change; half an hour and more
# make bench  what it costs a training, beside other tools; an hour, alone on the machine
PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
BENCH_VENV := .venv-bench
SINKS_VENV := .venv-sinks
BIN := $(VENV)/bin
NOTEBOOKS := examples/hitl/01_torch_quickstart.ipynb examples/hitl/02_cats_and_dogs.ipynb \
  examples/hitl/03_keras_quickstart.ipynb examples/hitl/04_your_own_loop.ipynb \
  examples/hitl/05_text.ipynb examples/hitl/06_series.ipynb examples/hitl/07_table.ipynb \
  examples/hitl/08_segmentation_and_labels.ipynb examples/hitl/09_records.ipynb \
  examples/hitl/10_from_data_to_service.ipynb
# Torch first and by its number: an open range would bring several gigabytes of CUDA along.
TORCH := torch==$(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)

# The tests' many processes keep what they compile: without it each starts six seconds later.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo setup test unit unit-torch unit-keras unit-numpy slow sinks lint types front-end notebooks e2e bench clean

demo: $(DEMO_VENV)/.ready
	$(DEMO_VENV)/bin/python examples/hitl/open_demo.py

setup: $(VENV)/.native node_modules/.ready

$(DEMO_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet $(TORCH)
	$(DEMO_VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[torch,lab]'
	touch $@

# Python compiles what it imports: all of the frameworks would take another minute, most of it unused.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile $(TORCH)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	touch $@

# The compiled kernels, with the build tools of the dev extra: nothing is fetched.
$(VENV)/.native: $(VENV)/.ready native/CMakeLists.txt native/pyproject.toml $(shell find native/src -type f -name '*.[cph]*')
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps ./native
	touch $@

# Once more where it fails: on a busy machine a program that was just written can be "busy" (ETXTBSY).
node_modules/.ready: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error || npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(BENCH_VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(TORCH)
	$(BENCH_VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(BENCH_VENV)/bin/python -m pip install --quiet -e '.[peers]'  # they want older versions of some
	touch $@

# The clients of trackers want older versions of two tools, so they lie over the other environment.
$(SINKS_VENV)/.ready: $(VENV)/.ready constraints-sinks.txt
	$(BIN)/python -m venv $(SINKS_VENV)
	$(BIN)/python -c "import sysconfig as s; print(s.get_path('purelib'))" > \
	  $$($(SINKS_VENV)/bin/python -c "import sysconfig as s; print(s.get_path('purelib'))")/beside.pth
	grep -Ev '^(importlib_metadata|pillow|python-dateutil)==' constraints.txt > $(SINKS_VENV)/constraints.txt
	cat constraints-sinks.txt >> $(SINKS_VENV)/constraints.txt
	$(SINKS_VENV)/bin/python -m pip install --quiet -c $(SINKS_VENV)/constraints.txt -e '.[sinks,s3,ray]' \
	  'moto[server]'
	touch $@

bench: $(BENCH_VENV)/.ready
	$(BENCH_VENV)/bin/python benchmarks/overhead/woven.py --json build/overhead.json
	$(BENCH_VENV)/bin/python benchmarks/overhead/scripts.py --rounds 3 --blocks 24 --json build/scripts.json

# What looks at the code alone runs side by side; each part of it prints what it has to say at its end.
test:
	$(MAKE) --jobs 2 setup
	$(MAKE) --jobs 2 --output-sync=target lint types front-end
	$(MAKE) unit
	$(MAKE) --jobs 2 --output-sync=target notebooks e2e

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python js/make_protocol.py --check

types:
	$(BIN)/mypy

front-end:
	npm run --silent check
	npm test --silent
	npm run --silent check:static

# What fails is run once more, because threads, processes and browsers meet on a busy machine;
# the summary lists it as rerun.
AGAIN := --reruns 1 -r fER
# The nets of tests are tiny: more threads only wait for each other. Many tests wait for another
# process, so three run at once on two processors. One of them is Keras's: each process imports all
# files that it collects tests from, and TensorFlow with those.
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
UNIT := $(ONE_THREAD) $(BIN)/python -m pytest $(AGAIN) -m "not e2e and not slow and not sinks"
unit:
	$(MAKE) --keep-going --jobs 2 unit-torch unit-keras unit-numpy

unit-torch:
	$(UNIT) -n 2 --dist loadfile --ignore tests/keras --ignore tests/e2e

unit-keras:
	$(UNIT) tests/keras

# As in an installation without the compiled kernels.
unit-numpy:
	COFLECT_NATIVE=0 $(UNIT) tests/forecast tests/telemetry tests/native

slow: sinks
	$(ONE_THREAD) $(BIN)/python -m pytest $(AGAIN) -m "slow and not sinks"

# Real clients of MLflow, TensorBoard, wandb and trackio, and what each of them was told; S3 as moto
# serves it; two workers of Ray. To be run when what tells them has changed, because their environment
# takes minutes to install.
sinks: $(SINKS_VENV)/.ready
	$(SINKS_VENV)/bin/python -m pytest $(AGAIN) -m sinks tests/records/sinks tests/distributed \
	  tests/quickstart/test_endpoint_registry.py

# Without photographs in COFLECT_DATA the second one makes stand-ins.
notebooks:
	COFLECT_EPOCHS=2 $(ONE_THREAD) $(BIN)/python -m pytest --nbval-lax --nbval-current-env \
	  --nbval-cell-timeout=600 --timeout=900 -n 2 --dist loadfile $(NOTEBOOKS)

# Notebooks run beside it, in two processes, while browsers and kernels wait for each other.
e2e:
	$(ONE_THREAD) $(BIN)/python -m pytest $(AGAIN) -m "not slow" tests/e2e

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(BENCH_VENV) $(SINKS_VENV) node_modules runs build dist
