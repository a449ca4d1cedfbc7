# realtime-core: everything a newcomer needs. `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
SOURCES := $(shell find csrc src python CMakeLists.txt pyproject.toml -type f -not -name '*.pyc')
APT_INSTALL := apt-get install -y --no-install-recommends

.PHONY: help demo test lint ctest pytest bench bench-smoke bench-card peers matrix strands-suite fuzz clients dist clean system sound
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## hold a conversation with a Strands agent: no key, no sound hardware
	$(BIN)/realtime demo

test: lint ctest bench-smoke pytest  ## everything: lint, C tests (plain and sanitized), Python tests

lint: $(VENV)/.development  ## ruff, mypy, stubtest, cython-lint, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest realtime_core --mypy-config-file pyproject.toml
	$(BIN)/cython-lint src
	$(BIN)/lint-imports

ctest: $(VENV)/.development  ## C tests: plain, address and undefined-behaviour sanitizers, thread sanitizer
	$(call run_ctest,plain,)
	$(call run_ctest,asan,address$(comma)undefined)
	$(call run_ctest,tsan,thread)

pytest: $(VENV)/.development sound  ## Python tests
	$(BIN)/python -m pytest -q

FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.development  ## ten minutes of every fuzzer, two at a time, under the sanitizers (FUZZ_SECONDS=...)
	$(call build_c,asan,address$(comma)undefined)
	ls build/ctest-asan/tests/fuzz/fuzz_* | grep -v '\.last' | xargs -P 2 -I{} env {} $(FUZZ_SECONDS)

BENCH_PASSES ?= 1 2 3
bench: $(VENV)/.development  ## speed, side by side with what it replaces: one table of ratios, a plot and a JSON in build/bench
	@mkdir -p build/bench && rm -f build/bench/pass-*.json
	@for pass in $(BENCH_PASSES); do $(BIN)/python -m pytest -q --no-header -r "" bench --benchmark-enable --benchmark-only \
	  --benchmark-disable-gc --benchmark-max-time 0.2 --benchmark-min-time 0.0002 --benchmark-quiet --benchmark-json build/bench/pass-$$pass.json \
	  > build/bench/pytest.log 2>&1 || { cat build/bench/pytest.log; exit 1; }; done
	@$(BIN)/python bench/report.py build/bench

# pipecat, livekit-agents and openai-agents pin other versions of what Strands needs: whole clients are run from a place
# of their own by bench/bench_clients.py, and skipped where that is missing.
peers: $(VENV)/bin/python  ## the clients that `make bench` compares with beside Strands, in build/peers (half a gigabyte)
	$(PYTHON) -m venv build/peers
	build/peers/bin/pip install -q 'pipecat-ai>=1.14' 'livekit-agents>=1.8' 'livekit-plugins-openai>=1.8' 'openai-agents>=0.24'

# PyAudio is compared where it is installed.
bench-card: $(VENV)/.development sound  ## gaps and delays on a virtual sound card, beside callbacks in Python
	tests/virtual_soundcard.sh $(BIN)/python bench/card_gaps.py

bench-smoke: $(VENV)/.development  ## every benchmark once, as a test
	$(BIN)/python -m pytest -q bench

# Oldest, middle and newest release of each generation of Strands' bidirectional agents.
STRANDS_RELEASES ?= 1.28.0 1.41.0 1.54.0 1.58.0 1.60.0 newest
matrix: $(VENV)/.development  ## the Strands classes with every generation of Strands, from one wheel
	rm -rf build/matrix && mkdir -p build/matrix
	$(BIN)/pip wheel -q --no-deps -w build/matrix .
	for release in $(STRANDS_RELEASES); do tests/matrix.sh $$release || exit 1; done

strands-suite: $(VENV)/.development  ## Strands' own tests of its public interface, with our classes in place of theirs
	tests/strands_suite/run.sh

clients: $(VENV)/.development  ## a conversation with the local server through every client that installs, each in its own environment
	$(BIN)/python tests/clients/run.py

dist: $(VENV)/.development  ## wheel and sdist in dist/
	$(BIN)/pip install -q build
	$(BIN)/python -m build --outdir dist .

clean:  ## remove what was built
	rm -rf build dist $(VENV)

comma := ,
define build_c
	$(BIN)/cmake -S . -B build/ctest-$(1) -G Ninja \
	  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRC_TESTS=ON -DRC_SANITIZE=$(2) --log-level=ERROR
	$(BIN)/cmake --build build/ctest-$(1)
endef
define run_ctest
	$(call build_c,$(1),$(2))
	$(BIN)/ctest --test-dir build/ctest-$(1) --output-on-failure --timeout 120
endef

$(VENV)/bin/python: | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip

# What users install: the wheel built from this clone, the agent and the local server.
$(VENV)/.runtime: $(VENV)/bin/python $(SOURCES)
	@echo "installing realtime-core and what the demo needs into $(VENV): a few minutes the first time"
	$(BIN)/pip install -q '.[strands,local]'
	@touch $@

$(VENV)/.development: $(VENV)/.runtime
	$(BIN)/pip install -q --group dev
	@touch $@

# What tests on a virtual sound card need: installed when missing and this user may; else named, and those tests skip.
sound:
	@missing=; \
	command -v pulseaudio >/dev/null || missing="$$missing pulseaudio"; \
	command -v paplay >/dev/null || missing="$$missing pulseaudio-utils"; \
	ls /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so >/dev/null 2>&1 || missing="$$missing libasound2-plugins"; \
	$(PYTHON) -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("portaudio"))' \
	  || missing="$$missing libportaudio2"; \
	[ -z "$$missing" ] && exit 0; \
	echo "missing Debian packages for a virtual sound card:$$missing"; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && $(APT_INSTALL) $$missing; \
	else echo "its tests skip; install them with: sudo $(APT_INSTALL)$$missing"; fi

# Debian packages by name: installed when they are missing and this user may, named otherwise.
system:
	@missing=; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): try make PYTHON=python3.12 ..."; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null \
	  || missing="$$missing python3-dev"; \
	[ -z "$$missing" ] && exit 0; \
	echo "missing Debian packages:$$missing"; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && $(APT_INSTALL) $$missing; \
	else echo "install them with: sudo $(APT_INSTALL)$$missing"; exit 1; fi
