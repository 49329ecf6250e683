# make demo       the main job, from sealing to a refused input; MODEL=any.onnx takes a model of yours
# make demo-update  an update end to end: TPM, power cut, bad release, swap under load, a repository, old disk
# make demo-lease   grants on leases: a roster, two TPMs, a stolen device, an attacker with the mailboxes
# make check      style, types, imports, unit tests and vectors
# make test       check and all other tests but the slow ones; what continuous integration runs
# make test-slow  big files, long fuzzing, many kills
# make test-tools the slow tests of tools that models are opened in; fetches PyTorch, 5 GB
# make fuzz       coverage-guided fuzzing of every reader, SECONDS=60 for each
# make bench      figures of this machine, into docs/benchmarks.md and README
# make bench-compare BASE=main~1   which rows got faster or slower since, both side by side
# make wheels     the compiled statistics for x86_64 and aarch64, into dist/; needs rustup
# make test-arm   their tests as aarch64 runs them, under qemu; needs rustup
# make test-arm-wheel  the wheel for aarch64 in an aarch64 Python, under qemu; needs rustup and root
# make mutate     changes the security core in 400 random places and sees whether tests notice; SEED=1
# make device-test  a whole device in QEMU: Secure Boot, TPM, dm-verity, modelkeep inside, and what it refuses
# make package    wheel and sources of the package, the same bytes each time, into dist/
# make dist       everything that is shipped: make package and make wheels, all sources, checked and tried; needs rustup
# make site       the pages as a site, into build/site; broken links are errors
# make leftovers  what stays in memory after a model is closed; writes docs/leftovers.md
#
# Every environment is made when it is first needed, and again when pyproject.toml changes.
# PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
MODEL ?=
SECONDS ?= 60
SEED ?= 1
# Branches and lines together; measured, minus one.
COVERAGE_FLOOR := 97

export PYTHON
unexport PYTHONPATH PYTHONHOME

test_python := .venv/bin/python
coverage := $(test_python) -m coverage
# A file's tests stay in one process, for what they share: built jars, software TPMs, tokens. In the order of
# their names: those with few tests, which would come last, are the slow ones.
pytest := $(test_python) -m pytest -m 'not slow and not emulated' -n auto --dist loadfile --no-loadscope-reorder
# Which lines ran is counted for the whole alone: it takes time.
counted := --cov --cov-report=
fast := $(wildcard tests/unit tests/vectors)
# What opens models in somebody else's tool, which takes an environment of its own.
tools_tests := tests/conformance/test_mlflow.py tests/conformance/test_kserve.py tests/attacks/test_kserve.py tests/examples/test_litserve.py
torch_tests := tests/conformance/test_ultralytics.py tests/conformance/test_optimum.py
checked := src tests tools examples $(wildcard benches vectors)

# A software TPM, and what the library that speaks to it is compiled with.
tpm_packages := swtpm swtpm-tools libtss2-dev libtss2-tcti-swtpm0 pkg-config gcc libc6-dev python3-dev

# What an emulated device is made of and runs on.
device_packages := qemu-system-x86 ovmf debootstrap systemd-boot-efi mtools cpio binutils e2fsprogs busybox-static \
  cryptsetup-bin kmod sbsigntool

# Commands that some tests and benches need; what cannot be installed is skipped there, with a word.
define installed
@command -v $(1) >/dev/null || tools/debian-packages $(or $(2),$(1)) || true
endef

.DELETE_ON_ERROR:
.PHONY: package dist site wheels test-arm test-arm-wheel device-test demo demo-update demo-lease check test test-slow test-tools fuzz bench bench-compare mutate leftovers clean lint fast-tests other-tests

demo: .venv-demo/ready
	@.venv-demo/bin/python examples/demo.py $(if $(MODEL),'$(MODEL)')

demo-update: .venv-demo-update/ready
	@.venv-demo-update/bin/python examples/demo_update.py

demo-lease: .venv-demo-update/ready
	@.venv-demo-update/bin/python examples/demo_lease.py

check: lint fast-tests

test: counting := $(counted)
test: check
	@$(MAKE) --no-print-directory other-tests

lint: .venv/ready
	.venv/bin/ruff check --quiet $(checked)
	.venv/bin/ruff format --quiet --check $(checked)
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

fast-tests: .venv/statistics
	$(call installed,openssl)
	@$(coverage) erase
	$(pytest) $(counting) $(fast)

