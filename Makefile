PYTHON ?= python3
BIN = .venv/bin

.PHONY: run test prove clean

run: .venv/installed  ## open the app
	$(BIN)/streamlit run app.py

test: .venv/installed-dev  ## all tests, browser tests included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	sh tests/browser.sh
	$(BIN)/pytest

prove: .venv/installed-dev .venv/installed-ray  ## what takes longer than a test should; prints what docs/prove.md keeps
	$(BIN)/python tests/prove.py

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

.venv/installed-ray: .venv/installed requirements-ray.txt
	$(BIN)/pip install --quiet --requirement requirements-ray.txt
	touch $@

clean:  ## forget decoded data and the environment; runs and weights stay
	rm -rf .venv .cache
