# headstart: the two stages as targets. Override any variable: make sweep DATA=photos BACKBONE=squeezenet1_1

DATA     ?= demo/mnist
BACKBONE ?= efficientnet_lite0
TAPS     ?= gap
CACHE    ?= cache
NAME     ?= $(notdir $(patsubst %/,%,$(DATA)))
CONFIG   ?= examples/demo.yaml
OUT      ?= sweeps/$(NAME)
FEATURES ?=
SWEEP    ?=
SPEEDUP  ?=
TARGET   ?=
SECONDS  ?= 600
N        ?= 2000
SEED     ?= 1
CASE     ?=
CARGO    ?= cargo
PYTHON   ?= python3

headstart := target/release/headstart
features  := $(headstart) features --data $(DATA) --backbone $(BACKBONE) $(addprefix --tap ,$(TAPS)) --cache $(CACHE) --name $(NAME) $(FEATURES)

.DEFAULT_GOAL := help
.PHONY: help build features sweep speedup speedup-peers test test-python torture fuzz check fmt bench cuda check-cuda cuda-check metal clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "  DATA=$(DATA) BACKBONE=$(BACKBONE) TAPS=$(TAPS) CONFIG=$(CONFIG) OUT=$(OUT) CACHE=$(CACHE)"
	@echo "  FEATURES=, SWEEP= and SPEEDUP= take any further flags of \`headstart features\`, \`sweep\` and \`speedup\`"

build: ## Compile the release binary
	$(CARGO) build --release --locked

demo/mnist: | build
	$(headstart) demo mnist $@

features: build $(filter demo/mnist,$(DATA)) ## Run the base once over DATA and cache its features
	$(features)

sweep: build $(filter demo/mnist,$(DATA)) ## Cache features, then train and compare heads on them
	@cache=$$($(features)) && $(headstart) sweep "$$cache" --config $(CONFIG) --out $(OUT) $(SWEEP)

speedup: build $(filter demo/mnist,$(DATA)) ## Time one head with the base in the loop and on cached features
	$(headstart) speedup --data $(DATA) --backbone $(BACKBONE) --tap $(firstword $(TAPS)) --out speedups/$(NAME)-$(BACKBONE) $(SPEEDUP)

speedup-peers: build ## The classic case beside Keras and PyTorch: DATA=photos/{train,val}/{cats,dogs}, PYTHON= with both
	$(PYTHON) benches/peers/speedup_compare.py $(DATA) --headstart $(headstart) $(SPEEDUP)

test: ## Run all tests
	$(CARGO) test --locked

# The Python tests' own environment. Without a package index there is none, and they are skipped.
target/python/ready: python/pyproject.toml
	@rm -rf target/python && $(PYTHON) -m venv target/python \
	  && target/python/bin/pip install --quiet --disable-pip-version-check --retries 1 --timeout 10 numpy pillow pytest safetensors scikit-learn playwright && touch $@ \
	  || { rm -rf target/python; echo "skipped: no environment for the Python tests ($(PYTHON) with venv and a package index are needed)"; }

test-python: target/python/ready ## Test the Python package against the binary that cargo built last
	@test ! -f target/python/ready || PYTHONPATH=python/src target/python/bin/python -m pytest -q python/tests

torture: build ## Kill and hinder commands N times, drawn from SEED; CASE= runs one of these again (docs/reliability.md)
	HEADSTART=$(abspath $(headstart)) N=$(N) SEED=$(SEED) CASE=$(CASE) $(CARGO) test --locked --test torture -- --nocapture

fuzz: ## Fuzz TARGET, or all targets, for SECONDS each; needs cargo-fuzz (docs/reliability.md)
	@for target in $(or $(TARGET),$(sort $(basename $(notdir $(wildcard fuzz/targets/*.rs))))); do fuzz/run.sh $$target $(SECONDS) || exit 1; done

check: ## Formatting, lints, the library without its features, documentation, each with warnings as errors; dependencies where cargo-deny is installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check; else echo "skipped: dependencies are not checked, for lack of cargo-deny"; fi

fmt: ## Format the source
	$(CARGO) fmt

bench: build ## Time the forward pass of BACKBONE and print images per second
	$(headstart) bench forward --backbone $(BACKBONE) --weights random --size 224 --batch 16

cuda: ## Compile with CUDA and cuDNN for the base on an NVIDIA GPU (docs/gpu.md)
	$(CARGO) build --release --locked --features cuda

check-cuda: ## Type-check what only a CUDA build compiles; needs nvcc, no GPU
	$(CARGO) clippy --release --locked --features cuda --lib --bins -- -D warnings

cuda-check: cuda ## On a machine with an NVIDIA GPU: errors of the whole zoo, images/s beside PyTorch, memory; PHOTOS= adds JPEGs to shards
	$(PYTHON) benches/peers/cuda_check.py --headstart $(headstart) $(if $(PHOTOS),--photos $(PHOTOS)) | tee cuda-check.jsonl

metal: ## Compile with Metal for the base on an Apple GPU (on macOS)
	$(CARGO) build --release --locked --features metal

clean: ## Remove what was built; caches and sweeps stay
	$(CARGO) clean
