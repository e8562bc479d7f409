# Every target installs what it needs into .venv first. `make help` lists them.
.DEFAULT_GOAL := help
.SUFFIXES:
SHELL := /bin/sh
MESSAGE ?=
BACKUP ?=
FORCE ?=
# The tag of the next image.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
CASES ?= 10000
SEED ?=
FRONTS ?=

VENV := .venv
BIN := $(VENV)/bin
SAM := .venv-sam
LAMBDA := .venv-lambda
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
# The newest Python that runs and is 3.11 or later; PYTHON=/path/to/python3.12 overrules it.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Lambda's Python, for `make check-deploy`; PYTHON313=/path/to/python3.13 names one.
PYTHON313 ?= $(shell for p in python3.13 python3 python $(BIN)/python "$$($(BIN)/uv python find --offline 3.13 2>/dev/null)"; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13)) or print(sys.executable)' 2>/dev/null && break; done)

.PHONY: help up down test check check-deploy env docker preflight deploy backup restore upgrade rollback revision migrate bench fuzz openapi contracts lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

up: $(VENV)/run $(VENV)/agent ## the whole stack in the foreground, until Ctrl-C
	@$(BIN)/facet up

down: $(VENV)/run ## stop what `facet up` started
	@$(BIN)/facet down

test: $(VENV)/test $(VENV)/agent ## every test, fast ones first
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/test $(VENV)/agent ## ruff, mypy --strict, template and compose file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

check-deploy: $(VENV)/test $(SAM)/installed ## all that can be tried of a deployment without a cloud, about 10 minutes
	@$(if $(PYTHON313),$(MAKE) --no-print-directory $(LAMBDA)/installed PYTHON313="$(PYTHON313)",echo 'No Python 3.13 here: what needs it does not run.')
	@FRONTS="$(FRONTS)" $(BIN)/python -m tests.deploy $(ARGS)

env: $(VENV)/run ## write .env with fresh random secrets
	@$(BIN)/facet env

deploy: preflight ## build the image and start the stack in containers
	docker compose build
	docker compose up --detach --wait --remove-orphans || { $(FAILED); }
	@$(BIN)/python -m infra.compose.preflight --next

backup: preflight ## database, objects and queues of the containers into BACKUP_FOLDER
	docker compose run --rm backup python -m infra.compose.backup

# The backup is verified first; FORCE=1 replaces what is there.
restore: preflight ## put a backup into the containers: make restore BACKUP=backups/20261123T023000Z
	@test -n "$(BACKUP)" || { echo 'Say which one: make restore BACKUP=backups/20261123T023000Z'; exit 2; }
	docker compose run --rm backup python -m infra.compose.restore $(notdir $(BACKUP:/=)) --check $(if $(FORCE),--force)
	docker compose stop proxy functions triggers agent
	docker compose run --rm backup python -m infra.compose.restore $(notdir $(BACKUP:/=)) $(if $(FORCE),--force) || { \
		echo 'The functions are stopped. When that is corrected, the same again with FORCE=1.'; exit 1; }
	docker compose run --rm --no-deps migrate
	docker compose up --detach --wait || { $(FAILED); }

# The schema grows before the functions that need it come, and shrinks in a later release: the former ones go on meanwhile.
upgrade: preflight ## back up, then run this checkout as a new image: make upgrade VERSION=1.2
	@test -n "$(VERSION)" || { echo 'Say how the new image is called: make upgrade VERSION=1.2'; exit 2; }
	@$(BIN)/python -m infra.compose.release $(VERSION) --check
	docker compose run --rm backup python -m infra.compose.backup
	FACET_VERSION=$(VERSION) docker compose build --pull
	docker compose pull --ignore-buildable
	FACET_VERSION=$(VERSION) docker compose run --rm --no-deps migrate
	@$(BIN)/python -m infra.compose.release $(VERSION)
	docker compose up --detach --wait --no-deps --no-build functions || { $(FAILED); }
	docker compose up --detach --wait --no-deps --no-build triggers agent || { $(FAILED); }
	docker compose up --detach --wait --no-build --remove-orphans || { $(FAILED); }

rollback: preflight ## run a former image again: make rollback VERSION=1.1
	@test "$(origin VERSION)" = 'command line' || { echo 'Say which one: make rollback VERSION=1.1'; docker image ls facet; exit 2; }
	@docker image inspect facet:$(VERSION) >/dev/null || { echo 'There is no image facet:$(VERSION): docker image ls facet'; exit 1; }
	@$(BIN)/python -m infra.compose.release $(VERSION)
	docker compose up --detach --wait --no-deps --no-build functions triggers agent || { $(FAILED); }

FAILED = echo 'Not everything came up. See: docker compose ps --all; docker compose logs --tail 50 NAME'; exit 1

preflight: docker .env $(VENV)/run
	@$(BIN)/python -m infra.compose.preflight

docker:
	@docker compose version >/dev/null 2>&1 || { echo 'There is no Docker with Compose here, or you may not use it.'; \
		echo 'Install Docker Engine and its Compose plugin (https://docs.docker.com/engine/install), or run without: make up'; exit 1; }
	@docker info >/dev/null 2>&1 || { echo 'Docker is installed, but its daemon does not answer.'; \
		echo 'Start it (sudo systemctl start docker), or let yourself use it (sudo usermod -aG docker $$USER). Then: make deploy'; exit 1; }
	@engine=$$(docker version --format '{{.Server.Version}}'); test "$${engine%%.*}" -ge 25 || { \
		echo "This is Docker Engine $$engine; compose.yaml needs 25 or later: https://docs.docker.com/engine/install"; exit 1; }

