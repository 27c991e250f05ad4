# oxpcap: build, install, test. The library itself is built by cargo.
#
#   make                fills stage/ with what `make install` would install
#   make install        PREFIX=/usr/local, DESTDIR=, LIBDIR=$(PREFIX)/lib
#   make SONAME=NAME    soname of the library; the default is the distribution's own
#   make test           everything; as root also live captures
#   make tsan           the threads test under ThreadSanitizer
#   make demo           the system's tcpdump on this library (Debian, root)

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
SONAME ?= $(if $(wildcard /etc/debian_version),libpcap.so.0.8,libpcap.so.1)
CARGO ?= cargo
STRIP ?= strip --strip-debug

STAGE := $(CURDIR)/stage
TARGET := $(or $(CARGO_TARGET_DIR),target)
API_VERSION := 1.10.6
# What the static library needs of the system beyond what a compiler links anyway (libgcc_s or, with -static, libgcc_eh).
LIBS_STATIC := -lpthread -lm -ldl
# The DPDK plug-in is built where its library is installed.
HAVE_DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)
export SONAME STRIP TARGET API_VERSION LIBS_STATIC HAVE_DPDK

.PHONY: all stage build install test demo bench fuzz tsan lint clean

all: stage

build:
	$(CARGO) build --release --lib $(if $(HAVE_DPDK),-p oxpcap -p oxpcap-dpdk)

# The staged files find each other wherever stage/ stands.
stage: build
	rm -rf "$(STAGE)"
	pkgconfig/place.sh "$(STAGE)" "$(STAGE)/lib" relative lib

install: build
	pkgconfig/place.sh "$(DESTDIR)$(PREFIX)" "$(DESTDIR)$(LIBDIR)" "$(PREFIX)" "$(LIBDIR)"

test: stage
	OXPCAP_LIB_DIR="$(STAGE)/lib" $(CARGO) test --workspace $(if $(HAVE_DPDK),,--exclude oxpcap-dpdk)
	ctests/run.sh
	# 77: the suite's source cannot be had here, and this is not CI.
	tests/tcpdump_suite.sh "$(STAGE)/lib" || [ $$? -eq 77 ]
	tests/clients/check.sh "$(STAGE)/lib"
	tests/bindings/run.sh "$(STAGE)/lib"

demo:
	examples/demo.sh

bench:
	$(CARGO) bench

fuzz:
	OXPCAP_FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(CARGO) test --profile fuzz --test differential -- --nocapture
	OXPCAP_REJECT_CASES=500000 $(CARGO) test --profile fuzz --test reject_texts

# 77: the toolchain has no ThreadSanitizer.
tsan:
	tests/thread_sanitizer.sh || [ $$? -eq 77 ]

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace $(if $(HAVE_DPDK),,--exclude oxpcap-dpdk) --all-targets -- -D warnings

clean:
	$(CARGO) clean
	rm -rf "$(STAGE)"
