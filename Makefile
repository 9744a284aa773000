# Needs Python 3.10 or later, make, and a package index. Everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
UV := $(or $(shell command -v uv),$(CURDIR)/$(BIN)/uv)
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.installed-docs
CODE := airflow_provider_salesforce_export benchmarks dags docs/roles.py tests

.DEFAULT_GOAL := help
.PHONY: help demo demo-celery ui test bench docs lint format constraints matrix dist licenses clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Export contacts, deals and notes from a local Salesforce org, with Airflow and a real MongoDB
	@$(BIN)/python -m airflow_provider_salesforce_export.demo

demo-celery: $(INSTALLED) ## Export to S3 with two Celery workers, of which one is killed in the middle (three minutes)
	@$(BIN)/python -m airflow_provider_salesforce_export.demo.many_workers

ui: $(INSTALLED) ## Start Airflow with its UI, connected to the same org (Ctrl-C stops it)
	@$(BIN)/python -m airflow_provider_salesforce_export.demo.ui

test: $(INSTALLED) ## Run all tests; ARGS="-k count" passes arguments to pytest
	$(BIN)/python -m pytest $(ARGS)

bench: $(INSTALLED) ## Measure speed, memory and API calls against simple-salesforce and plain HTTP; ARGS="--only export"
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(DOCS_INSTALLED) ## Build the documentation into site/, with warnings as errors
	@# Not --quiet: it drops the warnings before --strict counts them.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html; with its search: $(BIN)/python -m http.server --directory site"

lint: $(INSTALLED) ## Check style, types, and docker-compose.yaml
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yaml

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

constraints: $(INSTALLED) ## Pin every dependency anew in constraints.txt
	$(UV) pip compile --quiet --universal --upgrade --python-version 3.10 --all-extras --group dev --group docs --no-annotate \
	    --custom-compile-command "make constraints" --output-file constraints.txt pyproject.toml

matrix: $(INSTALLED) ## Test the lowest and highest versions on each Python (for hours); ARGS="--python 3.12 --versions lowest"
	@$(BIN)/python -m tests.matrix $(ARGS)

dist: $(INSTALLED) ## Build wheel and sdist into dist/, and check what a package index would refuse
	@rm -rf dist
	@$(UV) build --quiet --python $(BIN)/python --build-constraints constraints.txt --out-dir dist
	@$(UV) tool run --quiet --python $(BIN)/python --with 'readme-renderer[md]' twine@7.0.0 check --strict dist/*.whl dist/*.tar.gz
	@cd dist && sha256sum *.whl *.tar.gz && du -h *.whl *.tar.gz

licenses: $(INSTALLED) ## List the licences of all that the package needs, with all its extras, in docs/licenses.md
	@$(UV) venv --quiet --clear --python $(BIN)/python .licenses
	@$(UV) pip install --quiet --python .licenses/bin/python --constraint constraints.txt \
	    --build-constraint constraints.txt '.[azure,gcs,s3,parquet,zstd,sandbox]'
	@.licenses/bin/python tests/licenses.py > docs/licenses.md
	@rm -rf .licenses

clean: ## Remove what the other targets made: .venv, the demo's files, caches
	rm -rf .venv .bench .demo .matrix .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist site
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	    || { echo "$(PYTHON) is too old: Python 3.10 or later is needed (make PYTHON=python3.12 $(MAKECMDGOALS))." >&2; exit 1; }
	@echo "Installing into .venv (once; about a minute) ..."
	@if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv; \
	else \
	    $(PYTHON) -m venv .venv || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }; \
	    $(BIN)/python -m pip install --quiet --constraint constraints.txt uv; \
	fi
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt \
	    --build-constraint constraints.txt --editable '.[azure,gcs,s3,parquet,zstd,sandbox]' --group dev
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	@$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --group docs
	@touch $@
