# One-command set-up: needs only Python 3.11 or newer (with pip and venv) and make.
#   make report            the sample company's report
#   make test              the tests
#   make test PYTHON=python3.13
PYTHON ?= python3
VENV   ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
# where a virtual environment keeps its commands
INNER  := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN    := $(VENV)/$(INNER)
MONTH  ?=
# the template is there to be copied, not to be installed
PLUGINS := $(filter-out plugins/template,$(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(PLUGINS)) constraints.txt scripts/report_leaves_out.txt
INSTALL = $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e . $(addprefix -e ,$(PLUGINS))
export UV_COMPILE_BYTECODE = 1
# bytecode is what makes the second start quick
unexport PYTHONDONTWRITEBYTECODE

# what a report of the sample company needs: no developers' tools, no providers' SDKs (its connectors read files)
$(VENV)/.report: $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit("finops_ai needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) for the report ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@UV_COMPILE_BYTECODE=0 $(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt --override scripts/report_leaves_out.txt -e '.[report]'
	@UV_COMPILE_BYTECODE=0 $(BIN)/uv pip install -q --python $(BIN)/python --no-deps $(addprefix -e ,$(PLUGINS))
	@$(BIN)/python -m pip uninstall -qq -y uv setuptools 2>/dev/null
	@touch $@

.PHONY: help setup report test test-slow test-lowest coverage wheels soak lint audit format docs site readme bench constraints clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 16

$(VENV)/.ok: $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit("finops_ai needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv
	@$(INSTALL) --group dev
	@touch $@

$(VENV)/.slow: $(VENV)/.ok
	@echo "Installing what the slow tests drive ..."
	@$(INSTALL) --group dev --group slow
	@touch $@

setup: $(VENV)/.ok  ## make the virtual environment

report: $(if $(wildcard $(VENV)/.ok),setup,$(VENV)/.report)  ## the sample company's report for its last complete month
	@$(BIN)/finops-ai report --sample $(if $(MONTH),--month $(MONTH))

test: setup  ## the tests (under 5 minutes)
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-slow: $(VENV)/.slow  ## the tests against real counterparts; installs what they need
	VENV=$(VENV) bash scripts/slow_tests.sh

soak: $(VENV)/.slow  ## all of the slow tests, storms, fuzzing and crawls over many companies: an hour and more
	$(BIN)/python -m pytest -q -m "soak or slow"

coverage: setup  ## the code that moves money, tested line by line
	$(BIN)/python -m pytest -q -n auto --dist loadfile tests/engine tests/tables tests/prices tests/store tests/test_money.py tests/test_cube.py \
	  --cov=finops_ai --cov-report=term:skip-covered --cov-fail-under=90

test-lowest:  ## the tests with the lowest versions that pyproject.toml declares; what their parts say of each other's age is ignored
	@test -d $(VENV)-lowest || $(PYTHON) -m venv $(VENV)-lowest
	@$(VENV)-lowest/$(INNER)/python -m pip install -q --disable-pip-version-check uv
	@$(VENV)-lowest/$(INNER)/uv pip install -q --python $(VENV)-lowest/$(INNER)/python --resolution lowest-direct -e . $(addprefix -e ,$(PLUGINS)) --group dev
	$(VENV)-lowest/$(INNER)/python -m pytest -q -n auto --dist loadfile -W ignore::DeprecationWarning -W ignore::FutureWarning -W ignore::hypothesis.errors.HypothesisWarning

wheels: setup  ## build the core and the plugins into dist/, and try them in a clean environment
	rm -rf dist
	for project in . $(PLUGINS); do $(BIN)/uv build -q --wheel --sdist -o dist $$project || exit 1; done
	$(BIN)/python -m pytest -q tests/test_distribution.py -m slow

lint: setup  ## style, import direction and cycles, types, docstrings, templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python scripts/checks.py
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing/typed_use.py tests/typing/misuse.py
	@if command -v node >/dev/null; then $(BIN)/pyright --pythonpath $(BIN)/python; else echo "left out, pyright: no Node.js here; mypy has checked the same files"; fi

audit: setup  ## known weaknesses of the pinned versions, and a bill of materials
	VENV=$(VENV) bash scripts/audit.sh
	$(BIN)/python scripts/sbom.py $(VENV)/sbom.json

format: setup  ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## generate what is made from code: docs/reference, docs/columns.md, the static names of fa.*
	$(BIN)/python scripts/static_names.py
	$(BIN)/python scripts/reference.py

site:  ## the documentation as a site with search, read without a network: site/index.html
	@test -d $(VENV)-site || $(PYTHON) -m venv $(VENV)-site
	@$(VENV)-site/$(INNER)/python -m pip install -q --disable-pip-version-check uv
	@$(VENV)-site/$(INNER)/uv pip install -q --python $(VENV)-site/$(INNER)/python -c constraints.txt --group site
	@NO_MKDOCS_2_WARNING=1 $(VENV)-site/$(INNER)/python scripts/site.py

readme: $(VENV)/.slow  ## take the README's pictures again (needs Chromium)
	$(BIN)/python scripts/readme_pictures.py

bench: setup  ## run the benchmarks
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

constraints: setup  ## pin the versions that resolve together today, without addresses
	$(BIN)/uv lock -q
	$(BIN)/uv export -q --all-packages --all-groups --all-extras --no-hashes --no-emit-workspace --no-header --no-annotate > constraints.txt
	! grep -n '://' constraints.txt

clean:  ## remove what was made
	rm -rf .venv* .site site .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache reports/20*
