# `make` lists all targets. Each target installs what it needs: Debian's packages with
# apt-get (as root, or through sudo), Python's packages from requirements.lock into .venv.

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

# The guest cannot write to the checkout.
TEST_KERNEL := env HYPOTHESIS_STORAGE_DIRECTORY=/run/tmp/hypothesis \
               python3 -m pytest -m kernel --require-names --color=no \
               -p no:cacheprovider tests/kernel tests/linux

# Packages for building and running kernels of every machine.
PACKAGES := bc bison bubblewrap flex gcc gcc-aarch64-linux-gnu libc6-dev \
            libc6-dev-arm64-cross libelf-dev libssl-dev linux-source-6.12 make \
            mmdebstrap patch python3-venv qemu-system-arm qemu-system-x86 util-linux \
            xz-utils
# The kernel sources that this Debian has; not every Debian has all bases.
SOURCES = $$($(ANONVMA) doctor --bases 2>/dev/null | sed s/^/linux-source-/)
MISSING = for p in $(1); do \
              dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | \
                  grep -qx installed || echo $$p; \
          done | sort -u
# Install the missing ones of some packages.
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

# Repeat for every base that can be built; doctor names the others.
EACH_BASE = bases=$$($(ANONVMA) doctor --bases) && for base in $$bases; do

help: ## Show this list.
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

run: setup ## Build, measure and print the table, from a fresh clone.
	$(ANONVMA) run $(ARGS)

test: setup ## Test what every change must pass: checks, kernels, guests, notebooks.
	@$(BIN)/python -m tests.parts test

test-rest: setup ## Run all other tests: every machine and base, faults, torture, mutants.
	@$(BIN)/python -m tests.parts rest $(ARGS)

check: format lint layers types unit ## Run every check that needs no kernel.

test-kernel: setup ## Run the tests that need a kernel with names, in User-Mode Linux.
	$(EACH_BASE) $(ANONVMA) boot --target uml --base $$base -- $(TEST_KERNEL) \
	    || exit; done

GUEST_TESTS := $(BIN)/pytest --require-guest
# Guests that count instructions do not disturb each other.
SIDE_BY_SIDE := -n 2 --dist loadfile

test-guest: setup ## Run all tests that boot guests, on kernels built here.
	$(GUEST_TESTS) -m guest $(ARGS)

test-first-guests: setup ## Test one ARM64 guest of each kind.
	$(GUEST_TESTS) -m 'guest and first' tests/guest

test-guests-uml: setup ## Test User-Mode Linux guests: faults, how they end, other users.
	$(GUEST_TESTS) -m 'guest and not first' $(call guest-tests,uml ends faults cages unprivileged harness_killed)

test-guests-arm64: setup ## Test ARM64 guests: all kernels, measured and stopped.
	$(GUEST_TESTS) -m 'guest and not first' $(SIDE_BY_SIDE) \
	    $(call guest-tests,measuring kernel_side command agreement gate)

test-guests-x86: setup ## Test x86-64 guests, and the kernel's own test on all machines.
	$(GUEST_TESTS) -m guest $(call guest-tests,x86_64 kselftest)

test-guests-memory: setup ## Test what kernels hold, with several readers of their memory.
	$(GUEST_TESTS) -m guest $(SIDE_BY_SIDE) $(call guest-tests,audit zoo zoo_memory)

test-elsewhere: setup ## Test anonvma.pyz, the guest image and the wheel.
	$(GUEST_TESTS) -m guest $(call guest-tests,elsewhere)

# The date is the seed and picks the mutants, so that each day tests something else.
DAY = $$(date -u +%Y%m%d)

test-conformance: setup ## Run agree for half a minute on each base.
	$(EACH_BASE) $(ANONVMA) agree --variant switch --seconds 30 --seed $(DAY) --base $$base || exit; done

test-model: setup ## Run agree for three minutes, and three mutants that must diverge.
	$(EACH_BASE) $(ANONVMA) agree --seconds 90 --seed $(DAY) --base $$base || exit; done
	$(ANONVMA) mutants --of-the-day 3

test-notebooks: venv ## Execute the notebooks, and compare with their stored outputs.
	$(BIN)/pytest -m notebook

notebooks-update: venv ## Execute the notebooks, and store their outputs.
	$(BIN)/python -m tests.notebooks

test-pages: venv ## Test report pages in Chromium, wide and narrow, light and dark.
	@$(call INSTALL,chromium)
	$(BIN)/pytest -m page --require-chromium $(ARGS)

test-torture: setup ## Run make torture for five minutes.
	$(BIN)/python -m tests.torture --minutes 5 --seed $(DAY)

torture: setup ## Test kills, faults and hostile input for an hour, or ARGS="--minutes N".
	$(BIN)/python -m tests.torture $(ARGS)

calibrate: venv ## Check intervals and verdicts on campaigns with known effects.
	$(BIN)/python -m tests.analysis.calibration
	$(BIN)/python -m tests.analysis.calibration_compare

bench: setup ## Measure the harness's own costs (ARGS: --list, --only, --quick).
	@$(BIN)/python -m tests.bench $(ARGS)

test-debian13: venv ## Run make check and make run in a new Debian 13, as root.
	$(BIN)/python -m tests.debian13 $(ARGS)

figures: venv ## Draw README's figure from notebooks/data, on light and dark.
	$(BIN)/python -m harness.analysis.plots.story notebooks/data notebooks/figures

protocol: setup ## Check that the worker measures as at OLD=REVISION.
	@$(BIN)/python -m tests.protocol $(OLD) $(ARGS)

notebooks: venv ## Open the notebooks in a browser (as root: ARGS=--allow-root).
	cd notebooks && ../$(BIN)/jupyter notebook $(ARGS)

mutants: setup ## Test kernels with one planted bug each: all must diverge.
	$(ANONVMA) mutants $(ARGS)

kselftest: setup ## Run the kernel's own test of VMA names in guests; prints KTAP.
	@$(ANONVMA) kselftest --target uml,qemu --arch aarch64,x86_64 --base all $(ARGS)

unit: venv
	$(BIN)/pytest -m 'not guest and not kernel and not notebook and not page and not long' \
	    -n $$(nproc) --dist worksteal -q $(ARGS)

test-long: venv ## Run the tests without kernels that take a second or more each.
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

pyz: venv ## Make anonvma.pyz, one file that measures another machine.
	$(ANONVMA) pyz

image: setup ## Make image/, an ARM64 guest image with the whole harness.
	$(ANONVMA) image $(ARGS)

doctor: venv ## Show what this machine can run and what is missing.
	$(ANONVMA) doctor

setup: venv ## Install missing Debian packages and Python's environment.
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

lock: venv ## Pin the newest versions of the packages in requirements.in.
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate \
	    --no-header --no-emit-index-url --universal --python-version 3.11 \
	    requirements.in -o requirements.lock

clean: ## Remove the environment and tool caches; keeps kernels and results.
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
