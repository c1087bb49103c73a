# The words that people type first. Meson does the work: README.md has its commands.
# SPDX-License-Identifier: MIT

BUILD ?= build
prefix ?= /usr/local
DESTDIR ?=
TESTS ?=
BENCH ?=
CHECK ?=
MINUTES ?= 60

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@tools/setup build
	meson setup $(BUILD)

demo:
	@tools/setup build demo
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) examples/demo/run

# TESTS names some of them, or holds other options: make check TESTS="--suite unit"
check:
	@tools/setup build check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@# A folder that was set up before Check was installed has no unit tests.
	@meson introspect --dependencies $(BUILD) | grep -q '"check"' || \
		meson setup --reconfigure $(BUILD) >/dev/null
	@$(MAKE) --no-print-directory all
	@tests/interpreters.py --summary
	@meson test -C $(BUILD) --print-errorlogs $(TESTS)

# CPython's own test suite under heapglass, whole on 3.11 and 3.13, a large part on the others:
# the better part of an hour for each. CHECK holds options: make check-cpython CHECK="--python 3.14"
check-cpython: all
	@tests/cpython/check.py --command $(BUILD)/heapglass $(CHECK)
	@test -n "$(CHECK)" || tests/cpython/check.py --command $(BUILD)/heapglass --part large \
		--python 3.9,3.10,3.12,3.14,3.15

# Programs of Debian's packages, watched and alone, must say the same: for so many MINUTES.
check-long: all
	@tests/long/run.py --command $(BUILD)/heapglass --minutes $(MINUTES)

# BENCH holds options: make bench BENCH=--quick
bench:
	@tools/setup build bench
	@$(MAKE) --no-print-directory all
	@bench/run.py --command $(BUILD)/heapglass $(BENCH)
	@bench/native.py --build $(BUILD)

# Two interpreters with locks of their own beside one; BENCH=--quick takes seconds.
bench-parallel: all
	@bench/parallel.py --command $(BUILD)/heapglass $(BENCH)

# Our collector beside CPython's and Boehm's; BENCH=--quick takes seconds.
bench-collector: all
	@bench/collector/run.py --build $(BUILD) $(BENCH)

install: all
	@meson configure $(BUILD) -Dprefix=$(prefix)
	@DESTDIR="$(if $(DESTDIR),$(abspath $(DESTDIR)))" meson install -C $(BUILD)

format:
	git ls-files -z 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'examples/*.[ch]' | xargs -0 clang-format -i

clean:
	rm -rf $(BUILD)

.PHONY: all demo check check-cpython check-long bench bench-parallel bench-collector install format clean
