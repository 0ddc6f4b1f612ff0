# make demo   the whole system on generated scenes, from nothing, in under 15 minutes on two cores
# make test   set-up and the test suite; with POINTSEG_LONG=1 also what takes long and seldom finds anything
# make docs   the documentation into build/docs, with warnings as errors and its links checked
# make check  ruff, types and tests: clean at every commit
SHELL := /bin/bash
PYTHON_BIN := .venv/bin/python
# A file's tests share what is made once for them, so they stay in one process.
IN_PROCESSES := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test test-triton coverage check lint docs bench mutants clean

setup:
	@bash scripts/setup.sh

demo: setup
	@$(PYTHON_BIN) scripts/demo.py

test: setup
	@$(PYTHON_BIN) -m pytest $(IN_PROCESSES)

# The kernels for GPUs with the Triton that CUDA builds of torch pin, where another one is installed.
TRITON ?= 3.7.1
test-triton: setup
	@$(PYTHON_BIN) -m pip install --quiet --upgrade --no-deps --target build/triton-$(TRITON) triton==$(TRITON)
	@PYTHONPATH=build/triton-$(TRITON) POINTSEG_LONG=1 $(PYTHON_BIN) -m pytest $(IN_PROCESSES) \
	  tests/sparse/test_triton_kernels.py tests/sparse/test_triton_compiles.py \
	  tests/sparse/test_triton_tuning.py tests/sparse/test_spconv_triton_backend.py

# Which branches of pointseg no test takes: the report of build/coverage, and 1 below 90 %.
coverage: setup
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m pytest $(IN_PROCESSES)
	@.venv/bin/coverage combine -q
	@.venv/bin/coverage report --skip-covered --sort=miss --precision=1 --fail-under=90

lint: setup
	@$(PYTHON_BIN) -m ruff check .
	@$(PYTHON_BIN) -m ruff format --check .
	@$(PYTHON_BIN) -m mypy

docs: setup
	@$(PYTHON_BIN) -m sphinx -q -E -W --keep-going -b html -d build/docs-cache docs build/docs
	@$(PYTHON_BIN) docs/check_links.py build/docs

check: lint test

bench: setup
	@$(PYTHON_BIN) -m pointseg bench network
	@$(PYTHON_BIN) scripts/bench_score.py

# make mutants SAMPLE=60 SEED=1 [JOBS=2] [FOLDERS="scans formats"]: which wrong changes of the code no test notices
SAMPLE ?= 60
SEED ?= 0
JOBS ?= 1
mutants: setup
	@$(PYTHON_BIN) scripts/mutants.py --sample $(SAMPLE) --seed $(SEED) --jobs $(JOBS) \
		$(if $(FOLDERS),--folders $(FOLDERS))

clean:
	rm -rf demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache
