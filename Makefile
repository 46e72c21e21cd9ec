# Everything is reached from here; `make` lists it. Each target installs what it
# needs: Debian's packages with apt-get (as root, or through sudo), Python's from
# requirements.lock into .venv.

.DEFAULT_GOAL := help
.PHONY: help setup venv run test test-rest test-kernel test-guest test-first-guests \
        test-guests-uml test-guests-arm64 test-guests-x86 test-guests-memory \
        test-elsewhere test-conformance test-model test-long test-notebooks \
        test-pages test-torture test-debian13 torture mutants kselftest notebooks \
        notebooks-update figures bench calibrate protocol check format lint layers \
        types unit kernels image pyz doctor lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ANONVMA := $(BIN)/anonvma

guest-tests = $(patsubst %,tests/guest/test_%.py,$(1))

# Nothing of the checkout can be written in there.
TEST_KERNEL := env HYPOTHESIS_STORAGE_DIRECTORY=/run/tmp/hypothesis \
               python3 -m pytest -m kernel --require-names --color=no \
               -p no:cacheprovider tests/kernel tests/linux

# What building kernels for every machine and running them takes.
PACKAGES := bc bison bubblewrap flex gcc gcc-aarch64-linux-gnu libc6-dev \
            libc6-dev-arm64-cross libelf-dev libssl-dev linux-source-6.12 make \
            mmdebstrap patch python3-venv qemu-system-arm qemu-system-x86 util-linux \
            xz-utils
# And the sources of the other bases that this Debian has: not every one has all.
SOURCES = $$($(ANONVMA) doctor --bases 2>/dev/null | sed s/^/linux-source-/)
MISSING = for p in $(1); do \
              dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | \
                  grep -qx installed || echo $$p; \
          done | sort -u
# Install those of some packages that are missing.
INSTALL = missing=$$($(MISSING)); \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" = 0 ]; then sudo=; \
	    elif command -v sudo >/dev/null; then sudo=sudo; \
	    else echo "as root: apt-get install" $$missing; exit 1; fi; \
	    $$sudo apt-get update -qq || exit; \
	    missing=$$($(MISSING)); [ -n "$$missing" ] || exit 0; \
	    echo "installing" $$missing; \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
	        --no-install-recommends $$missing >/dev/null; \
	fi

# What is done for every base that can be had; the others are named.
EACH_BASE = bases=$$($(ANONVMA) doctor --bases) && for base in $$bases; do

help: ## Show this list.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: setup ## Measure, and print the table: everything from nothing.
	$(ANONVMA) run $(ARGS)

test: setup ## What every change must pass: checks, kernels, guests, notebooks.
	@$(BIN)/python -m tests.parts test

test-rest: setup ## All other tests: every machine and base, faults, torture, mutants.
	@$(BIN)/python -m tests.parts rest $(ARGS)

check: format lint layers types unit ## Everything that needs no kernel.

test-kernel: setup ## The tests that need a kernel with names, in User-Mode Linux.
	$(EACH_BASE) $(ANONVMA) boot --target uml --base $$base -- $(TEST_KERNEL) \
	    || exit; done

GUEST_TESTS := $(BIN)/pytest --require-guest
# Guests that count instructions do not disturb each other.
SIDE_BY_SIDE := -n 2 --dist loadfile

test-guest: setup ## All tests that boot guests, on kernels built here.
	$(GUEST_TESTS) -m guest $(ARGS)

test-first-guests: setup ## One ARM64 guest of each kind.
	$(GUEST_TESTS) -m 'guest and first' tests/guest

test-guests-uml: setup ## Guests of User-Mode Linux: faults, ends, other users.
	$(GUEST_TESTS) -m guest $(call guest-tests,uml ends faults cages unprivileged harness_killed)

test-guests-arm64: setup ## ARM64 guests: all kernels, measured and stopped.
	$(GUEST_TESTS) -m 'guest and not first' $(SIDE_BY_SIDE) \
	    $(call guest-tests,measuring kernel_side command agreement gate)

test-guests-x86: setup ## x86-64 guests, and the kernel's own test everywhere.
	$(GUEST_TESTS) -m guest $(call guest-tests,x86_64 kselftest)

test-guests-memory: setup ## What kernels hold, and other readers of their memory.
	$(GUEST_TESTS) -m guest $(SIDE_BY_SIDE) $(call guest-tests,audit zoo zoo_memory)

test-elsewhere: setup ## The one file, the guest image and the wheel.
	$(GUEST_TESTS) -m guest $(call guest-tests,elsewhere)

# The day is the seed, and picks the mutants: each day plays something else.
DAY = $$(date -u +%Y%m%d)

test-conformance: setup ## Half a minute of agree on each base.
	$(EACH_BASE) $(ANONVMA) agree --seconds 30 --seed $(DAY) --base $$base || exit; done

test-model: setup ## Three minutes of agree, and three mutants that it must tell.
	$(EACH_BASE) $(ANONVMA) agree --seconds 90 --seed $(DAY) --base $$base || exit; done
	$(ANONVMA) mutants --of-the-day 3

test-notebooks: venv ## The notebooks: executed, they show what is stored.
	$(BIN)/pytest -m notebook

notebooks-update: venv ## Execute the notebooks, and store them with what they show.
	$(BIN)/python -m tests.notebooks

test-pages: venv ## The pages of reports in Chromium, wide and narrow, light and dark.
	@$(call INSTALL,chromium)
	$(BIN)/pytest -m page --require-chromium $(ARGS)

test-torture: setup ## Five minutes of make torture.
	$(BIN)/python -m tests.torture --minutes 5 --seed $(DAY)

torture: setup ## Kills, faults and hostile input: an hour, or ARGS="--minutes N".
	$(BIN)/python -m tests.torture $(ARGS)

calibrate: venv ## Intervals and verdicts against campaigns whose truth is known.
	$(BIN)/python -m tests.analysis.calibration
	$(BIN)/python -m tests.analysis.calibration_compare

bench: setup ## What the harness costs, row by row (ARGS: --list, --only, --quick).
	@$(BIN)/python -m tests.bench $(ARGS)

test-debian13: venv ## make check and make run in a new Debian 13, as root.
	$(BIN)/python -m tests.debian13 $(ARGS)

figures: venv ## Draw README's figure from notebooks/data, for light and dark ground.
	$(BIN)/python -m harness.analysis.plots.story notebooks/data notebooks/figures

protocol: setup ## Whether the worker still measures as at OLD=REVISION did.
	@$(BIN)/python -m tests.protocol $(OLD) $(ARGS)

notebooks: venv ## Open the notebooks in a browser (as root: ARGS=--allow-root).
	cd notebooks && ../$(BIN)/jupyter notebook $(ARGS)

mutants: setup ## Kernels with a bug in naming each: all must be told from stock.
	$(ANONVMA) mutants $(ARGS)

kselftest: setup ## The kernel's own test of names in our guests, as KTAP.
	@$(ANONVMA) kselftest --target uml,qemu --arch aarch64,x86_64 --base all $(ARGS)

unit: venv
	$(BIN)/pytest -m 'not guest and not kernel and not notebook and not page and not long' \
	    -n $$(nproc) --dist worksteal -q $(ARGS)

test-long: venv ## Tests without kernels that take a second or more each.
	$(BIN)/pytest -m long -n $$(nproc) --dist worksteal $(ARGS)

format: venv
	$(BIN)/ruff format --check .

lint: venv
	$(BIN)/ruff check .

layers: venv
	$(BIN)/lint-imports

types: venv
	$(BIN)/mypy

kernels: setup ## Build every variant on every base, for every machine.
	$(ANONVMA) build --variant all --base all
	$(ANONVMA) build --variant all --base all --arch x86_64
	$(ANONVMA) build --variant all --base all --arch um

pyz: venv ## Make anonvma.pyz: one file that measures any machine.
	$(ANONVMA) pyz

image: setup ## Make image/, which boots to the whole harness on ARM64.
	$(ANONVMA) image $(ARGS)

doctor: venv ## Tell what this machine can run and what is missing.
	$(ANONVMA) doctor

setup: venv ## Install what is missing: Debian's packages and the environment.
	@$(call INSTALL,$(PACKAGES) $(SOURCES))

venv: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "installing Python's packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "as root: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes \
	    -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation --editable .
	@touch $@

lock: venv ## Pin the newest versions of what requirements.in names.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate \
	    --no-header --no-emit-index-url --universal --python-version 3.11 \
	    requirements.in -o requirements.lock

clean: ## Remove the environment and tool caches; kernels and results stay.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