other-tests: .venv/statistics
	$(call installed,openssl)
	$(call installed,bsdtar,libarchive-tools)
	$(call installed,busybox)
	$(call installed,swtpm_setup,$(tpm_packages))
	$(call installed,softhsm2-util,softhsm2)
	$(call installed,fsverity,fsverity cryptsetup-bin)
	$(call installed,tpm2_checkquote,tpm2-tools)
	$(call installed,javac,openjdk-17-jdk-headless)
	$(call installed,mvn,maven)
	$(call installed,systemd-analyze,systemd)
	$(call installed,mender,mender-client)
	$(call installed,mender-artifact)
	$(call installed,gnome-keyring-daemon,gnome-keyring dbus-daemon)
	@$(test_python) -c 'import tpm2_pytss' 2>/dev/null || $(test_python) -m pip install --quiet --group hardware || true
	@$(test_python) -c 'import moto, hvac' 2>/dev/null || $(test_python) -m pip install --quiet --group services || true
	$(pytest) $(counted) --cov-append tests $(fast:%=--ignore=%)
	$(coverage) report --fail-under=$(COVERAGE_FLOOR)

test-slow: .venv/ready
	$(call installed,openssl)
	$(call installed,rsync)
	$(call installed,swupdate,swupdate cpio)
	$(call installed,rauc,rauc squashfs-tools dbus-daemon)
	@$(test_python) -c 'import build, ipykernel, nbclient' 2>/dev/null || \
	  $(test_python) -m pip install --quiet --group notebook --group package
	$(test_python) -m pytest -m slow tests $(addprefix --ignore=,$(tools_tests) $(torch_tests))
	@$(MAKE) --no-print-directory test-tools

# Each tool brings versions of its own of what others bring, too: environments of their own.
test-tools: .venv-tools/ready .venv-torch-tools/ready
	MODELKEEP_REQUIRE_ALL=1 .venv-tools/bin/python -m pytest -m slow $(tools_tests)
	MODELKEEP_REQUIRE_ALL=1 .venv-torch-tools/bin/python -m pytest -m slow $(torch_tests)

# Debian, kernel and packages are fetched once and kept in the account's cache. Needs root and Python 3.11, as
# the guest has. Not part of continuous integration.
device-test: .venv/ready
	$(call installed,openssl)
	$(call installed,swtpm_setup,$(tpm_packages))
	$(call installed,sbsign,$(device_packages))
	@$(test_python) -c 'import tpm2_pytss' 2>/dev/null || $(test_python) -m pip install --quiet --group hardware
	timeout 2400 $(test_python) -m pytest -v -m emulated tests/emulated

fuzz: .venv-fuzz/ready
	PYTHONPATH=tests .venv-fuzz/bin/python tests/fuzz/coverage_guided.py --seconds $(SECONDS)

bench: .venv-bench/ready
	$(call installed,age)
	.venv-bench/bin/python -m benches $(BENCH)

BASE ?= HEAD~1
bench-compare: .venv-bench/ready
	.venv-bench/bin/python -m benches.compare $(BASE) $(BENCH)

# Half an hour and more; goes on where it was stopped. Not part of continuous integration.
mutate: .venv/ready
	nice -n 19 $(test_python) tools/mutate.py --sample 400 --seed $(SEED)

package: .venv-package/ready
	rm -rf dist/modelkeep-*
	.venv-package/bin/python -m build --outdir dist .

# Tried as those do who get the folder: in a new environment, by pip, with nothing of this clone.
dist: package wheels
	.venv-wheels/bin/maturin sdist --manifest-path rust/statistics/Cargo.toml --out dist
	.venv-package/bin/twine check --strict dist/*.whl dist/*.tar.gz
	PYTHON=.venv-package/bin/python tools/environment build/dist-venv \
	  dist/modelkeep_statistics-*_$$(uname -m).whl "$$(echo dist/modelkeep-*.whl)[onnx,guard]"
	cd build && dist-venv/bin/modelkeep doctor >/dev/null && dist-venv/bin/python -c 'import modelkeep_statistics'
	! grep -rlF -e "$$PWD/rust" -e "$(or $(CARGO_HOME),$(HOME)/.cargo)" build/dist-venv/lib/python*/site-packages/modelkeep*
	cd dist && sha256sum *.whl *.tar.gz | tee SHA256SUMS

