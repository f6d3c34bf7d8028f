PYTHON ?= python3
BIN = .venv/bin
MINUTES ?= 30
# three processes for two cores, because browser tests wait for half of their time; and the order of the folders:
# the short tests of tests/unit come last
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
# as `seg` sets it; the tests import PyTorch first
export GOMP_SPINCOUNT ?= 1000
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock"

.PHONY: run test check lint lint-js check-js stress coverage benchmarks lock audit licenses clean

run: .venv/installed  ## open the app; with CPU=1, the first time installs PyTorch without CUDA
	$(BIN)/streamlit run app.py

test: lint  ## all tests, browser tests included. A failed one runs again: browsers and processes are slow on a busy machine
	sh tests/support/browser.sh
	$(PYTEST) --reruns 1

check: lint  ## the quick unit tests: less than a minute
	$(PYTEST) -m "not slow" tests/unit

lint: .venv/installed-dev lint-js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-js:  ## the JavaScript: lint, types and unit tests. Without Node it is skipped, where CI=true it fails
	@if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null; then $(MAKE) --no-print-directory check-js; \
	elif [ "$$CI" = true ]; then echo "Node 20 or newer and npm are needed to check the JavaScript"; exit 1; \
	else echo "skipped: the checks of the JavaScript (they need Node 20 or newer and npm)"; fi

check-js: node_modules/.package-lock.json
	npm run --silent lint
	npm run --silent types
	npm run --silent test

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --loglevel=error --no-audit --no-fund
	touch $@

stress: .venv/installed-dev  ## faults, hostile files and crowds, and browsers for MINUTES; a nightly run
	sh tests/support/browser.sh
	$(BIN)/pytest --stress tests/stress tests/integration/test_visitors.py
	$(BIN)/python -m benchmarks.soak $(MINUTES)
	$(BIN)/python -m benchmarks.attacks

coverage: .venv/installed-dev  ## all tests again, and which lines of seg they leave out
	$(PYTEST) --cov --cov-report term-missing:skip-covered

benchmarks: .venv/installed-dev .venv/installed-ray  ## what takes longer than a test should; prints what docs/verification.md keeps
	$(BIN)/python -m benchmarks.report

lock: .venv/installed-dev  ## exact versions and hashes, for Linux, macOS and Windows, of the dependencies in pyproject.toml
	$(LOCK) pyproject.toml --output-file requirements.txt
	$(LOCK) pyproject.toml --constraint requirements.txt --output-file requirements/cpu.txt \
	$$(sed -nE 's/^(torch|torchvision|triton|nvidia-[^=]*|cuda-[^=]*)==.*/--no-emit-package \1/p' requirements.txt)
	for extra in export engines dev ray; do \
	$(LOCK) pyproject.toml --extra $$extra --constraint requirements.txt --output-file requirements/$$extra.txt; done

audit: .venv/installed-dev  ## are there known holes in what is installed? Asks pypi.org
	$(BIN)/uvx pip-audit==2.10.1 --requirement requirements.txt --disable-pip

licenses: .venv/installed-dev  ## prints the table of docs/licenses.md
	@$(BIN)/uvx --quiet pip-licenses==5.5.5 --python $(BIN)/python --format markdown --packages $$(sed -n 's/==.*//p' requirements.txt)

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --upgrade pip
	sh requirements/install.sh $(BIN)/pip $(if $(CPU),cpu,cuda)
	touch $@

.venv/installed-dev: .venv/installed requirements/dev.txt
	$(BIN)/pip install --quiet --requirement requirements/dev.txt
	touch $@

.venv/installed-ray: .venv/installed requirements/ray.txt
	$(BIN)/pip install --quiet --requirement requirements/ray.txt
	touch $@

clean:  ## forget decoded data and the environment; runs and weights stay
	rm -rf .venv .cache node_modules