.env:
	@$(MAKE) --no-print-directory env

revision: $(VENV)/run ## a new migration: make revision MESSAGE="add a table"
	@test -n "$(MESSAGE)" || { echo 'Say what it is for: make revision MESSAGE="add a table"'; exit 2; }
	@$(BIN)/facet revision "$(MESSAGE)"

migrate: $(VENV)/run ## bring schema, buckets, queues and policies up to date
	@$(BIN)/facet migrate

bench: $(VENV)/test $(VENV)/agent ## measure: invocations, the API, the object store, the agent
	@$(BIN)/python -m tests.bench

fuzz: $(VENV)/test ## ask the whole API for what its document allows and forbids: make fuzz CASES=10000
	@CASES=$(CASES) SEED=$(SEED) $(BIN)/python -m tests.fuzz

openapi: $(VENV)/run ## write openapi.json, problems.json and the README's codes from the functions
	@$(BIN)/python infra/openapi.py

contracts: $(VENV)/run ## write shared/contracts from the message models
	@$(BIN)/python infra/contracts.py

LAYERS := layers/dependencies layers/passwords layers/images layers/swagger_ui infra/migrations
RESOLVE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate
# Lambda's runtime brings boto3 with all that it needs.
OF_BOTO3 := botocore jmespath python-dateutil six urllib3
DEPLOYED := --python-version 3.13 --python-platform linux --constraint requirements.lock

lock: $(VENV)/test ## resolve the requirements files anew into their hashed locks
	@for f in requirements local/agent/requirements tests/requirements infra/aws/requirements; do \
		echo "==> $$f.lock"; \
		$(RESOLVE) --universal --python-version 3.11 \
			$$(case $$f in local/*|tests/*) echo "--constraint requirements.lock";; esac) \
			$$(case $$f in tests/*) echo "--constraint local/agent/requirements.lock";; esac) \
			$$f.txt --output-file $$f.lock || exit 1; done
	@for d in $(LAYERS) infra/containers infra/aws/runtime; do \
		echo "==> $$d/requirements.lock"; \
		$(RESOLVE) $(DEPLOYED) --overrides layers/overrides.txt \
			$$(test $$d = infra/containers || echo --overrides layers/without_click.txt) \
			$$(case $$d in layers/*|*/migrations) printf -- '--no-emit-package %s ' $(OF_BOTO3);; esac) \
			$$d/requirements.txt --output-file $$d/requirements.lock || exit 1; done
	@for d in infra/gcp infra/azure; do \
		echo "==> $$d/requirements.lock"; \
		$(RESOLVE) $(DEPLOYED) $$d/requirements.txt --output-file $$d/requirements.lock || exit 1; done
	@echo "==> infra/containers/lambda-requirements.lock"
	@$(RESOLVE) $(DEPLOYED) --overrides layers/overrides.txt --constraint infra/containers/requirements.lock \
		infra/containers/lambda-requirements.txt --output-file infra/containers/lambda-requirements.lock

clean: ## stop the stack; remove the virtual environments and all local data
	@test ! -x $(BIN)/facet || $(BIN)/facet down
	rm -rf $(VENV) $(SAM) $(LAMBDA) .facet

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'Facet needs Python 3.11 or later and found none on PATH.'; \
		echo 'Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3'; exit 1; }
	@echo "==> $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'The venv module is missing or broken.'; \
		echo 'On Debian and Ubuntu: apt-get install python3-venv. Then: make $(MAKECMDGOALS)'; exit 1; }

# One stamp per set of packages; a changed lock installs again.
$(VENV)/run: requirements.lock pyproject.toml | $(BIN)/python
	@echo "==> installing the runtime ($$(grep -c '^[a-z]' requirements.lock) packages)"
	@$(INSTALL) -r requirements.lock || { echo 'The packages could not be installed: see above. Then: make $(MAKECMDGOALS)'; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/agent: local/agent/requirements.lock | $(VENV)/run
	@echo "==> installing the reference agent ($$(grep -c '^[a-z]' local/agent/requirements.lock) packages, 155 MB)"
	@$(INSTALL) -r local/agent/requirements.lock && touch $@ \
		|| echo 'No agent: its packages could not be installed here, see above. The rest works; tasks stay PENDING.'

$(VENV)/test: tests/requirements.lock | $(VENV)/run
	@echo "==> installing the test tools ($$(grep -c '^[a-z]' tests/requirements.lock) packages)"
	@$(INSTALL) -r tests/requirements.lock || { echo 'The packages could not be installed: see above. Then: make $(MAKECMDGOALS)'; exit 1; }
	@touch $@

$(SAM)/installed: infra/aws/requirements.lock | $(BIN)/python
	@echo "==> $(SAM) with the SAM CLI ($$(grep -c '^[a-z]' infra/aws/requirements.lock) packages)"
	@$(BIN)/python -m venv --clear --without-pip $(SAM)
	@$(BIN)/python -m pip --python $(SAM)/bin/python install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r infra/aws/requirements.lock || { echo 'The packages could not be installed: see above. Then: make $(MAKECMDGOALS)'; exit 1; }
	@touch $@

$(LAMBDA)/installed: infra/aws/runtime/requirements.lock | $(BIN)/python
	@echo "==> $(LAMBDA) with $$($(PYTHON313) --version) and what Lambda's runtime has"
	@$(PYTHON313) -m venv --clear --without-pip $(LAMBDA)
	@$(BIN)/python -m pip --python $(LAMBDA)/bin/python install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r infra/aws/runtime/requirements.lock || { echo 'The packages could not be installed: see above. Then: make check-deploy'; exit 1; }
	@touch $@
