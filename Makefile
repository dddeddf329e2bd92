# What a person types. `make` alone prints the list.
#
# Two builds exist: the release build, which the demo, the black-box tests and the benchmark run (what is tested is what is
# shipped), and the debug build of the unit tests, which keeps preconditions and overflow checks loud.

SWIFT   ?= swift
RELEASE := .build/release
VENV    := .build/venv
# Of a client of Celery 5.3, and of Flower; Tests/Interop runs them.
VENV_53 := .build/venv-celery-5.3
VENV_FLOWER := .build/venv-flower
PYTEST  := $(VENV)/bin/python -m pytest -c Tests/pytest.ini

.DEFAULT_GOAL := help
.PHONY: help demo test check chaos faults bench bench-children bench-reload bench-queues bench-nodes fuzz build clean deps deps-test format unit blackbox golden install deb test-systemd systemd-short

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## See it work: three tasks, a killed child, the recovery
	@scripts/demo $(RELEASE)

test: check blackbox systemd-short ## Everything: lint, unit tests, real processes, a real Celery client, a real systemd, short chaos, some faults, a short benchmark
	PYTHONPATH=Tests $(VENV)/bin/python -m chaos --quick
	PYTHONPATH=Tests $(VENV)/bin/python -m faults --quick
	$(VENV)/bin/python benchmarks/run.py --quick

check: deps .build/.deps-test ## The everyday path: format, import rules, unit tests
	$(SWIFT) format lint --strict --recursive Sources Tests Examples
	scripts/check-imports
	$(MAKE) --no-print-directory unit

# They start Redis and RabbitMQ. Traps are tested in processes of their own, which a run beside other tests' children would wait for.
unit: deps .build/.deps-test
	$(SWIFT) test
	COPPICE_EXIT_TESTS=1 $(SWIFT) test --skip-build --filter OutOfTurnTests

# PYTEST_ARGS narrows it: make blackbox PYTEST_ARGS="-k revoke". Most tests wait most of the time, so three of them run side by side,
# each with servers of its own.
blackbox: build deps-test ## Black-box tests alone (PYTEST_ARGS="-k revoke" narrows them)
	$(PYTEST) -n 3 --dist loadfile $(PYTEST_ARGS)

# One broker and one seed again: make chaos CHAOS_ARGS="--broker redis --seed 17"
chaos: build deps-test ## 20,000 tasks a broker while a killer is about: none lost, none twice without a reason (CHAOS_ARGS="--seed 17")
	PYTHONPATH=Tests $(VENV)/bin/python -m chaos $(CHAOS_ARGS)

# Some rows again, without writing the table: make faults FAULTS_ARGS="--row SIGSTOP"
FAULTS_ARGS ?= --write
faults: build deps-test ## What a child, the master or the binary may suffer, one by one; writes the table in docs/RELIABILITY.md (FAULTS_ARGS="--row SIGSTOP")
	PYTHONPATH=Tests $(VENV)/bin/python -m faults $(FAULTS_ARGS)

bench: build deps-test ## Side by side with Celery and Huey, and the brokers' own ceilings
	$(VENV)/bin/python benchmarks/run.py

bench-children: build deps-test ## What 500 idle children cost the master
	$(VENV)/bin/python benchmarks/many_children.py

bench-queues: build deps-test ## What 1,000 queues, and 5,000 idle ones, cost
	$(VENV)/bin/python benchmarks/queues.py

bench-reload: build deps-test ## What a reload costs the work
	$(VENV)/bin/python benchmarks/reload.py

bench-nodes: deps .build/.deps-test ## What 25, 50 and 100 idle nodes cost their Redis
	COPPICE_BENCH_NODES=1 $(SWIFT) test --filter ManyNodesTests | grep -a " nodes: "

FUZZ_SECONDS ?= 300
FUZZ_SEED    ?= $(shell date +%s)
fuzz: deps ## libFuzzer over everything that reads foreign bytes (FUZZ_SECONDS=300, FUZZ_SEED); ten seconds of a simpler one are in "unit"
	scripts/fuzz $(FUZZ_SECONDS) $(FUZZ_SEED)

build: deps ## The release build
	$(SWIFT) build -c release

# DESTDIR, PREFIX and SYSCONFDIR as usual; a host without Swift wants BUILD=.build-deb/release, which `make deb` leaves behind.
install: ## Put binaries, units, completions and documents in place (PREFIX=/usr/local, DESTDIR)
	@scripts/install

# The standard library is linked in, so that hosts need no Swift. A folder of its own: its objects are not those of `make build`.
deb: deps .build/.deps-package ## The Debian package, which needs no Swift on its host
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path .build-deb
	scripts/make-deb .build-deb/release .build-deb

# Containers need root. SYSTEMD_ARGS narrows it: make test-systemd SYSTEMD_ARGS="-k reload"
SYSTEMD := COPPICE_DEB=$(CURDIR)/.build-deb/coppice.deb $(PYTEST) --confcutdir=Tests/systemd --override-ini=timeout_method=signal Tests/systemd
test-systemd: deb deps-test .build/.deps-systemd .build/.deps-vm ## The package under a real systemd, in a container and in a virtual machine
	scripts/systemd-tree container .build-deb/coppice.deb
	scripts/systemd-tree vm .build-deb/coppice.deb
	$(SYSTEMD) $(SYSTEMD_ARGS)

systemd-short: deb deps-test .build/.deps-systemd
	@if scripts/systemd-tree --possible; then \
	    scripts/systemd-tree container .build-deb/coppice.deb && $(SYSTEMD) -m "not vm"; fi

golden: deps-test ## Record the golden messages anew from a real Celery
	$(VENV)/bin/python Tests/golden/record.py

format: ## Rewrite the Swift sources in the project's format
	$(SWIFT) format --in-place --recursive Sources Tests Examples

deps: .build/.deps-build ## Install what a build needs (apt)
deps-test: .build/.deps-test $(VENV)/.installed $(VENV_53)/.installed $(VENV_FLOWER)/.installed ## Install what the tests need (apt, and Python environments of their own)

.build/.deps-%: scripts/install-deps
	@mkdir -p .build
	@scripts/install-deps $*
	@touch $@

$(VENV)/.installed: Tests/requirements.txt
$(VENV_53)/.installed: Tests/requirements-celery-5.3.txt
$(VENV_FLOWER)/.installed: Tests/requirements-flower.txt
%/.installed: .build/.deps-test
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $(filter Tests/%,$^)
	@touch $@

clean: ## Remove what was built
	rm -rf .build .build-deb .build-systemd