# Not --quiet: what it does not print, strict mode does not count.
site: .venv-site/ready
	.venv-site/bin/python tools/site.py build/site-source
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build

leftovers: .venv/ready
	$(test_python) tools/leftovers.py

.venv/ready: pyproject.toml tools/environment
	@tools/environment .venv --editable . --group test --group lint

# Without a Rust compiler the NumPy twin serves, and tests that compare the two say that they are skipped.
.venv/statistics: .venv/ready $(wildcard rust/*.toml rust/statistics/*.toml rust/statistics/src/*.rs rust/statistics/src/*/*.rs)
	$(call installed,cargo,cargo-web)
	@command -v cargo >/dev/null && $(test_python) -m pip install --quiet ./rust/statistics && touch $@ || true

.venv-tools/ready: pyproject.toml tools/environment
	@tools/environment .venv-tools --editable . --group tools

.venv-torch-tools/ready: pyproject.toml tools/environment
	@tools/environment .venv-torch-tools --editable . --group torch-tools

.venv-package/ready: pyproject.toml tools/environment
	@tools/environment .venv-package --group package

.venv-site/ready: pyproject.toml tools/environment
	@tools/environment .venv-site --group docs

.venv-demo/ready: pyproject.toml tools/environment
	@tools/environment .venv-demo --editable '.[onnx]'

# The TPM's library is compiled against the system's.
.venv-demo-update/ready: pyproject.toml tools/environment
	$(call installed,swtpm_setup,$(tpm_packages))
	@tools/environment .venv-demo-update --editable '.[onnx,tpm2,updates]'

.venv-bench/ready: pyproject.toml tools/environment
	@tools/environment .venv-bench --editable . --group bench

.venv-fuzz/ready: pyproject.toml tools/environment
	@tools/environment .venv-fuzz --editable . --group fuzz

# A C compiler for every target comes as a package, so none has to be there. Neither code nor bill of materials
# says where and when it was built.
wheels: export RUSTFLAGS := --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo
wheels: export SOURCE_DATE_EPOCH := 315532800
wheels: .venv-wheels/ready
	rm -rf dist/modelkeep_statistics-* build/wheels
	mkdir -p dist build/wheels
	@rustup --quiet target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
	@for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do \
	  PATH="$$PWD/.venv-wheels/bin:$$PATH" maturin build --quiet --release --zig --target $$target \
	    --compatibility manylinux_2_28 --manifest-path rust/statistics/Cargo.toml --out build/wheels || exit 1; \
	done
	@for wheel in build/wheels/*.whl; do \
	  rm -rf build/wheels/opened && .venv-wheels/bin/wheel unpack --dest build/wheels/opened $$wheel >/dev/null && \
	  sed -i "s|file://$$PWD/|file:|g" build/wheels/opened/*/*.dist-info/sboms/*.json && \
	  .venv-wheels/bin/wheel pack --dest-dir dist build/wheels/opened/* >/dev/null || exit 1; \
	done
	@ls dist/*.whl

.venv-wheels/ready: tools/environment
	@tools/environment .venv-wheels 'maturin>=1.9,<2' ziglang 'wheel>=0.45'

test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER = rust-lld
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER = qemu-aarch64-static
test-arm:
	$(call installed,qemu-aarch64-static,qemu-user-static)
	@rustup --quiet target add aarch64-unknown-linux-musl
	cd rust && cargo test --quiet --package modelkeep-statistics --no-default-features \
	  --target aarch64-unknown-linux-musl

# The same wheel that is shipped, held against NumPy; five minutes, Debian and all.
test-arm-wheel: wheels
	$(call installed,qemu-aarch64-static,qemu-user-static)
	$(call installed,debootstrap)
	PYTHON=.venv-wheels/bin/python tools/arm-python build/arm dist/modelkeep_statistics-*_aarch64.whl
	PYTHONPATH=src:tests:build/arm/site qemu-aarch64-static -L build/arm build/arm/usr/bin/python3.11 -m pytest --noconftest \
	  -p support.compiled -p no:cacheprovider tests/unit/test_guard_statistics.py tests/property/test_guard_statistics_property.py

clean:
	rm -rf .venv .venv-wheels .venv-demo .venv-demo-update .venv-bench .venv-fuzz .venv-tools .venv-torch-tools build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
