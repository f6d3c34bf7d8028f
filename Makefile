PYTHON ?= python3
BIN = .venv/bin
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock"

.PHONY: run test check lint coverage prove lock audit licences clean

run: .venv/installed  ## open the app
	$(BIN)/streamlit run app.py

test: lint  ## all tests, browser tests included
	sh tests/browser.sh
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: lint  ## what takes less than a minute
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not slow"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: .venv/installed-dev  ## all tests again, and which lines of seg they leave out
	$(BIN)/pytest --numprocesses 2 --dist loadfile --cov --cov-report term-missing:skip-covered

prove: .venv/installed-dev .venv/installed-ray  ## what takes longer than a test should; prints what docs/prove.md keeps
	$(BIN)/python tests/prove.py

lock: .venv/installed-dev  ## exact versions and hashes, for Linux, macOS and Windows, of what the .in files ask for
	$(LOCK) requirements.in --output-file requirements.txt
	for what in export dev ray; do \
	$(LOCK) --constraint requirements.txt requirements/$$what.in --output-file requirements/$$what.txt; done

audit: .venv/installed-dev  ## are there known holes in what is installed? Asks pypi.org
	$(BIN)/uvx pip-audit==2.10.1 --requirement requirements.txt --disable-pip

licences: .venv/installed-dev  ## prints the table of docs/licences.md
	@$(BIN)/uvx --quiet pip-licenses==5.5.5 --python $(BIN)/python --format markdown --packages $$(sed -n 's/==.*//p' requirements.txt)

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements/dev.txt
	$(BIN)/pip install --quiet --requirement requirements/dev.txt
	touch $@

.venv/installed-ray: .venv/installed requirements/ray.txt
	$(BIN)/pip install --quiet --requirement requirements/ray.txt
	touch $@

clean:  ## forget decoded data and the environment; runs and weights stay
	rm -rf .venv .cache
